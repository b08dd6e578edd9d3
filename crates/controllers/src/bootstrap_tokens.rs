//! Bootstrap tokens: secrets by which new nodes and this cluster know each other. Pure.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;

/// The secrets' type.
pub const TYPE: &str = "bootstrap.kubernetes.io/token";
const PREFIX: &str = "bootstrap-token-";

/// A well-formed token.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    pub id: String,
    pub secret: String,
    /// It may sign the published cluster.
    pub signs: bool,
    expires: Expiry,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Expiry {
    Never,
    At(Timestamp),
    /// What cannot be read counts as over.
    Unreadable,
}

fn text(secret: &Secret, key: &str) -> String {
    let bytes = secret.data.as_ref().and_then(|data| data.get(key));
    bytes.map(|bytes| String::from_utf8_lossy(&bytes.0).into_owned()).unwrap_or_default()
}

fn expiry(secret: &Secret) -> Expiry {
    match text(secret, "expiration").as_str() {
        "" => Expiry::Never,
        told => told.parse().map_or(Expiry::Unreadable, Expiry::At),
    }
}

impl Token {
    pub fn read(secret: &Secret) -> Option<Self> {
        let id = text(secret, "token-id");
        let named = secret.metadata.name.as_deref()?.strip_prefix(PREFIX)?;
        let secret_part = text(secret, "token-secret");
        if id.is_empty() || named != id || secret_part.is_empty() {
            return None;
        }
        Some(Self {
            id,
            secret: secret_part,
            signs: text(secret, "usage-bootstrap-signing") == "true",
            expires: expiry(secret),
        })
    }

    pub fn has_expired(&self, now: Timestamp) -> bool {
        match self.expires {
            Expiry::Never => false,
            Expiry::At(at) => at < now,
            Expiry::Unreadable => true,
        }
    }

    /// Until it expires.
    pub fn left(&self, now: Timestamp) -> Option<Duration> {
        left(self.expires, now)
    }
}

fn left(expires: Expiry, now: Timestamp) -> Option<Duration> {
    match expires {
        Expiry::Never => None,
        Expiry::At(at) => Some(Duration::try_from(at.duration_since(now)).unwrap_or_default()),
        Expiry::Unreadable => Some(Duration::ZERO),
    }
}

/// Until a token's secret expires, well-formed or not; None: never.
pub fn time_left(secret: &Secret, now: Timestamp) -> Option<Duration> {
    left(expiry(secret), now)
}
