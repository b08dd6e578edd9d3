//! Tokens that lie in Secrets of type `kubernetes.io/service-account-token`:
//! good as long as the Secret holds them and its account is there.

use std::collections::BTreeMap;

use apiserver::{UserInfo, View};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use pki::{LegacyClaims, TokenError};
use serde::Deserialize;

use super::metadata::{Metadata, Object, find};
use super::{groups_of, split_user_name};
use crate::SERVICE_ACCOUNT_PREFIX;

/// The label that tells the day on which a Secret's token was last used.
pub const LAST_USED: &str = "kubernetes.io/legacy-token-last-used";
/// The label of a Secret whose token is not accepted any more.
pub const INVALID_SINCE: &str = "kubernetes.io/legacy-token-invalid-since";

/// A Secret whose token was brought, and whose label is to tell so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsedSecret {
    pub namespace: String,
    pub name: String,
    pub uid: String,
}

/// A day of UTC, as the labels write it.
pub fn date(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d").to_string()
}

#[derive(Deserialize)]
pub(super) struct Secret {
    metadata: Metadata,
    #[serde(default)]
    data: BTreeMap<String, String>,
}

/// What is there of a token's Secret and account.
pub(super) struct Seen {
    pub secret: Option<Secret>,
    pub account: Option<Object>,
}

impl Seen {
    pub fn of(claims: &LegacyClaims, view: &View) -> Self {
        Self {
            secret: find(view, "secrets", &claims.namespace, &claims.secret),
            account: find(view, "serviceaccounts", &claims.namespace, &claims.account),
        }
    }
}

/// Whether a token holds; its use is told even where it is marked invalid.
pub(super) struct Verdict {
    pub result: Result<(), String>,
    pub used: Option<UsedSecret>,
}

pub(super) fn check(claims: &LegacyClaims, token: &str, seen: &Seen, now: Timestamp) -> Verdict {
    let secret = match holder(claims, token, seen) {
        Ok(secret) => secret,
        Err(why) => return Verdict { result: Err(why), used: None },
    };
    let labels = &secret.metadata.labels;
    let is_told = labels.get(LAST_USED).is_some_and(|day| {
        // Servers' clocks may differ around midnight.
        [SignedDuration::ZERO, SignedDuration::from_hours(24)].iter().any(|ahead| *day == date(now + *ahead))
    });
    let (namespace, name) = (&claims.namespace, &claims.secret);
    let used = (!is_told).then(|| UsedSecret {
        namespace: namespace.clone(),
        name: name.clone(),
        uid: secret.metadata.uid.clone(),
    });
    let result = match labels.get(INVALID_SINCE).map(String::as_str) {
        None | Some("") => Ok(()),
        Some(_) => Err(format!(
            "the token in secret {namespace}/{name} for service account {namespace}/{} has been marked invalid. Use \
             tokens from the TokenRequest API or manually created secret-based tokens, or remove the \
             '{INVALID_SINCE}' label from the secret to temporarily allow use of this token",
            claims.account
        )),
    };
    Verdict { result, used }
}

/// The Secret that still holds the token.
fn holder<'a>(claims: &LegacyClaims, token: &str, seen: &'a Seen) -> Result<&'a Secret, String> {
    for (value, what) in [
        (&claims.sub, "sub"),
        (&claims.namespace, "namespace"),
        (&claims.secret, "secretName"),
        (&claims.account, "serviceAccountName"),
        (&claims.account_uid, "serviceAccountUID"),
    ] {
        if value.is_empty() {
            return Err(format!("{what} claim is missing"));
        }
    }
    let (namespace, account) = (claims.namespace.as_str(), claims.account.as_str());
    if split_user_name(&claims.sub) != Some((namespace, account)) {
        return Err("sub claim is invalid".into());
    }
    let secret = match &seen.secret {
        Some(secret) if secret.metadata.deletion_timestamp.is_none() => secret,
        _ => return Err("Token has been invalidated".into()),
    };
    let held = secret.data.get("token").and_then(|text| STANDARD.decode(text).ok());
    if held.as_deref() != Some(token.as_bytes()) {
        return Err("Token does not match server's copy".into());
    }
    let Some(found) = &seen.account else {
        return Err(format!("serviceaccounts {account:?} not found"));
    };
    if found.metadata.deletion_timestamp.is_some() {
        return Err(format!("ServiceAccount {namespace}/{account} has been deleted"));
    }
    if found.metadata.uid != claims.account_uid {
        return Err(format!(
            "ServiceAccount UID ({}) does not match claim ({})",
            found.metadata.uid, claims.account_uid
        ));
    }
    Ok(secret)
}

