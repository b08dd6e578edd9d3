//! Tokens of service accounts, bound to their pod and renewed in time.

use std::collections::BTreeMap;

use client::Api;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use parking_lot::Mutex;

use crate::pod::spec::PodExt;

/// Volume and path of a projected token.
pub type TokenKey = (String, String);

/// Seconds that a token lives unless the volume says otherwise.
const LIFETIME: i64 = 3600;
/// A token is renewed after this part of its life, and after a day at most.
const RENEW_AFTER_PERCENT: i64 = 80;
const OLDEST: SignedDuration = SignedDuration::from_hours(24);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    /// From when on a new one is asked for.
    pub renew: Timestamp,
}

/// What the pod's volumes ask for: audience ("" is the API's) and seconds.
pub fn wanted_tokens(pod: &Pod) -> BTreeMap<TokenKey, (String, i64)> {
    let mut wanted = BTreeMap::new();
    for volume in pod.spec().volumes.iter().flatten() {
        let sources = volume.projected.iter().flat_map(|one| one.sources.iter().flatten());
        for token in sources.filter_map(|source| source.service_account_token.as_ref()) {
            wanted.insert(
                (volume.name.clone(), token.path.clone()),
                (token.audience.clone().unwrap_or_default(), token.expiration_seconds.unwrap_or(LIFETIME)),
            );
        }
    }
    wanted
}

/// The tokens of this node's pods, in memory only.
#[derive(Default)]
pub struct Tokens {
    /// By the pod's uid.
    held: Mutex<BTreeMap<String, BTreeMap<TokenKey, Token>>>,
}

impl Tokens {
    /// All tokens that the pod's volumes want, renewed where it is time.
    pub async fn of_pod(
        &self,
        accounts: &Api<ServiceAccount>,
        pod: &Pod,
        now: Timestamp,
    ) -> Result<BTreeMap<TokenKey, Token>, String> {
        let mut tokens = self.held.lock().get(pod.uid()).cloned().unwrap_or_default();
        for (key, (audience, seconds)) in wanted_tokens(pod) {
            if tokens.get(&key).is_some_and(|token| now < token.renew) {
                continue;
            }
            let token = request(accounts, pod, &audience, seconds, now)
                .await
                .map_err(|error| format!("failed to fetch token: {error}"))?;
            tokens.insert(key, token);
        }
        if !tokens.is_empty() {
            self.held.lock().insert(pod.uid().to_owned(), tokens.clone());
        }
        Ok(tokens)
    }

    pub fn forget(&self, uid: &str) {
        self.held.lock().remove(uid);
    }
}

async fn request(
    accounts: &Api<ServiceAccount>,
    pod: &Pod,
    audience: &str,
    seconds: i64,
    now: Timestamp,
) -> Result<Token, client::Error> {
    let request = TokenRequest {
        spec: Some(TokenRequestSpec {
            audiences: Some(vec![audience.to_owned()].into_iter().filter(|one| !one.is_empty()).collect()),
            expiration_seconds: Some(seconds),
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".into()),
                kind: Some("Pod".into()),
                name: Some(pod.name().into()),
                uid: Some(pod.uid().into()),
            }),
            ..TokenRequestSpec::default()
        }),
        ..TokenRequest::default()
    };
    let account = pod.spec().service_account_name.as_deref().unwrap_or("default");
    let answer: TokenRequest = accounts.create_subresource(account, "token", &request).await?;
    let status = answer.status.unwrap_or_default();
    let expires = status.expiration_timestamp.map(|time| time.0);
    let lifetime = expires.map_or(SignedDuration::from_secs(seconds), |at| at.duration_since(now));
    let renew = renew_at(now, lifetime);
    Ok(Token { text: status.token.unwrap_or_default(), renew })
}

fn renew_at(now: Timestamp, lifetime: SignedDuration) -> Timestamp {
    let part = SignedDuration::from_secs(lifetime.as_secs() * RENEW_AFTER_PERCENT / 100);
    now.saturating_add(part.min(OLDEST)).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_renewed_before_they_end() {
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(renew_at(now, SignedDuration::from_secs(3600)).as_second(), 2880);
        assert_eq!(renew_at(now, SignedDuration::from_hours(8760)).as_second(), 86400);
    }
}
