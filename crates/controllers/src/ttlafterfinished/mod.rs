//! TTL after finished: deletes Jobs when their `ttlSecondsAfterFinished` is over.
//!
//! Watches Jobs; owns nothing.

mod act;
mod metrics;
mod plan;
#[cfg(test)]
mod tests;

use client::Resource;
use informer::{ObjectKey, Options};

use crate::Context;

/// Starts the controller's watches and workers.
pub fn start(context: &Context) {
    let queue = context.queue::<ObjectKey>("ttl_jobs_to_delete");
    let jobs = context.informer::<plan::Finished>(Resource::new("batch", "v1", "jobs"), Options::default());

    let changed = queue.clone();
    jobs.on_change(move |change| {
        if change.new.is_some_and(|job| job.ttl.is_some()) {
            changed.add(change.key.clone());
        }
    });

    let reconciler = act::Expiries {
        edge: context.edge.clone(),
        transport: context.transport("ttl-after-finished-controller"),
        jobs: jobs.clone(),
        metrics: metrics::Metrics::among(context.metrics()),
    };
    context.run(queue, reconciler, 1, async move { jobs.synced().await });
}
