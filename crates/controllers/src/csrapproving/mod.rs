//! CSR approver: approves nodes' requests for their own client certificates,
//! where their user may ask for them.
//!
//! Watches CertificateSigningRequests; owns the approval of those it knows.
//! Never signs.

mod act;
mod plan;
#[cfg(test)]
mod tests;

use informer::ObjectKey;

use crate::Context;

/// Starts the controller's watches and workers, where requests can be read.
pub fn start(context: &Context) {
    let Some(signer) = context.signer() else { return };
    let queue = context.queue::<ObjectKey>("certificate");
    let requests = context.certificate_requests().clone();

    let changed = queue.clone();
    requests.on_change(move |change| {
        if change.new.is_some_and(|request| plan::is_open(&request.0)) {
            changed.add(change.key.clone());
        }
    });

    let reconciler = act::Approver {
        transport: context.transport("certificate-controller"),
        requests: requests.clone(),
        signer,
    };
    context.run(queue, reconciler, 1, async move { requests.synced().await });
}
