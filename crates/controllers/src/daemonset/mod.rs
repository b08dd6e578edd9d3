//! DaemonSet: a pod on every node that suits.
//!
//! Watches DaemonSets, nodes, pods and ControllerRevisions; owns its pods, its
//! revisions and its status. It binds no pod: the scheduler does, by the node
//! affinity that each pod gets.

mod act;
mod history;
mod placement;
mod plan;
mod status;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use client::Resource;
use informer::{ObjectKey, Options, Whole};
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet};

use crate::nodes::NodeView;
use crate::{Context, expectations::Expectations};

/// Starts the controller's watches and workers.
pub fn start(context: &Context) {
    let queue = context.queue::<ObjectKey>("daemonset");
    let expectations = Arc::new(Expectations::default());
    let sets = context.informer::<Whole<DaemonSet>>(Resource::of::<DaemonSet>(), Options::default());
    let revisions = context.owned::<ControllerRevision>();
    let pods = context.pods().clone();
    let nodes = context.nodes().clone();

    let changed = queue.clone();
    sets.on_change(move |change| changed.add(change.key.clone()));

    let (changed, of) = (queue.clone(), sets.clone());
    revisions.on_change(move |change| {
        for revision in [change.old, change.new].into_iter().flatten() {
            for owner in revision.metadata.owner_references.iter().flatten() {
                let key = ObjectKey::new(change.key.namespace.clone(), owner.name.clone());
                if owner.kind == "DaemonSet" && of.get(&key).is_some() {
                    changed.add(key);
                }
            }
        }
    });

    let (changed, seen, owners) = (queue.clone(), expectations.clone(), sets.clone());
    pods.on_change(move |change| {
        for pod in [change.old, change.new].into_iter().flatten() {
            match &pod.controller {
                Some(owner) if owner.kind == "DaemonSet" => {
                    changed.add(ObjectKey::new(pod.namespace.clone(), owner.name.clone()));
                }
                Some(_) => {}
                None => owners.namespace(&pod.namespace).iter().for_each(|set| {
                    changed.add(ObjectKey::of(&set.metadata));
                }),
            }
        }
        seen.note_pod_change("DaemonSet", &change);
    });

    // Heartbeats are no news: only what placement looks at.
    let (changed, all) = (queue.clone(), sets.clone());
    nodes.on_change(move |change| {
        let placed_by = |node: &Arc<NodeView>| (node.labels.clone(), node.taints.clone(), node.unschedulable);
        if change.old.map(placed_by) != change.new.map(placed_by) {
            all.list().iter().for_each(|set| changed.add(ObjectKey::of(&set.metadata)));
        }
    });

    let reconciler = act::DaemonSets {
        edge: context.edge.clone(),
        transport: context.transport("daemon-set-controller"),
        recorder: context.recorder("daemon-set-controller"),
        sets: sets.clone(),
        revisions: revisions.clone(),
        pods: pods.clone(),
        nodes: nodes.clone(),
        expectations,
        failed: Default::default(),
    };
    context.run(queue, reconciler, 2, async move {
        sets.synced().await;
        revisions.synced().await;
        pods.synced().await;
        nodes.synced().await;
    });
}
