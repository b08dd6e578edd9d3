//! ResourceQuota: what the objects of a namespace use together.
//!
//! Watches ResourceQuotas and the metadata of everything; owns the status of
//! its quotas. Admission charges what comes; here is counted what went.

mod act;
mod plan;
#[cfg(test)]
mod tests;

use client::Resource;
use informer::{Informer, ObjectKey, Options, Queue, Whole};
use k8s_openapi::api::core::v1::ResourceQuota;

use crate::Context;

type Quotas = Informer<Whole<ResourceQuota>>;

/// Starts the controller's watches and workers.
pub fn start(context: &Context) {
    let queue = context.queue::<ObjectKey>("resourcequota_primary");
    let quotas: Quotas = context.informer(Resource::of::<ResourceQuota>(), Options::default());
    let everything = context.everything().clone();

    let changed = queue.clone();
    quotas.on_change(move |change| {
        if change.new.is_some_and(|quota| plan::is_open(&quota.0)) {
            changed.add(change.key.clone());
        }
    });

    // What is gone uses nothing any more.
    let (changed, of) = (queue.clone(), quotas.clone());
    everything.on_change(move |change| {
        if let (Some(old), None) = (change.old, change.new) {
            let resource = &change.kind.resource;
            recount(&changed, &of, &old.namespace, (resource.group.as_ref(), resource.plural.as_ref()));
        }
    });

    // Nor does a pod that has ended, but for its place.
    let (changed, of) = (queue.clone(), quotas.clone());
    context.pods().on_change(move |change| {
        let ended = change.new.is_some_and(|pod| pod.has_ended());
        if ended && change.old.is_some_and(|pod| !pod.has_ended()) {
            recount(&changed, &of, &change.key.namespace, ("", "pods"));
        }
    });

    let reconciler = act::Counts {
        transport: context.transport("resourcequota-controller"),
        quotas: quotas.clone(),
        everything: everything.clone(),
    };
    context.run(queue, reconciler, 5, async move {
        quotas.synced().await;
        everything.synced().await;
    });
}

/// Looks again at the quotas of a namespace that count this resource.
fn recount(queue: &Queue<ObjectKey>, quotas: &Quotas, namespace: &str, resource: (&str, &str)) {
    for quota in quotas.namespace(namespace) {
        if plan::resources(&quota.0).contains(&resource) {
            queue.add(ObjectKey::of(&quota.metadata));
        }
    }
}
