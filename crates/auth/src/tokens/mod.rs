//! Service account tokens: who brings one is its service account, as long as
//! the account and what the token is bound to exist (KEP-1205, KEP-4193). A
//! token that lies in a Secret is bound to it, and its use is told (KEP-2799).

mod bound;
mod legacy;
mod metadata;
mod metrics;

use std::sync::{Arc, OnceLock};

use apiserver::{Authenticator, Credentials, Identity, UserInfo, View};
use jiff::Timestamp;
use parking_lot::Mutex;
use pki::{Claims, ServiceAccountKeys, TokenError, Verified};
use serve::families::Families;

pub use legacy::{INVALID_SINCE, LAST_USED, UsedSecret, date};
use metrics::TokenMetrics;

use crate::{CREDENTIAL_ID, SERVICE_ACCOUNT_PREFIX};

/// Verified tokens that are remembered: a signature costs a tenth of a
/// millisecond, and clients send the same token with every request.
const REMEMBERED: usize = 1024;

/// Keys in a user's extra that tell what a token is bound to.
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
const NODE_NAME: &str = "authentication.kubernetes.io/node-name";
const NODE_UID: &str = "authentication.kubernetes.io/node-uid";

/// Verifies service account tokens.
pub struct ServiceAccountTokens {
    keys: Arc<ServiceAccountKeys>,
    /// Audiences of the API itself.
    audiences: Vec<String>,
    /// Tokens whose signature was verified, oldest first.
    verified: Mutex<Vec<(Box<str>, Arc<Verified>)>>,
    used: OnceLock<Box<dyn Fn(UsedSecret) + Send + Sync>>,
    metrics: TokenMetrics,
}

impl ServiceAccountTokens {
    /// The API's audience is the issuer of `keys`. What tokens were brought is
    /// counted in `families`.
    pub fn new(keys: Arc<ServiceAccountKeys>, families: &Families) -> Self {
        let audiences = vec![keys.issuer().to_owned()];
        let metrics = TokenMetrics::new(families);
        Self { keys, audiences, verified: Mutex::new(Vec::new()), used: OnceLock::new(), metrics }
    }

    /// Audiences of the API itself.
    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// Calls `used` whenever somebody brings a token of a Secret that does not
    /// say yet that it was used today. Only the first that asks is told.
    pub fn on_used(&self, used: impl Fn(UsedSecret) + Send + Sync + 'static) {
        let _ = self.used.set(Box::new(used));
    }

    fn claims(&self, token: &str, now: Timestamp) -> Result<Arc<Verified>, TokenError> {
        let known =
            self.verified.lock().iter().rev().find(|(known, _)| **known == *token).map(|(_, c)| c.clone());
        if let Some(claims) = known {
            // The signature holds for ever, the times do not.
            return match &*claims {
                Verified::Bound(bound) if now.as_second() >= bound.exp => Err(TokenError::Expired),
                _ => Ok(claims),
            };
        }
        let claims = Arc::new(self.keys.verify(token, now)?);
        let mut verified = self.verified.lock();
        if verified.len() >= REMEMBERED {
            verified.remove(0);
        }
        verified.push((token.into(), claims.clone()));
        Ok(claims)
    }

    /// Who a token stands for, for any of the audiences `wanted`; `Ok(None)`
    /// where it is no token of this cluster.
    ///
    /// # Errors
    /// Why a token of this cluster is refused, in upstream's words.
    pub fn verify(
        &self,
        token: &str,
        wanted: &[String],
        view: &View,
        now: Timestamp,
    ) -> Result<Option<Identity>, String> {
        let claims = match self.claims(token, now) {
            Ok(claims) => claims,
            Err(TokenError::Foreign) => return Ok(None),
            Err(why) => return Err(why.to_string()),
        };
        let (user, audiences) = match &*claims {
            Verified::Bound(claims) => {
                let audiences = claims.audiences_among(wanted).map_err(|why| why.to_string())?;
                bound::check(claims, view, now)?;
                self.metrics.bound(claims, now);
                (user_of(claims), audiences)
            }
            Verified::Legacy(claims) => {
                let audiences = legacy::audiences(&self.audiences, wanted).map_err(|why| why.to_string())?;
                self.metrics.legacy();
                let verdict = legacy::check(claims, token, &legacy::Seen::of(claims, view), now);
                if let (Some(secret), Some(used)) = (verdict.used, self.used.get()) {
                    used(secret);
                }
                verdict.result?;
                (legacy::user_of(claims), audiences)
            }
        };
        Ok(Some(Identity { user: Arc::new(user), audiences, expires: None }))
    }
}

