//! ReplicaSet: so many pods of a template.
//!
//! Watches ReplicaSets and pods; owns the pods it creates and the status of
//! its sets. It never touches a pod of another controller.

mod act;
mod plan;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use informer::{ObjectKey, Queue};

use crate::{Context, expectations::Expectations};

/// Starts the controller's watches and workers.
pub fn start(context: &Context) {
    let queue = Queue::<ObjectKey>::new();
    let expectations = Arc::new(Expectations::default());
    let sets = context.replica_sets().clone();
    let pods = context.pods().clone();

    let changed = queue.clone();
    sets.on_change(move |change| changed.add(change.key.clone()));

    let (changed, seen, owners) = (queue.clone(), expectations.clone(), sets.clone());
    pods.on_change(move |change| {
        for pod in [change.old, change.new].into_iter().flatten() {
            match &pod.controller {
                Some(owner) if owner.kind == "ReplicaSet" => {
                    changed.add(ObjectKey::new(pod.namespace.clone(), owner.name.clone()));
                }
                Some(_) => {}
                // An orphan: any set of its namespace may adopt it.
                None => owners.namespace(&pod.namespace).iter().for_each(|set| {
                    changed.add(ObjectKey::of(&set.metadata));
                }),
            }
        }
        seen.note_pod_change("ReplicaSet", &change);
    });

    let reconciler = act::ReplicaSets {
        edge: context.edge.clone(),
        transport: context.transport("replicaset-controller"),
        recorder: context.recorder("replicaset-controller"),
        sets: sets.clone(),
        pods: pods.clone(),
        expectations,
    };
    let edge = context.edge.clone();
    context.edge.tasks.spawn(async move {
        sets.synced().await;
        pods.synced().await;
        informer::run(&edge, queue, Arc::new(reconciler), 5);
    });
}
