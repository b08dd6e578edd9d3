//! Taint eviction: deletes pods from nodes whose NoExecute taints they do not
//! tolerate, or no longer.
//!
//! Watches nodes and pods; owns neither.

mod act;
mod plan;
#[cfg(test)]
mod tests;

use informer::ObjectKey;

use crate::Context;
use crate::deletions::Metrics;

/// Starts the controller's watches and workers. Keys are nodes.
pub fn start(context: &Context) {
    let queue = context.queue::<String>("noexec_taint_node");
    let nodes = context.nodes().clone();
    let pods = context.pods().clone();

    let changed = queue.clone();
    nodes.on_change(move |change| {
        let taints = |node: Option<&std::sync::Arc<crate::nodes::NodeView>>| {
            node.map(|node| plan::no_execute(&node.taints)).unwrap_or_default()
        };
        if taints(change.old) != taints(change.new) || !taints(change.new).is_empty() {
            changed.add(change.key.name.clone());
        }
    });

    let (changed, of) = (queue.clone(), nodes.clone());
    pods.on_change(move |change| {
        let Some(new) = change.new.filter(|pod| !pod.node.is_empty()) else { return };
        if change.old.is_some_and(|old| old.node == new.node) {
            return;
        }
        let node = of.get(&ObjectKey::cluster(new.node.clone()));
        if node.is_some_and(|node| !plan::no_execute(&node.taints).is_empty()) {
            changed.add(new.node.clone());
        }
    });

    let reconciler = act::Evictions {
        edge: context.edge.clone(),
        transport: context.transport("node-controller"),
        recorder: context.recorder("node-controller"),
        nodes: nodes.clone(),
        seen: Default::default(),
        metrics: metrics(context),
    };
    context.run(queue, reconciler, 1, async move {
        nodes.synced().await;
        pods.synced().await;
    });
}

fn metrics(context: &Context) -> Metrics {
    Metrics::among(
        context.metrics(),
        [
            "taint_eviction_controller_pod_deletions_total",
            "[ALPHA] Total number of Pods deleted by TaintEvictionController since its start.",
        ],
        [
            "taint_eviction_controller_pod_deletion_duration_seconds",
            "[ALPHA] Latency, in seconds, between the time when a taint effect has been activated for the Pod and \
             its deletion via TaintEvictionController.",
        ],
    )
}
