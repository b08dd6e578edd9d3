//! ResourceClaim: claims for devices from the templates that pods name, and an
//! end to what nobody uses any more.
//!
//! Watches pods, ResourceClaims and ResourceClaimTemplates; owns the claims
//! that it makes, `resourceClaimStatuses` of pods, and takes pods that are gone
//! out of `reservedFor`. It allocates no device.

mod act;
mod metrics;
mod plan;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use informer::{ObjectKey, Options, Whole};
use k8s_openapi::api::resource::v1::ResourceClaimTemplate;

pub(crate) use self::plan::{is_for, is_pod, used};
use crate::Context;
use crate::pods::PodView;

/// What is to be looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Claim(ObjectKey),
    Pod(ObjectKey),
}

/// Starts the controller's watches and workers.
pub fn start(context: &Context) {
    let queue = context.queue::<Key>("resource_claim");
    let pods = context.pods().clone();
    let claims = context.resource_claims().clone();
    let templates = context.informer::<Whole<ResourceClaimTemplate>>(
        client::Resource::of::<ResourceClaimTemplate>(),
        Options::default(),
    );
    let made = Arc::new(act::Made::default());

    let changed = queue.clone();
    pods.on_change(move |change| {
        let Some(pod) = change.new.or(change.old) else { return };
        if plan::names(pod).next().is_none() && pod.device_claims.is_empty() {
            return;
        }
        if change.new.is_none() || !plan::needs_claims(pod) {
            for name in plan::names(pod) {
                changed.add(Key::Claim(ObjectKey::new(pod.namespace.clone(), name)));
            }
        }
        if change.new.is_some_and(|pod| plan::is_served(pod) && !pod.device_claims.is_empty()) {
            changed.add(Key::Pod(change.key.clone()));
        }
    });

    // Pods may wait for the claim, or have lost it.
    let of_namespace = |users: &informer::Informer<PodView>, namespace: &str| users.namespace(namespace);
    let (changed, users, seen) = (queue.clone(), pods.clone(), made.clone());
    claims.on_change(move |change| {
        seen.forget(change.key);
        if change.new.is_some() {
            changed.add(Key::Claim(change.key.clone()));
        }
        for pod in of_namespace(&users, &change.key.namespace) {
            if plan::is_served(&pod) && plan::names(&pod).any(|name| name == change.key.name) {
                changed.add(Key::Pod(ObjectKey::new(pod.namespace.clone(), pod.name.clone())));
            }
        }
    });

    let (changed, users) = (queue.clone(), pods.clone());
    templates.on_change(move |change| {
        if change.new.is_none() {
            return;
        }
        for pod in of_namespace(&users, &change.key.namespace) {
            let mut wanted = pod.device_claims.iter().filter_map(|claim| claim.template.as_deref());
            if plan::is_served(&pod) && wanted.any(|name| name == change.key.name) {
                changed.add(Key::Pod(ObjectKey::new(pod.namespace.clone(), pod.name.clone())));
            }
        }
    });

    let reconciler = act::Claims {
        transport: context.transport("resource-claim-controller"),
        recorder: context.recorder_as("resource-claim-controller", "resource_claim"),
        pods: pods.clone(),
        claims: claims.clone(),
        templates: templates.clone(),
        made,
        metrics: metrics::Metrics::among(context.metrics(), claims.clone()),
    };
    context.run(queue, reconciler, 10, async move {
        pods.synced().await;
        claims.synced().await;
        templates.synced().await;
    });
}
