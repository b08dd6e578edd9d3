//! EndpointSlice: the addresses behind every Service with a selector, at most
//! a hundred to a slice.
//!
//! Watches Services, pods, nodes and EndpointSlices; owns the slices that bear
//! its name as `endpointslice.kubernetes.io/managed-by`. It never touches
//! those of others, nor Services without a selector.
//! `spec.trafficDistribution` shows as hints.

mod act;
mod hints;
mod metrics;
mod plan;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use informer::ObjectKey;

use crate::context::NODE;
use crate::{Context, services, slices};

/// Starts the controller's watches and workers.
pub fn start(context: &Context) {
    let queue = context.queue::<ObjectKey>("endpoint_slice");
    let all = context.services().clone();
    let pods = context.pods().clone();
    let nodes = context.nodes().clone();
    let slices = slices::managed(context, plan::MANAGER);
    let tracker = Arc::new(slices::Tracker::new(metrics::Metrics::changes(context.metrics())));

    let changed = queue.clone();
    all.on_change(move |change| changed.add(change.key.clone()));

    let (changed, of_pods) = (queue.clone(), all.clone());
    pods.on_change(move |change| services::enqueue_for_pod(&changed, &of_pods, &change));

    // A slice shows its pods' zones and leaves out pods of missing nodes.
    let (changed, of_nodes, on_node) = (queue.clone(), all.clone(), pods.clone());
    nodes.on_change(move |change| {
        let zone =
            |node: Option<&Arc<crate::nodes::NodeView>>| node.map(|node| node.zone().map(str::to_owned));
        if zone(change.old) == zone(change.new) {
            return;
        }
        for pod in on_node.by_index(NODE, &change.key.name) {
            let namespace = of_nodes.namespace(&pod.namespace);
            for service in namespace.iter().filter(|service| services::selects(&service.0, &pod)) {
                changed.add(ObjectKey::of(&service.metadata));
            }
        }
    });

    slices::follow(&slices, queue.clone(), tracker.clone());

    let reconciler = act::EndpointSlices {
        transport: context.transport("endpointslice-controller"),
        services: all.clone(),
        pods: pods.clone(),
        nodes: nodes.clone(),
        slices: slices.clone(),
        tracker,
        metrics: metrics::Metrics::among(context.metrics()),
    };
    context.run(queue, reconciler, 5, async move {
        all.synced().await;
        pods.synced().await;
        nodes.synced().await;
        slices.synced().await;
    });
}
