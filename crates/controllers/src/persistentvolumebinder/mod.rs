//! PersistentVolume binder: claims and the volumes that satisfy them.
//!
//! Watches claims, volumes and storage classes; owns what ties the first two
//! together, and their phases. It makes no volume and wipes none: volumes of a
//! class come from its provisioner, outside of this program.

mod act;
mod metrics;
mod plan;
#[cfg(test)]
mod tests;

use client::Resource;
use informer::{Index, ObjectKey, Options, Whole};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;

use crate::Context;

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Claim(ObjectKey),
    Volume(String),
}

/// The index of claims that have no volume yet.
const UNBOUND: &str = "unbound";

/// Starts the controller's watches and workers.
pub fn start(context: &Context) {
    let queue = context.queue::<Key>("claims");
    let volumes =
        context.informer::<Whole<PersistentVolume>>(Resource::of::<PersistentVolume>(), Options::default());
    let unbound = Index {
        name: UNBOUND,
        values: |claim: &Whole<PersistentVolumeClaim>| {
            let is_bound = claim.spec.as_ref().is_some_and(|spec| spec.volume_name.is_some());
            (!is_bound).then(String::new).into_iter().collect()
        },
    };
    let claims = context.informer::<Whole<PersistentVolumeClaim>>(
        Resource::of::<PersistentVolumeClaim>(),
        Options::indexed(vec![unbound]),
    );
    let classes = context.informer::<Whole<StorageClass>>(Resource::of::<StorageClass>(), Options::default());
    let pods = context.pods().clone();

    let changed = queue.clone();
    claims.on_change(move |change| {
        changed.add(Key::Claim(change.key.clone()));
        // A claim that goes or moves releases its volume.
        for claim in [change.old, change.new].into_iter().flatten() {
            if let Some(name) = claim.spec.as_ref().and_then(|spec| spec.volume_name.clone()) {
                changed.add(Key::Volume(name));
            }
        }
    });

    let (changed, waiting) = (queue.clone(), claims.clone());
    volumes.on_change(move |change| {
        changed.add(Key::Volume(change.key.name.clone()));
        for volume in [change.old, change.new].into_iter().flatten() {
            match volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref()) {
                Some(claim) => changed.add(Key::Claim(ObjectKey::new(
                    claim.namespace.clone().unwrap_or_default(),
                    claim.name.clone().unwrap_or_default(),
                ))),
                // Anybody may want it.
                None => waiting.by_index(UNBOUND, "").iter().for_each(|claim| {
                    changed.add(Key::Claim(ObjectKey::of(&claim.metadata)));
                }),
            }
        }
        // Somebody may have asked for it by name.
        if change.old.is_none() || change.new.is_none() {
            for claim in waiting.list() {
                let wanted = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref());
                if wanted == Some(change.key.name.as_str()) {
                    changed.add(Key::Claim(ObjectKey::of(&claim.metadata)));
                }
            }
        }
    });

    let (changed, waiting) = (queue.clone(), claims.clone());
    classes.on_change(move |_| {
        for claim in waiting.by_index(UNBOUND, "") {
            changed.add(Key::Claim(ObjectKey::of(&claim.metadata)));
        }
    });

    metrics::publish(context.metrics(), &volumes, &claims);
    let reconciler = act::Binder {
        transport: context.transport("persistent-volume-binder"),
        recorder: context.recorder_as("persistent-volume-binder", "persistentvolume-controller"),
        volumes: volumes.clone(),
        claims: claims.clone(),
        classes: classes.clone(),
        pods: pods.clone(),
    };
    // One worker: two claims must not be given the same volume.
    context.run(queue, reconciler, 1, async move {
        volumes.synced().await;
        claims.synced().await;
        classes.synced().await;
        pods.synced().await;
    });
}
