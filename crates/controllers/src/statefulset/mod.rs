//! StatefulSet: pods with names, an order and volumes of their own.
//!
//! Watches StatefulSets, pods, ControllerRevisions and
//! PersistentVolumeClaims; owns its pods, their claims' owner references, its
//! revisions and its status. It never deletes a claim: the garbage collector
//! does, by the references.

mod act;
mod claims;
mod history;
mod members;
mod metrics;
mod plan;
mod status;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use informer::ObjectKey;
use k8s_openapi::api::apps::v1::ControllerRevision;

use crate::{Context, expectations::Expectations};

/// Starts the controller's watches and workers.
pub fn start(context: &Context) {
    let queue = context.queue::<ObjectKey>("statefulset");
    let expectations = Arc::new(Expectations::default());
    let sets = context.stateful_sets().clone();
    let revisions = context.owned::<ControllerRevision>();
    let volumes = context.volume_claims().clone();
    let pods = context.pods().clone();

    let changed = queue.clone();
    sets.on_change(move |change| changed.add(change.key.clone()));

    let (changed, seen, owners) = (queue.clone(), expectations.clone(), sets.clone());
    pods.on_change(move |change| {
        for pod in [change.old, change.new].into_iter().flatten() {
            match &pod.controller {
                Some(owner) if owner.kind == "StatefulSet" => {
                    changed.add(ObjectKey::new(pod.namespace.clone(), owner.name.clone()));
                }
                Some(_) => {}
                None => owners.namespace(&pod.namespace).iter().for_each(|set| {
                    changed.add(ObjectKey::of(&set.metadata));
                }),
            }
        }
        seen.note_pod_change("StatefulSet", &change);
    });

    // A claim that is gone may be what a new pod waits for.
    let (changed, owners) = (queue.clone(), sets.clone());
    volumes.on_change(move |change| {
        if change.new.is_none() {
            let sets = owners.namespace(&change.key.namespace);
            let waiting = sets.iter().filter(|set| claims::is_named_by(&set.0, &change.key.name));
            waiting.for_each(|set| changed.add(ObjectKey::of(&set.metadata)));
        }
    });

    let reconciler = act::StatefulSets {
        edge: context.edge.clone(),
        transport: context.transport("statefulset-controller"),
        recorder: context.recorder("statefulset-controller"),
        sets: sets.clone(),
        revisions: revisions.clone(),
        volumes: volumes.clone(),
        pods: pods.clone(),
        expectations,
        metrics: metrics::Metrics::among(context.metrics()),
    };
    context.run(queue, reconciler, 5, async move {
        sets.synced().await;
        revisions.synced().await;
        volumes.synced().await;
        pods.synced().await;
    });
}
