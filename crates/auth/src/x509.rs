//! Clients with a certificate of the cluster's authority: `CN` is the user's
//! name, each `O` a group (KEP-4193 adds the credential's id).

use std::sync::Arc;

use apiserver::{Authenticator, Credentials, Identity, UserInfo, View};
use parking_lot::Mutex;

use crate::CREDENTIAL_ID;

/// Certificates remembered; each connection brings the same one again and again.
const REMEMBERED: usize = 256;

/// Reads client certificates.
#[derive(Default)]
pub struct X509 {
    /// Certificates (DER) with what was read from them, oldest first.
    known: Mutex<Vec<(Vec<u8>, Known)>>,
}

#[derive(Clone)]
struct Known {
    user: Arc<UserInfo>,
    not_before: jiff::Timestamp,
    not_after: jiff::Timestamp,
    client: bool,
}

impl X509 {
    pub fn new() -> Self {
        Self::default()
    }

    fn read(&self, der: &[u8]) -> Option<Known> {
        let mut known = self.known.lock();
        if let Some((_, found)) = known.iter().rev().find(|(certificate, _)| certificate == der) {
            return Some(found.clone());
        }
        let peer = pki::read_peer(der)?;
        let mut user = UserInfo {
            name: peer.common_name,
            uid: peer.uid,
            groups: peer.organizations,
            ..UserInfo::default()
        };
        user.extra.insert(CREDENTIAL_ID.to_owned(), vec![format!("X509SHA256={}", peer.fingerprint)]);
        let read = Known {
            user: Arc::new(user),
            not_before: peer.not_before,
            not_after: peer.not_after,
            client: peer.client,
        };
        if known.len() >= REMEMBERED {
            known.remove(0);
        }
        known.push((der.to_vec(), read.clone()));
        Some(read)
    }
}

impl Authenticator for X509 {
    fn authenticate(&self, credentials: &Credentials<'_>, _view: &View) -> Result<Option<Identity>, String> {
        let Some(certificate) = credentials.certificates.first() else { return Ok(None) };
        let Some(known) = self.read(certificate) else {
            return Err("the client's certificate cannot be read".into());
        };
        if !known.client {
            return Err(format!("the certificate of {:?} is not for clients", known.user.name));
        }
        if credentials.now < known.not_before || credentials.now > known.not_after {
            return Err(format!("the certificate of {:?} is expired or not valid yet", known.user.name));
        }
        if known.user.name.is_empty() {
            return Ok(None);
        }
        Ok(Some(Identity { user: known.user, audiences: Vec::new(), expires: Some(known.not_after) }))
    }
}
