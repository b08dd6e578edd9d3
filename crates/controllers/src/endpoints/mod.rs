//! Endpoints: the older form of a Service's addresses, kept for its readers.
//!
//! Watches Services, pods and Endpoints; owns the Endpoints of Services with a
//! selector. It never touches those of Services without one, nor leader
//! election records kept as Endpoints.

mod act;
mod plan;
#[cfg(test)]
mod tests;

use client::Resource;
use informer::{ObjectKey, Options, Whole};
use k8s_openapi::api::core::v1::Endpoints;

use crate::{Context, services};

/// Starts the controller's watches and workers.
pub fn start(context: &Context) {
    let queue = context.queue::<ObjectKey>("endpoint");
    let all = context.services().clone();
    let pods = context.pods().clone();
    let endpoints = context.informer::<Whole<Endpoints>>(Resource::of::<Endpoints>(), Options::default());

    let changed = queue.clone();
    all.on_change(move |change| changed.add(change.key.clone()));

    let (changed, of_pods) = (queue.clone(), all.clone());
    pods.on_change(move |change| services::enqueue_for_pod(&changed, &of_pods, &change));

    let changed = queue.clone();
    endpoints.on_change(move |change| changed.add(change.key.clone()));

    let reconciler = act::AllEndpoints {
        transport: context.transport("endpoint-controller"),
        services: all.clone(),
        pods: pods.clone(),
        endpoints: endpoints.clone(),
    };
    context.run(queue, reconciler, 5, async move {
        all.synced().await;
        pods.synced().await;
        endpoints.synced().await;
    });
}
