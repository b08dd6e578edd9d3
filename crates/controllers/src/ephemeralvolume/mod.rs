//! Ephemeral volumes: a claim for each volume of a pod that brings its template.
//!
//! Watches pods and claims; owns the claims it creates, which go with their pod.

mod act;
mod metrics;
mod plan;
#[cfg(test)]
mod tests;

use informer::ObjectKey;

use crate::Context;

/// Starts the controller's watches and workers.
pub fn start(context: &Context) {
    let queue = context.queue::<ObjectKey>("ephemeral_volume");
    let pods = context.pods().clone();
    let claims = context.volume_claims().clone();

    let changed = queue.clone();
    pods.on_change(move |change| {
        if let (None, Some(pod)) = (change.old, change.new)
            && plan::may_have_templates(pod)
        {
            changed.add(change.key.clone());
        }
    });

    // A claim that went too early is made again, and one that stood in the way
    // makes room.
    let (changed, users) = (queue.clone(), pods.clone());
    claims.on_change(move |change| {
        if change.new.is_some() {
            return;
        }
        for pod in users.namespace(&change.key.namespace) {
            let uses = pod.claims.iter().any(|(_, claim)| *claim == change.key.name);
            if uses && plan::may_have_templates(&pod) {
                changed.add(ObjectKey::new(pod.namespace.clone(), pod.name.clone()));
            }
        }
    });

    let reconciler = act::Claims {
        transport: context.transport("ephemeral-volume-controller"),
        recorder: context.recorder_as("ephemeral-volume-controller", "ephemeral_volume"),
        pods: pods.clone(),
        claims: claims.clone(),
        metrics: metrics::Metrics::among(context.metrics()),
    };
    context.run(queue, reconciler, 2, async move {
        pods.synced().await;
        claims.synced().await;
    });
}
