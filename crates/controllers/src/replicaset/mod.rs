//! ReplicaSet: so many pods of a template.
//!
//! Watches ReplicaSets and pods; owns the pods it creates and the status of
//! its sets. It never touches a pod of another controller. The same loop runs
//! every [`Replicated`] kind.

mod act;
mod kind;
mod metrics;
mod plan;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use informer::{Informer, ObjectKey, Whole};

pub(crate) use self::kind::Replicated;
use crate::{Context, expectations::Expectations};

/// Starts the controller's watches and workers.
pub fn start(context: &Context) {
    run(context, context.replica_sets().clone());
}

/// Starts the loop over `sets`, which are indexed by their owners.
pub(crate) fn run<K: Replicated>(context: &Context, sets: Informer<Whole<K>>) {
    let queue = context.queue::<ObjectKey>(K::QUEUE);
    let expectations = Arc::new(Expectations::default());
    let pods = context.pods().clone();

    let changed = queue.clone();
    sets.on_change(move |change| changed.add(change.key.clone()));

    let (changed, seen, owners) = (queue.clone(), expectations.clone(), sets.clone());
    pods.on_change(move |change| {
        for pod in [change.old, change.new].into_iter().flatten() {
            match &pod.controller {
                Some(owner) if owner.kind == K::KIND => {
                    changed.add(ObjectKey::new(pod.namespace.clone(), owner.name.clone()));
                }
                Some(_) => {}
                // An orphan: any set of its namespace may adopt it.
                None => owners.namespace(&pod.namespace).iter().for_each(|set| {
                    changed.add(ObjectKey::of(set.metadata()));
                }),
            }
        }
        seen.note_pod_change(K::KIND, &change);
    });

    let reconciler = act::Sets {
        edge: context.edge.clone(),
        transport: context.transport(K::IDENTITY),
        recorder: context.recorder(K::IDENTITY),
        sets: sets.clone(),
        pods: pods.clone(),
        expectations,
        metrics: metrics::Metrics::among(context.metrics()),
    };
    context.run(queue, reconciler, 5, async move {
        sets.synced().await;
        pods.synced().await;
    });
}