impl Authenticator for ServiceAccountTokens {
    fn authenticate(&self, credentials: &Credentials<'_>, view: &View) -> Result<Option<Identity>, String> {
        match credentials.bearer {
            None | Some("") => Ok(None),
            Some(token) => match self.verify(token, &self.audiences, view, credentials.now)? {
                Some(identity) => Ok(Some(identity)),
                None => Err("invalid bearer token".into()),
            },
        }
    }
}

/// The groups of a service account.
pub fn groups_of(namespace: &str) -> Vec<String> {
    vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")]
}

/// The namespace and name of a service account's user name.
pub fn split_user_name(user: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user.strip_prefix(SERVICE_ACCOUNT_PREFIX)?.split_once(':')?;
    (!namespace.is_empty() && !name.is_empty() && !name.contains(':')).then_some((namespace, name))
}

fn user_of(claims: &Claims) -> UserInfo {
    let own = &claims.kubernetes;
    let mut user = UserInfo {
        name: format!("{SERVICE_ACCOUNT_PREFIX}{}:{}", own.namespace, own.serviceaccount.name),
        uid: own.serviceaccount.uid.clone(),
        groups: groups_of(&own.namespace),
        ..UserInfo::default()
    };
    let mut tell = |key: &str, value: String| {
        user.extra.insert(key.to_owned(), vec![value]);
    };
    if !claims.jti.is_empty() {
        tell(CREDENTIAL_ID, format!("JTI={}", claims.jti));
    }
    if let Some(pod) = &own.pod {
        tell(POD_NAME, pod.name.clone());
        tell(POD_UID, pod.uid.clone());
    }
    if let Some(node) = &own.node {
        tell(NODE_NAME, node.name.clone());
        if !node.uid.is_empty() {
            tell(NODE_UID, node.uid.clone());
        }
    }
    user
}

#[cfg(test)]
mod tests {
    use pki::{BoundObject, KubernetesClaims};

    use super::*;

    #[test]
    fn names_split_into_namespace_and_account() {
        assert_eq!(split_user_name("system:serviceaccount:shop:cart"), Some(("shop", "cart")));
        for other in
            ["ann", "system:serviceaccount:shop", "system:serviceaccount::x", "system:serviceaccount:a:b:c"]
        {
            assert_eq!(split_user_name(other), None, "{other}");
        }
    }

    #[test]
    fn a_bound_token_tells_pod_and_node() {
        let object = |name: &str| BoundObject { name: name.into(), uid: format!("{name}-uid") };
        let user = user_of(&Claims {
            aud: vec![],
            exp: 2,
            iat: 1,
            iss: "i".into(),
            jti: "j".into(),
            kubernetes: KubernetesClaims {
                namespace: "shop".into(),
                serviceaccount: object("cart"),
                pod: Some(object("cart-0")),
                node: Some(object("node-1")),
                ..KubernetesClaims::default()
            },
            nbf: 1,
            sub: String::new(),
        });
        assert_eq!(user.name, "system:serviceaccount:shop:cart");
        assert_eq!(user.groups, ["system:serviceaccounts", "system:serviceaccounts:shop"]);
        assert_eq!(user.extra[CREDENTIAL_ID], ["JTI=j"]);
        assert_eq!(user.extra[POD_UID], ["cart-0-uid"]);
        assert_eq!(user.extra[NODE_NAME], ["node-1"]);
    }
}
