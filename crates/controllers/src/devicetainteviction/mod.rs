//! Device taint eviction: deletes pods whose devices bear a NoExecute taint that
//! their claims do not tolerate, or no longer.
//!
//! Watches pods, ResourceClaims, ResourceSlices and DeviceTaintRules; owns the
//! condition `EvictionInProgress` of rules. It allocates no device.

mod act;
mod plan;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use informer::{Index, Informer, ObjectKey, Options, Queue, Whole};
use k8s_openapi::api::resource::v1::{DeviceTaintRule, ResourceClaim, ResourceSlice};

use crate::deletions::Metrics;
use crate::{Context, resourceclaim};

/// What is to be looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Pod(ObjectKey),
    Rule(String),
}

/// The index of slices by driver and pool.
const POOL: &str = "pool";

/// What stands in [`POOL`]; no driver has a slash.
fn pool(driver: &str, pool: &str) -> String {
    format!("{driver}/{pool}")
}

/// Starts the controller's watches and workers.
pub fn start(context: &Context) {
    let queue = context.queue::<Key>("device-taint-eviction-controller");
    let pods = context.pods().clone();
    let claims = context.resource_claims().clone();
    let index = Index {
        name: POOL,
        values: |slice: &Whole<ResourceSlice>| vec![pool(&slice.spec.driver, &slice.spec.pool.name)],
    };
    let slices = context.informer::<Whole<ResourceSlice>>(
        client::Resource::of::<ResourceSlice>(),
        Options::indexed(vec![index]),
    );
    let rules = context
        .informer::<Whole<DeviceTaintRule>>(client::Resource::of::<DeviceTaintRule>(), Options::default());

    // Of a pod that is there only its node and its claims matter.
    let changed = queue.clone();
    pods.on_change(move |change| {
        let Some(pod) = change.new.or(change.old) else { return };
        if resourceclaim::used(pod).next().is_none() {
            return;
        }
        let same = |old: &Arc<crate::pods::PodView>, new: &Arc<crate::pods::PodView>| {
            (&old.uid, &old.node) == (&new.uid, &new.node)
                && resourceclaim::used(old).eq(resourceclaim::used(new))
        };
        match (change.old, change.new) {
            (Some(old), Some(new)) if same(old, new) => {}
            _ => changed.add(Key::Pod(change.key.clone())),
        }
    });

    let changed = queue.clone();
    claims.on_change(move |change| {
        for claim in [change.old, change.new].into_iter().flatten() {
            wake(&changed, &claim.0);
        }
    });

    let (changed, allocated, of_pool) = (queue.clone(), claims.clone(), slices.clone());
    slices.on_change(move |change| {
        let known: Vec<_> = [change.old, change.new].into_iter().flatten().collect();
        let pools: BTreeSet<_> =
            known.iter().map(|slice| pool(&slice.spec.driver, &slice.spec.pool.name)).collect();
        // A new generation puts an end to what the pool's other slices say.
        let others = pools.iter().flat_map(|pool| of_pool.by_index(POOL, pool)).collect::<Vec<_>>();
        if !known.into_iter().chain(&others).any(|slice| plan::drives_out(&slice.0)) {
            return;
        }
        for claim in allocated.list() {
            if plan::devices(&claim.0).any(|device| pools.contains(&pool(&device.driver, &device.pool))) {
                wake(&changed, &claim.0);
            }
        }
    });

    let (changed, allocated) = (queue.clone(), claims.clone());
    rules.on_change(move |change| {
        let spec = |rule: Option<&Arc<Whole<DeviceTaintRule>>>| {
            rule.map(|rule| (rule.metadata.uid.clone(), rule.spec.clone()))
        };
        // Its own status is no news.
        if spec(change.old) == spec(change.new) {
            return;
        }
        // The rule is told about before any pod goes for it.
        changed.add(Key::Rule(change.key.name.clone()));
        for rule in [change.old, change.new].into_iter().flatten() {
            wake_all(&changed, &allocated, &rule.0);
        }
    });

    let reconciler = act::Evictions {
        edge: context.edge.clone(),
        transport: context.transport("device-taint-eviction-controller"),
        recorder: context.recorder("device-taint-eviction-controller"),
        pods: pods.clone(),
        claims: claims.clone(),
        slices: slices.clone(),
        rules: rules.clone(),
        queue: queue.clone(),
        pending: Default::default(),
        evicted: Default::default(),
        metrics: metrics(context),
    };
    context.run(queue, reconciler, 8, async move {
        pods.synced().await;
        claims.synced().await;
        slices.synced().await;
        rules.synced().await;
    });
}

/// The pods that a claim is reserved for are looked at.
fn wake(queue: &Queue<Key>, claim: &ResourceClaim) {
    let namespace = claim.metadata.namespace.as_deref().unwrap_or_default();
    for consumer in claim.status.iter().flat_map(|status| status.reserved_for.iter().flatten()) {
        if resourceclaim::is_pod(consumer) {
            queue.add(Key::Pod(ObjectKey::new(namespace, consumer.name.clone())));
        }
    }
}

/// The pods that have a device which a rule taints are looked at.
fn wake_all(queue: &Queue<Key>, claims: &Informer<Whole<ResourceClaim>>, rule: &DeviceTaintRule) {
    for claim in claims.list() {
        let tainted = |device: plan::Place<'_>| plan::selects(rule, device);
        if plan::devices(&claim.0).map(plan::Place::of).any(tainted) {
            wake(queue, &claim.0);
        }
    }
}

fn metrics(context: &Context) -> Metrics {
    Metrics::among(
        context.metrics(),
        [
            "device_taint_eviction_controller_pod_deletions_total",
            "[ALPHA] Total number of Pods deleted by DeviceTaintEvictionController since its start.",
        ],
        [
            "device_taint_eviction_controller_pod_deletion_duration_seconds",
            "[ALPHA] Latency, in seconds, between the time when a device taint effect has been activated and a \
             Pod's deletion via DeviceTaintEvictionController.",
        ],
    )
}
