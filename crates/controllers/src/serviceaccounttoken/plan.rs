//! What a Secret of a token lacks, and whose it is. Pure.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};

use crate::everything::Node;

/// The annotation that names a Secret's account.
pub const ACCOUNT: &str = "kubernetes.io/service-account.name";
/// The annotation that tells which account of that name is meant.
pub const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";
const TOKEN: &str = "token";
const AUTHORITY: &str = "ca.crt";
const NAMESPACE: &str = "namespace";

/// What is to be looked at. A uid is "" where any object of the name will do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A Secret that is or was there.
    Secret { namespace: String, name: String, uid: String, account: String, account_uid: String },
    /// An account that went.
    Account { namespace: String, name: String, uid: String },
}

impl Key {
    /// None for a Secret that names no account.
    pub fn of_secret(secret: &Secret) -> Option<Self> {
        let account = annotation(secret, ACCOUNT);
        if account.is_empty() {
            return None;
        }
        let metadata = &secret.metadata;
        Some(Self::Secret {
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
            account: account.to_owned(),
            account_uid: annotation(secret, ACCOUNT_UID).to_owned(),
        })
    }

    pub fn of_account(account: &Node) -> Self {
        Self::Account {
            namespace: account.namespace.clone(),
            name: account.name.clone(),
            uid: account.uid.clone(),
        }
    }
}

fn annotation<'a>(secret: &'a Secret, name: &str) -> &'a str {
    let annotations = secret.metadata.annotations.as_ref();
    annotations.and_then(|annotations| annotations.get(name)).map_or("", String::as_str)
}

/// Whether an object of this uid is the one that `wanted` names.
pub fn is_meant(uid: &str, wanted: &str) -> bool {
    wanted.is_empty() || uid == wanted
}

/// Whether a Secret is of the account with this name and uid.
pub fn is_of(secret: &Secret, account: &str, uid: &str) -> bool {
    annotation(secret, ACCOUNT) == account && is_meant(uid, annotation(secret, ACCOUNT_UID))
}

/// What a Secret lacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    pub authority: bool,
    pub namespace: bool,
    pub token: bool,
}

impl Missing {
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

/// `authority` is the cluster's (PEM), where it is known.
pub fn missing(secret: &Secret, authority: Option<&str>) -> Missing {
    let value = |name: &str| {
        let data = secret.data.as_ref();
        data.and_then(|data| data.get(name)).map_or(&[][..], |bytes| bytes.0.as_slice())
    };
    Missing {
        authority: authority.is_some_and(|pem| value(AUTHORITY) != pem.as_bytes()),
        namespace: value(NAMESPACE).is_empty(),
        token: value(TOKEN).is_empty(),
    }
}

/// Fills what is missing, `token` where it is given, and tells whose the Secret is.
pub fn fill(
    secret: &mut Secret,
    account: (&str, &str),
    missing: Missing,
    authority: Option<&str>,
    token: Option<String>,
) {
    let namespace = secret.metadata.namespace.clone().unwrap_or_default();
    let data = secret.data.get_or_insert_default();
    let mut set = |name: &str, value: &str| {
        data.insert(name.to_owned(), ByteString(value.as_bytes().to_vec()));
    };
    if let (true, Some(pem)) = (missing.authority, authority) {
        set(AUTHORITY, pem);
    }
    if missing.namespace {
        set(NAMESPACE, &namespace);
    }
    if let Some(token) = token {
        set(TOKEN, &token);
    }
    let annotations = secret.metadata.annotations.get_or_insert_default();
    annotations.insert(ACCOUNT.to_owned(), account.0.to_owned());
    annotations.insert(ACCOUNT_UID.to_owned(), account.1.to_owned());
}

/// The account without its reference to a Secret; None where it has none.
pub fn without(mut account: ServiceAccount, secret: &str) -> Option<ServiceAccount> {
    let secrets = account.secrets.as_mut()?;
    let before = secrets.len();
    secrets.retain(|reference| reference.name.as_deref() != Some(secret));
    (secrets.len() < before).then_some(account)
}
