//! Bootstrap signer: signatures by which a node that has only a token knows
//! that the published cluster is its own.
//!
//! Watches the ConfigMap `kube-public/cluster-info` and bootstrap tokens; owns
//! the signatures (`jws-kubeconfig-ID`) in the former.

mod act;
mod plan;
mod signature;
#[cfg(test)]
mod tests;

use client::Resource;
use informer::{Options, Whole};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};

use crate::Context;

/// Starts the controller's watches and workers. There is one key.
pub fn start(context: &Context) {
    let queue = context.queue::<()>("bootstrap_signer_queue");
    let clusters = context.informer::<Whole<ConfigMap>>(
        Resource::of::<ConfigMap>(),
        Options {
            namespace: Some(plan::PUBLIC.into()),
            ..Options::fields(format!("metadata.name={}", plan::CLUSTER_INFO))
        },
    );
    let tokens = context.informer::<Whole<Secret>>(
        Resource::of::<Secret>(),
        Options {
            namespace: Some(plan::SYSTEM.into()),
            ..Options::fields(format!("type={}", crate::bootstrap_tokens::TYPE))
        },
    );

    let changed = queue.clone();
    clusters.on_change(move |_| changed.add(()));
    let changed = queue.clone();
    tokens.on_change(move |_| changed.add(()));

    let reconciler = act::Signer {
        edge: context.edge.clone(),
        transport: context.transport("bootstrap-signer"),
        clusters: clusters.clone(),
        tokens: tokens.clone(),
    };
    context.run(queue, reconciler, 1, async move {
        clusters.synced().await;
        tokens.synced().await;
    });
}
