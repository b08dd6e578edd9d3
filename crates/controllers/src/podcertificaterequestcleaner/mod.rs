//! PodCertificateRequest cleaner: requests go when nothing will come of them
//! any more.
//!
//! Watches PodCertificateRequests; owns none, and deletes them by their age.

mod act;
mod plan;
#[cfg(test)]
mod tests;

use client::Resource;
use informer::{ObjectKey, Options};

use crate::Context;

/// Starts the controller's watches and workers.
pub fn start(context: &Context) {
    let queue = context.queue::<ObjectKey>("podcertificaterequest_cleaner");
    let requests = context.informer::<plan::Aged>(
        Resource::new("certificates.k8s.io", "v1", "podcertificaterequests"),
        Options::default(),
    );

    let changed = queue.clone();
    requests.on_change(move |change| {
        if change.old.is_none() {
            changed.add(change.key.clone());
        }
    });

    let reconciler = act::Cleaner {
        edge: context.edge.clone(),
        transport: context.transport("podcertificaterequestcleaner"),
        requests: requests.clone(),
    };
    context.run(queue, reconciler, 1, async move { requests.synced().await });
}
