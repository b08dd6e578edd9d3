//! Token cleaner: bootstrap tokens go when they expire.
//!
//! Watches bootstrap tokens; owns none.

mod act;
mod plan;
#[cfg(test)]
mod tests;

use client::Resource;
use informer::{ObjectKey, Options, Whole};
use k8s_openapi::api::core::v1::Secret;

use crate::Context;

/// Starts the controller's watches and workers.
pub fn start(context: &Context) {
    let queue = context.queue::<ObjectKey>("token_cleaner");
    let tokens = context.informer::<Whole<Secret>>(
        Resource::of::<Secret>(),
        Options {
            namespace: Some("kube-system".into()),
            ..Options::fields(format!("type={}", crate::bootstrap_tokens::TYPE))
        },
    );

    let changed = queue.clone();
    tokens.on_change(move |change| {
        if change.new.is_some() {
            changed.add(change.key.clone());
        }
    });

    let reconciler = act::Cleaner {
        edge: context.edge.clone(),
        transport: context.transport("token-cleaner"),
        tokens: tokens.clone(),
    };
    context.run(queue, reconciler, 1, async move { tokens.synced().await });
}
