//! Disruption: how many pods of a PodDisruptionBudget may be evicted now.
//!
//! Watches PodDisruptionBudgets, pods and the kinds that scale them; owns the
//! status of its budgets, and takes back the DisruptionTarget condition of a
//! pod that was not deleted after all.

mod act;
mod plan;
mod scale;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use client::Resource;
use informer::{EventType, ObjectKey, Options, Whole};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use crate::Context;
use crate::pods::PodView;

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Budget(ObjectKey),
    /// A pod whose condition may be stale.
    Pod(ObjectKey),
}

/// Starts the controller's watches and workers.
pub fn start(context: &Context) {
    let queue = context.queue::<Subject>("disruption");
    let budgets = context
        .informer::<Whole<PodDisruptionBudget>>(Resource::of::<PodDisruptionBudget>(), Options::default());
    let pods = context.pods().clone();
    let recorder = context.recorder_as("disruption-controller", "controllermanager");

    let changed = queue.clone();
    budgets.on_change(move |change| changed.add(Subject::Budget(change.key.clone())));

    let (changed, all, told) = (queue.clone(), budgets.clone(), recorder.clone());
    pods.on_change(move |change| {
        let known = all.namespace(&change.key.namespace);
        let matching = |pod: Option<&Arc<PodView>>| -> Vec<&Arc<Whole<PodDisruptionBudget>>> {
            let Some(pod) = pod else { return Vec::new() };
            known.iter().filter(|budget| plan::selector(&budget.0).matches(&pod.labels)).collect()
        };
        let now = matching(change.new);
        if let ([first, _, ..], Some(pod)) = (now.as_slice(), change.new) {
            let message = format!(
                "Pod {:?}/{:?} matches multiple PodDisruptionBudgets.  Chose {:?} arbitrarily.",
                pod.namespace,
                pod.name,
                first.metadata.name.as_deref().unwrap_or_default()
            );
            told.event(&pod.reference(), EventType::Warning, "MultiplePodDisruptionBudgets", message);
        }
        for budget in matching(change.old).into_iter().chain(now) {
            changed.add(Subject::Budget(ObjectKey::of(&budget.metadata)));
        }
        if change.new.is_some_and(|pod| pod.disrupted.is_some()) {
            changed.add(Subject::Pod(change.key.clone()));
        }
    });

    let scales = scale::Scales {
        transport: context.transport("disruption-controller"),
        deployments: context.deployments().clone(),
        replica_sets: context.replica_sets().clone(),
        replication_controllers: context.replication_controllers().clone(),
        stateful_sets: context.stateful_sets().clone(),
        everything: context.everything().clone(),
    };
    let synced = scales.clone();
    let reconciler = act::Budgets {
        edge: context.edge.clone(),
        transport: context.transport("disruption-controller"),
        recorder,
        budgets: budgets.clone(),
        pods: pods.clone(),
        scales,
    };
    context.run(queue, reconciler, 1, async move {
        budgets.synced().await;
        pods.synced().await;
        synced.synced().await;
    });
}
