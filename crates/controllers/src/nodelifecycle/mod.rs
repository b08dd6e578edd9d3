//! Node lifecycle: notices nodes that no longer speak, and says so in their
//! conditions, their taints and their pods' readiness.
//!
//! Watches nodes, their Leases and pods; owns the taints
//! `node.kubernetes.io/…` of conditions. It deletes no pod: that is taint
//! eviction's matter.

mod act;
mod metrics;
mod plan;
#[cfg(test)]
mod tests;
mod zones;

use std::sync::Arc;

use informer::{ObjectKey, Options};

use crate::Context;
use crate::context::NODE;

/// Starts the controller's watches and workers. Keys are nodes.
pub fn start(context: &Context) {
    let queue = context.queue::<String>("node_lifecycle_controller");
    let nodes = context.nodes().clone();
    let pods = context.pods().clone();
    let health = Arc::new(act::Health::default());
    let leases = context.informer::<act::LeaseView>(
        client::Resource::new("coordination.k8s.io", "v1", "leases"),
        Options { namespace: Some("kube-node-lease".into()), ..Options::default() },
    );

    let (changed, heard) = (queue.clone(), health.clone());
    nodes.on_change(move |change| {
        let heartbeat = |node: &crate::nodes::NodeView| {
            node.condition("Ready").and_then(|ready| ready.last_heartbeat_time.clone())
        };
        match (change.old, change.new) {
            (_, None) => heard.forget(&change.key.name),
            (Some(old), Some(new)) if heartbeat(old) == heartbeat(new) && old.uid == new.uid => {}
            _ => {
                heard.heard(&change.key.name);
            }
        }
        changed.add(change.key.name.clone());
    });

    // A renewed Lease wakes nobody: the timer of its node looks it up when due.
    let (changed, heard) = (queue.clone(), health.clone());
    leases.on_change(move |change| {
        if change.new.is_some() && heard.heard(&change.key.name) {
            changed.add(change.key.name.clone());
        }
    });

    // A pod that comes up on a node that is not ready.
    let (changed, of) = (queue.clone(), nodes.clone());
    pods.on_change(move |change| {
        let ready = change.new.is_some_and(|pod| pod.ready) && !change.old.is_some_and(|pod| pod.ready);
        let Some(pod) = change.new.filter(|_| ready) else { return };
        let node = of.get(&ObjectKey::cluster(pod.node.clone()));
        if node.is_some_and(|node| !node.is_ready()) {
            changed.add(pod.node.clone());
        }
    });

    let reconciler = act::Nodes {
        edge: context.edge.clone(),
        transport: context.transport("node-controller"),
        recorder: context.recorder("node-controller"),
        nodes: nodes.clone(),
        pods: pods.clone(),
        health,
        queue: queue.clone(),
        on_node: NODE,
        disruption: Default::default(),
        metrics: metrics::Metrics::among(context.metrics()),
    };
    context.run(queue, reconciler, 1, async move {
        nodes.synced().await;
        leases.synced().await;
        pods.synced().await;
    });
}
