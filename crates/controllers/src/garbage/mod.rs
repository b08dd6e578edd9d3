//! Garbage collection: what has lost its owners goes, and what is deleted
//! waits for or leaves behind its dependents, as it was asked.
//!
//! Watches the metadata of every resource; owns the finalizers
//! `foregroundDeletion` and `orphan`. It deletes nothing on the word of a view:
//! the object and its owners are asked for live before.

mod act;
mod graph;
mod plan;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use parking_lot::Mutex;
use serve::families::Description;

use crate::Context;

/// Starts the controller's watches and workers. Keys are uids.
pub fn start(context: &Context) {
    // Resources are known from facts and definitions, so that no look at
    // discovery can fail: the number stays where it begins.
    context.metrics().counter(Description {
        name: "garbagecollector_controller_resources_sync_error_total",
        help: "[ALPHA] Number of garbage collector resources sync errors",
        labels: &[],
    });
    let queue = context.queue::<graph::Uid>("garbage_collector_attempt_to_delete");
    let everything = context.everything().clone();
    let graph = Arc::new(Mutex::new(graph::Graph::default()));

    let (changed, known) = (queue.clone(), graph.clone());
    everything.on_change(move |change| {
        for uid in known.lock().apply(change.kind, change.old, change.new) {
            changed.add(uid);
        }
    });

    let reconciler = act::Collector {
        transport: context.transport("generic-garbage-collector"),
        recorder: context.recorder("generic-garbage-collector"),
        everything: everything.clone(),
        graph,
    };
    context.run(queue, reconciler, 10, async move { everything.synced().await });
}
