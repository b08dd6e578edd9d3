//! ClusterTrustBundle publisher: the bundle of the signer
//! `kubernetes.io/kube-apiserver-serving`, by which pods know the API server.
//!
//! Watches the signer's bundles; owns them all: one with the cluster's
//! authority, whose name tells its content, and no other.

mod act;
mod plan;
#[cfg(test)]
mod tests;

use client::Resource;
use informer::{Options, Whole};
use k8s_openapi::api::certificates::v1::ClusterTrustBundle;

use crate::Context;
use crate::publishing::Metrics;

/// Starts the controller's watch and worker, where there is an authority to
/// publish.
pub fn start(context: &Context) {
    let Some(authority) = context.root_ca() else { return };
    let queue = context.queue::<()>("ca_cert_publisher_cluster_trust_bundles");
    let bundles = context.informer::<Whole<ClusterTrustBundle>>(
        Resource::of::<ClusterTrustBundle>(),
        Options::fields(format!("spec.signerName={}", plan::SIGNER)),
    );

    queue.add(());
    let changed = queue.clone();
    bundles.on_change(move |_| changed.add(()));

    let reconciler = act::Publisher {
        transport: context.transport("kube-apiserver-serving-clustertrustbundle-publisher"),
        bundles: bundles.clone(),
        authority,
        metrics: metrics(context),
    };
    context.run(queue, reconciler, 1, async move { bundles.synced().await });
}

fn metrics(context: &Context) -> Metrics {
    Metrics::among(
        context.metrics(),
        [
            "clustertrustbundle_publisher_sync_total",
            "[ALPHA] Number of syncs that occurred in cluster trust bundle publisher.",
        ],
        [
            "clustertrustbundle_publisher_sync_duration_seconds",
            "[ALPHA] The time it took to sync a cluster trust bundle.",
        ],
    )
}
