//! TTL: how long nodes may keep what they read, by the size of the cluster.
//!
//! Watches nodes; owns their annotation `node.alpha.kubernetes.io/ttl`.

mod act;
mod plan;
#[cfg(test)]
mod tests;

use informer::ObjectKey;

use crate::Context;

/// Starts the controller's watches and workers.
pub fn start(context: &Context) {
    let queue = context.queue::<ObjectKey>("ttlcontroller");
    let nodes = context.nodes().clone();

    let changed = queue.clone();
    nodes.on_change(move |change| {
        if change.new.is_some_and(|new| change.old.is_none_or(|old| old.ttl != new.ttl)) {
            changed.add(change.key.clone());
        }
    });

    let reconciler = act::Annotations {
        transport: context.transport("ttl-controller"),
        nodes: nodes.clone(),
        step: Default::default(),
    };
    context.run(queue, reconciler, 1, async move { nodes.synced().await });
}
