//! EndpointSlice mirroring: Endpoints that somebody wrote for a Service
//! without a selector, shown as EndpointSlices too.
//!
//! Watches Endpoints, Services and EndpointSlices; owns the slices that bear
//! its name as `endpointslice.kubernetes.io/managed-by`.

mod act;
mod metrics;
mod plan;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use client::Resource;
use informer::{ObjectKey, Options, Whole};
use k8s_openapi::api::core::v1::Endpoints;

use crate::{Context, slices};

/// Starts the controller's watches and workers.
pub fn start(context: &Context) {
    let queue = context.queue::<ObjectKey>("endpoint_slice_mirroring");
    let services = context.services().clone();
    let endpoints = context.informer::<Whole<Endpoints>>(Resource::of::<Endpoints>(), Options::default());
    let slices = slices::managed(context, plan::MANAGER);
    let tracker = Arc::new(slices::Tracker::new(metrics::Metrics::changes(context.metrics())));

    let changed = queue.clone();
    endpoints.on_change(move |change| changed.add(change.key.clone()));

    // Only whether there is a selector matters.
    let changed = queue.clone();
    services.on_change(move |change| {
        let selects = |service: Option<&Arc<Whole<k8s_openapi::api::core::v1::Service>>>| {
            service.map(|service| crate::services::selector(&service.0).is_some())
        };
        if selects(change.old) != selects(change.new) {
            changed.add(change.key.clone());
        }
    });
    slices::follow(&slices, queue.clone(), tracker.clone());

    let reconciler = act::Mirrors {
        transport: context.transport("endpointslicemirroring-controller"),
        recorder: context.recorder("endpointslicemirroring-controller"),
        services: services.clone(),
        endpoints: endpoints.clone(),
        slices: slices.clone(),
        tracker,
        metrics: metrics::Metrics::among(context.metrics()),
    };
    context.run(queue, reconciler, 5, async move {
        services.synced().await;
        endpoints.synced().await;
        slices.synced().await;
    });
}
