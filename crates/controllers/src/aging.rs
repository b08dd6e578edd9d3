//! Objects that are deleted when their time is over, whatever they are: what
//! tells their end, and the loop.

use std::time::Duration;

use async_trait::async_trait;
use client::{Api, DeleteOptions, Error, Object, Resource};
use edge::Edge;
use informer::{Informer, ObjectKey, Options, Outcome, Projection, Reconciler};
use jiff::Timestamp;

use crate::Context;

/// What of an object tells its end.
pub trait Aged: Projection {
    /// The kind that it is a view of.
    type Object: Object + 'static;

    fn uid(&self) -> &str;

    /// When it is to be deleted; None while nothing decides it.
    fn due(&self) -> Option<Timestamp>;
}

/// The names that a cleaner goes by.
pub struct Names {
    pub loop_name: &'static str,
    pub queue: &'static str,
    /// Its account in `kube-system`.
    pub identity: &'static str,
}

/// Starts the watch and the worker.
pub fn start<A: Aged>(context: &Context, names: &Names) {
    let queue = context.queue::<ObjectKey>(names.queue);
    let objects = context.informer::<A>(Resource::of::<A::Object>(), Options::default());

    let changed = queue.clone();
    objects.on_change(move |change| {
        if change.new.is_some() {
            changed.add(change.key.clone());
        }
    });

    let cleaner = Cleaner {
        name: names.loop_name,
        edge: context.edge.clone(),
        transport: context.transport(names.identity),
        objects: objects.clone(),
    };
    context.run(queue, cleaner, 1, async move { objects.synced().await });
}

struct Cleaner<A> {
    name: &'static str,
    edge: Edge,
    transport: std::sync::Arc<dyn client::Transport>,
    objects: Informer<A>,
}

#[async_trait]
impl<A: Aged> Reconciler<ObjectKey> for Cleaner<A> {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, Error> {
        let Some(object) = self.objects.get(key) else { return Ok(Outcome::Done) };
        let Some(due) = object.due() else { return Ok(Outcome::Done) };
        match Duration::try_from(due.duration_since(self.edge.clock.now())) {
            Ok(left) if !left.is_zero() => return Ok(Outcome::Again(left)),
            _ => {}
        }
        let api = match key.namespace.as_str() {
            "" => Api::<A::Object>::all(self.transport.clone()),
            namespace => Api::namespaced(self.transport.clone(), namespace),
        };
        match api.delete(&key.name, DeleteOptions::uid(object.uid())).await {
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(Outcome::Done),
            other => other.map(|()| Outcome::Done),
        }
    }
}
