//! Volume protection: a PersistentVolume stays as long as it is bound.
//!
//! Watches volumes; owns their finalizer `kubernetes.io/pv-protection`.

mod act;
mod plan;
#[cfg(test)]
mod tests;

use client::Resource;
use informer::{ObjectKey, Options};

use crate::Context;

/// Starts the controller's watches and workers.
pub fn start(context: &Context) {
    let queue = context.queue::<ObjectKey>("pvprotection");
    let volumes =
        context.informer::<plan::Volume>(Resource::new("", "v1", "persistentvolumes"), Options::default());

    let changed = queue.clone();
    volumes.on_change(move |change| {
        if change.new.is_some() {
            changed.add(change.key.clone());
        }
    });

    let reconciler = act::Protection {
        transport: context.transport("pv-protection-controller"),
        volumes: volumes.clone(),
    };
    context.run(queue, reconciler, 1, async move { volumes.synced().await });
}