/// The token names no audience, and is for the API itself.
pub(super) fn audiences(own: &[String], wanted: &[String]) -> Result<Vec<String>, TokenError> {
    let common: Vec<String> = own.iter().filter(|name| wanted.contains(name)).cloned().collect();
    if common.is_empty() {
        return Err(TokenError::Audience { audiences: own.to_vec(), wanted: wanted.to_vec() });
    }
    Ok(common)
}

pub(super) fn user_of(claims: &LegacyClaims) -> UserInfo {
    UserInfo {
        name: format!("{SERVICE_ACCOUNT_PREFIX}{}:{}", claims.namespace, claims.account),
        uid: claims.account_uid.clone(),
        groups: groups_of(&claims.namespace),
        ..UserInfo::default()
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::{Value, value};

    use super::*;

    fn claims() -> LegacyClaims {
        LegacyClaims {
            namespace: "shop".into(),
            secret: "cart-token".into(),
            account: "cart".into(),
            account_uid: "u".into(),
            sub: "system:serviceaccount:shop:cart".into(),
        }
    }

    fn secret(token: &str, labels: Value) -> Value {
        value!({"metadata": {"uid": "s", "labels": labels}, "data": {"token": (STANDARD.encode(token))}})
    }

    fn verdict(claims: &LegacyClaims, secret: Option<Value>, account: Option<Value>) -> (String, bool) {
        let seen = Seen {
            secret: secret.map(|tree| tree.decode().unwrap()),
            account: account.map(|tree| tree.decode().unwrap()),
        };
        let verdict = check(claims, "t", &seen, "2026-03-01T10:00:00Z".parse().unwrap());
        (verdict.result.err().unwrap_or_default(), verdict.used.is_some())
    }

    #[test]
    fn a_token_holds_as_long_as_its_secret_and_account_do() {
        let account = || value!({"metadata": {"uid": "u"}});
        let gone = || value!({"metadata": {"uid": "u", "deletionTimestamp": "2026-01-01T00:00:00Z"}});
        for (secret, account, told) in [
            (Some(secret("t", value!({}))), Some(account()), ""),
            (None, Some(account()), "Token has been invalidated"),
            (Some(gone()), Some(account()), "Token has been invalidated"),
            (Some(secret("other", value!({}))), Some(account()), "Token does not match server's copy"),
            (Some(secret("t", value!({}))), None, "serviceaccounts \"cart\" not found"),
            (Some(secret("t", value!({}))), Some(gone()), "ServiceAccount shop/cart has been deleted"),
            (
                Some(secret("t", value!({}))),
                Some(value!({"metadata": {"uid": "v"}})),
                "ServiceAccount UID (v) does not match claim (u)",
            ),
        ] {
            assert_eq!(verdict(&claims(), secret, account).0, told);
        }
        for (claims, told) in [
            (LegacyClaims { sub: String::new(), ..claims() }, "sub claim is missing"),
            (LegacyClaims { account_uid: String::new(), ..claims() }, "serviceAccountUID claim is missing"),
            (
                LegacyClaims { sub: "system:serviceaccount:shop:till".into(), ..claims() },
                "sub claim is invalid",
            ),
        ] {
            assert_eq!(verdict(&claims, Some(secret("t", value!({}))), Some(account())).0, told);
        }
    }

    #[test]
    fn the_use_of_a_token_is_told_once_a_day() {
        let account = || Some(value!({"metadata": {"uid": "u"}}));
        for (labels, refused, used) in [
            (value!({}), false, true),
            (value!({"kubernetes.io/legacy-token-last-used": "2026-02-28"}), false, true),
            (value!({"kubernetes.io/legacy-token-last-used": "2026-03-01"}), false, false),
            (value!({"kubernetes.io/legacy-token-last-used": "2026-03-02"}), false, false),
            (value!({"kubernetes.io/legacy-token-invalid-since": "2026-02-01"}), true, true),
            (value!({"kubernetes.io/legacy-token-invalid-since": ""}), false, true),
        ] {
            let shown = format!("{labels:?}");
            let (why, is_used) = verdict(&claims(), Some(secret("t", labels)), account());
            assert_eq!((why.contains("has been marked invalid"), is_used), (refused, used), "{shown}");
        }
    }

    #[test]
    fn it_is_for_the_api_alone() {
        let own = ["api".to_owned()];
        assert_eq!(audiences(&own, &["vault".into(), "api".into()]), Ok(vec!["api".to_owned()]));
        assert!(audiences(&own, &["vault".into()]).is_err());
        assert_eq!(user_of(&claims()).groups[1], "system:serviceaccounts:shop");
    }
}
