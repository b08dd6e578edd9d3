//! Class protection: a VolumeAttributesClass stays as long as a claim or a
//! volume names it.
//!
//! Watches classes, claims and volumes; owns the classes' finalizer
//! `kubernetes.io/vac-protection`.

mod act;
mod plan;
#[cfg(test)]
mod tests;

use client::Resource;
use informer::{ObjectKey, Options, Queue};

use crate::Context;

/// Starts the controller's watches and workers.
pub fn start(context: &Context) {
    let queue = context.queue::<ObjectKey>("vacprotection");
    let classes = context.informer::<plan::Class>(
        Resource::new("storage.k8s.io", "v1", "volumeattributesclasses"),
        Options::default(),
    );
    let claims = context
        .informer::<plan::Claim>(Resource::new("", "v1", "persistentvolumeclaims"), Options::default());
    let volumes =
        context.informer::<plan::Volume>(Resource::new("", "v1", "persistentvolumes"), Options::default());

    let changed = queue.clone();
    classes.on_change(move |change| {
        if change.new.is_some() {
            changed.add(change.key.clone());
        }
    });
    // What named a class and does so no more may have been the last.
    let freed = queue.clone();
    claims.on_change(move |change| add(&freed, change.old.map(|claim| &claim.classes)));
    let freed = queue.clone();
    volumes.on_change(move |change| add(&freed, change.old.map(|volume| &volume.classes)));

    let reconciler = act::Protection {
        transport: context.transport("volumeattributesclass-protection-controller"),
        classes: classes.clone(),
        claims: claims.clone(),
        volumes: volumes.clone(),
    };
    context.run(queue, reconciler, 1, async move {
        classes.synced().await;
        claims.synced().await;
        volumes.synced().await;
    });
}

fn add(queue: &Queue<ObjectKey>, classes: Option<&Vec<String>>) {
    for class in classes.into_iter().flatten() {
        queue.add(ObjectKey::cluster(class.clone()));
    }
}
