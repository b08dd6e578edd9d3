//! Namespace: empties namespaces that are being deleted.
//!
//! Watches namespaces, and the metadata of everything in those that end; owns
//! the finalizer `kubernetes` of `spec.finalizers`.

mod act;
mod plan;
#[cfg(test)]
mod tests;

use std::time::Duration;

use informer::ObjectKey;

use crate::Context;
use crate::serviceaccount::is_active;

/// Several things that go at once cause one look.
const GATHER: Duration = Duration::from_millis(10);

/// Starts the controller's watches and workers. Keys are namespaces.
pub fn start(context: &Context) {
    let queue = context.queue::<String>("namespace");
    let namespaces = context.namespaces().clone();
    let everything = context.everything().clone();

    let changed = queue.clone();
    namespaces.on_change(move |change| {
        if change.new.is_some_and(|namespace| !is_active(&namespace.0)) {
            changed.add(change.key.name.clone());
        }
    });

    let (changed, of) = (queue.clone(), namespaces.clone());
    everything.on_change(move |change| {
        let Some(node) = change.new.or(change.old).filter(|node| !node.namespace.is_empty()) else { return };
        let namespace = of.get(&ObjectKey::cluster(node.namespace.clone()));
        if namespace.is_some_and(|namespace| !is_active(&namespace.0)) {
            changed.add_after(node.namespace.clone(), GATHER);
        }
    });

    let reconciler = act::Namespaces {
        edge: context.edge.clone(),
        transport: context.transport("namespace-controller"),
        namespaces: namespaces.clone(),
        everything: everything.clone(),
    };
    context.run(queue, reconciler, 5, async move {
        namespaces.synced().await;
        everything.synced().await;
    });
}
