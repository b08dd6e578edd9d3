//! HorizontalPodAutoscaler: as many replicas as its metrics call for.
//!
//! Watches autoscalers; owns their status and the scale of their targets. Looks
//! at each every 15 seconds, for metrics tell nobody that they changed. It never
//! touches a pod.

mod act;
mod behavior;
mod metrics;
mod plan;
mod readings;
mod replicas;
#[cfg(test)]
mod tests;

use client::Resource;
use informer::{ObjectKey, Options, Whole};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;

use crate::Context;

/// Starts the controller's watches and workers.
pub fn start(context: &Context) {
    let queue = context.queue::<ObjectKey>("horizontalpodautoscaler");
    let autoscalers = context.informer::<Whole<HorizontalPodAutoscaler>>(
        Resource::of::<HorizontalPodAutoscaler>(),
        Options::default(),
    );
    let everything = context.everything().clone();

    let changed = queue.clone();
    autoscalers.on_change(move |change| {
        let generation = |autoscaler: Option<&std::sync::Arc<Whole<HorizontalPodAutoscaler>>>| {
            autoscaler.map(|autoscaler| (autoscaler.metadata.uid.clone(), autoscaler.metadata.generation))
        };
        // Its own status is no news.
        if generation(change.old) != generation(change.new) {
            changed.add(change.key.clone());
        }
    });

    let reconciler = act::Autoscalers {
        edge: context.edge.clone(),
        transport: context.transport("horizontal-pod-autoscaler"),
        recorder: context.recorder("horizontal-pod-autoscaler"),
        autoscalers: autoscalers.clone(),
        everything: everything.clone(),
        memory: Default::default(),
        metrics: metrics::Metrics::among(context.metrics(), autoscalers.clone()),
    };
    context.run(queue, reconciler, 5, async move {
        autoscalers.synced().await;
        everything.synced().await;
    });
}
