//! Who asks: users and how they prove it.

use std::collections::BTreeMap;
use std::sync::Arc;

pub use rustls::pki_types::CertificateDer;

use apimachinery::validation;

use crate::View;

/// An authenticated user (authentication.k8s.io UserInfo).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserInfo {
    pub name: String,
    pub uid: String,
    pub groups: Vec<String>,
    pub extra: BTreeMap<String, Vec<String>>,
}

/// What a token bound to a pod says of the pod's node (KEP-4193).
pub(crate) const NODE_OF_TOKEN: &str = "authentication.kubernetes.io/node-name";

/// A service account's namespace and name, where a user's name can be such.
pub(crate) fn service_account(user: &str) -> Option<(&str, &str)> {
    let (namespace, account) = user.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    let valid =
        validation::dns1123_label(namespace).is_empty() && validation::dns1123_subdomain(account).is_empty();
    valid.then_some((namespace, account))
}

impl UserInfo {
    /// The node of the pod that the token of this service account is bound to.
    pub fn node_of_account(&self) -> Option<&str> {
        service_account(&self.name)?;
        match self.extra.get(NODE_OF_TOKEN)?.as_slice() {
            [node] => Some(node),
            _ => None,
        }
    }

    pub fn new(name: impl Into<String>, groups: &[&str]) -> Self {
        Self {
            name: name.into(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            ..Self::default()
        }
    }

    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|have| have == group)
    }
}

/// What a request brings to prove who it is.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// The client's chain, its own certificate first. TLS has verified it
    /// against the client authority; empty where there is none.
    pub certificates: &'a [CertificateDer<'static>],
    /// The token of `Authorization: Bearer`, or of the WebSocket protocol
    /// `base64url.bearer.authorization.k8s.io.…`.
    pub bearer: Option<&'a str>,
    pub headers: &'a http::HeaderMap,
    pub now: jiff::Timestamp,
}

/// A user, and what the proof said beside.
#[derive(Clone, Debug)]
pub struct Identity {
    pub user: Arc<UserInfo>,
    /// Audiences that the token is good for; empty where the proof has none.
    pub audiences: Vec<String>,
    /// Until when the proof is good, where it is a certificate.
    pub expires: Option<jiff::Timestamp>,
}

/// One way to prove an identity. They are asked in order.
///
/// An authenticator gives users as they are, without `system:authenticated`,
/// which the pipeline adds.
pub trait Authenticator: Send + Sync + 'static {
    /// `Ok(None)`: not my kind of proof, ask the next.
    ///
    /// # Errors
    /// My kind of proof, but it does not hold: the reason, for the log. The
    /// request is answered 401 unless a later authenticator accepts it.
    fn authenticate(&self, credentials: &Credentials<'_>, view: &View) -> Result<Option<Identity>, String>;
}
