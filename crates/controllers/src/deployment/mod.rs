//! Deployment: ReplicaSets that follow a template, step by step.
//!
//! Watches Deployments, ReplicaSets and pods; owns the ReplicaSets it creates
//! and the status of its Deployments. It never touches a pod.

mod act;
mod plan;
mod rolling;
mod status;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use informer::ObjectKey;

use crate::Context;

/// Starts the controller's watches and workers.
pub fn start(context: &Context) {
    let queue = context.queue::<ObjectKey>("deployment");
    let deployments = context.deployments().clone();
    let sets = context.replica_sets().clone();
    let pods = context.pods().clone();

    let changed = queue.clone();
    deployments.on_change(move |change| changed.add(change.key.clone()));

    let (changed, owners) = (queue.clone(), deployments.clone());
    sets.on_change(move |change| {
        for set in [change.old, change.new].into_iter().flatten() {
            let namespace = &change.key.namespace;
            match set.metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
            {
                Some(owner) if owner.kind == "Deployment" => {
                    changed.add(ObjectKey::new(namespace.clone(), owner.name.clone()));
                }
                Some(_) => {}
                // An orphan: any Deployment of its namespace may adopt it.
                None => owners.namespace(namespace).iter().for_each(|deployment| {
                    changed.add(ObjectKey::of(&deployment.metadata));
                }),
            }
        }
    });

    // Recreate waits for the last old pod to go.
    let (changed, owning_sets) = (queue.clone(), sets.clone());
    pods.on_change(move |change| {
        let (Some(old), None) = (change.old, change.new) else { return };
        let Some(owner) = old.controller.as_ref().filter(|owner| owner.kind == "ReplicaSet") else { return };
        let Some(set) = owning_sets.get(&ObjectKey::new(old.namespace.clone(), owner.name.clone())) else {
            return;
        };
        for owner in set.metadata.owner_references.iter().flatten().filter(|owner| owner.kind == "Deployment")
        {
            changed.add(ObjectKey::new(old.namespace.clone(), owner.name.clone()));
        }
    });

    let reconciler = act::Deployments {
        edge: context.edge.clone(),
        transport: context.transport("deployment-controller"),
        recorder: context.recorder("deployment-controller"),
        deployments: deployments.clone(),
        sets: sets.clone(),
        pods: pods.clone(),
    };
    let edge = context.edge.clone();
    context.edge.tasks.spawn(async move {
        deployments.synced().await;
        sets.synced().await;
        pods.synced().await;
        informer::run(&edge, queue, Arc::new(reconciler), 5);
    });
}
