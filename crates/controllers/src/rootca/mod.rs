//! Root CA publisher: the ConfigMap `kube-root-ca.crt` in every namespace, by
//! which pods know the API server.
//!
//! Watches namespaces and ConfigMaps of that name; owns their data. It never
//! sees a private key.

mod act;
mod plan;
#[cfg(test)]
mod tests;

use client::Resource;
use informer::{Options, Whole};
use k8s_openapi::api::core::v1::ConfigMap;

use crate::Context;
use crate::publishing::Metrics;

/// Starts the controller's watches and workers, where there is an authority to
/// publish. Keys are namespaces.
pub fn start(context: &Context) {
    let Some(authority) = context.root_ca() else { return };
    let queue = context.queue::<String>("root_ca_cert_publisher");
    let namespaces = context.namespaces().clone();
    let maps = context.informer::<Whole<ConfigMap>>(
        Resource::of::<ConfigMap>(),
        Options::fields(format!("metadata.name={}", plan::NAME)),
    );

    let changed = queue.clone();
    namespaces.on_change(move |change| changed.add(change.key.name.clone()));
    let changed = queue.clone();
    maps.on_change(move |change| changed.add(change.key.namespace.clone()));

    let reconciler = act::Publisher {
        transport: context.transport("root-ca-cert-publisher"),
        namespaces: namespaces.clone(),
        maps: maps.clone(),
        authority,
        metrics: metrics(context),
    };
    context.run(queue, reconciler, 1, async move {
        namespaces.synced().await;
        maps.synced().await;
    });
}

fn metrics(context: &Context) -> Metrics {
    let help = "[ALPHA] Number of namespace syncs happened in root ca cert publisher.";
    Metrics::among(
        context.metrics(),
        ["root_ca_cert_publisher_sync_total", help],
        ["root_ca_cert_publisher_sync_duration_seconds", help],
    )
}
