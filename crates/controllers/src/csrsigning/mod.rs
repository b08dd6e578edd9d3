//! CSR signer: certificates for the approved requests of Kubernetes' own
//! signers.
//!
//! Watches CertificateSigningRequests; owns the certificate in their status,
//! or the word that their signer would not sign. Never approves, and never
//! holds a private key: the authority is behind [`Signer`].

mod act;
mod plan;
#[cfg(test)]
mod tests;

use informer::ObjectKey;
use jiff::{SignedDuration, Timestamp};

use crate::Context;

pub(crate) use plan::objection;

/// What a request (PKCS#10) asks to be called.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    pub common_name: String,
    pub organizations: Vec<String>,
    pub dns_names: bool,
    pub addresses: bool,
    pub emails: bool,
    pub uris: bool,
}

/// The cluster's authority, as this controller uses it.
pub trait Signer: Send + Sync {
    /// Reads a request (PEM).
    fn read(&self, request: &[u8]) -> Result<Asked, String>;

    /// The certificate (PEM) for a request, with `usages` in the words of
    /// certificates.k8s.io.
    fn sign(
        &self,
        request: &[u8],
        usages: &[String],
        life: SignedDuration,
        now: Timestamp,
    ) -> Result<Vec<u8>, String>;
}

/// Starts the controller's watches and workers, where there is an authority
/// that signs.
pub fn start(context: &Context) {
    let Some(signer) = context.signer() else { return };
    let queue = context.queue::<ObjectKey>("certificate");
    let requests = context.certificate_requests().clone();

    let changed = queue.clone();
    requests.on_change(move |change| {
        if change.new.is_some_and(|request| plan::is_due(&request.0)) {
            changed.add(change.key.clone());
        }
    });

    let reconciler = act::Desk {
        edge: context.edge.clone(),
        transport: context.transport("certificate-controller"),
        requests: requests.clone(),
        signer,
    };
    context.run(queue, reconciler, 1, async move { requests.synced().await });
}
