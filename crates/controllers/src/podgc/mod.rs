//! Pod garbage collection: pods of nodes that are gone, pods that were deleted
//! before they got a node, and ended pods beyond a limit.
//!
//! Watches pods and nodes; owns neither. It never deletes a pod that a living
//! node answers for.

mod act;
mod metrics;
mod plan;
#[cfg(test)]
mod tests;

use informer::ObjectKey;

use crate::Context;

/// Starts the controller's watches and workers. There is one key: all pods are
/// looked at together.
pub fn start(context: &Context) {
    let queue = context.queue::<()>("orphaned_pods_nodes");
    let nodes = context.nodes().clone();
    let pods = context.pods().clone();

    let changed = queue.clone();
    nodes.on_change(move |change| {
        let out = |node: &crate::nodes::NodeView| node.has_taint(plan::OUT_OF_SERVICE, "NoExecute");
        if change.new.is_none_or(|node| out(node)) {
            changed.add(());
        }
    });

    let (changed, of, ended) = (queue.clone(), nodes.clone(), act::Ended::default());
    pods.on_change(move |change| {
        let too_many = ended.note(&change);
        let suspicious = change.new.is_some_and(|pod| {
            (pod.node.is_empty() && pod.terminating)
                || (!pod.node.is_empty() && of.get(&ObjectKey::cluster(pod.node.clone())).is_none())
        });
        if too_many || suspicious {
            changed.add(());
        }
    });

    let reconciler = act::Collector {
        edge: context.edge.clone(),
        transport: context.transport("pod-garbage-collector"),
        pods: pods.clone(),
        nodes: nodes.clone(),
        missing: Default::default(),
        metrics: metrics::Metrics::among(context.metrics()),
    };
    context.run(queue, reconciler, 1, async move {
        nodes.synced().await;
        pods.synced().await;
    });
}
