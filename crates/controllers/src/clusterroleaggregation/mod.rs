//! ClusterRole aggregation: the rules of a role with an `aggregationRule` are
//! those of the roles that it selects.
//!
//! Watches ClusterRoles; owns the rules of aggregated ones.

mod act;
mod plan;
#[cfg(test)]
mod tests;

use client::Resource;
use informer::{ObjectKey, Options, Whole};
use k8s_openapi::api::rbac::v1::ClusterRole;

use crate::Context;

/// Who it is, and owns the rules.
const IDENTITY: &str = "clusterrole-aggregation-controller";

/// Starts the controller's watches and workers.
pub fn start(context: &Context) {
    let queue = context.queue::<ObjectKey>("ClusterRoleAggregator");
    let roles = context.informer::<Whole<ClusterRole>>(Resource::of::<ClusterRole>(), Options::default());

    // Which roles a change concerns is in the selectors of all: few enough to
    // be looked at each time.
    let (changed, all) = (queue.clone(), roles.clone());
    roles.on_change(move |change| {
        let rules = |role: Option<&std::sync::Arc<Whole<ClusterRole>>>| {
            role.map(|role| (role.rules.clone(), role.metadata.labels.clone(), role.aggregation_rule.clone()))
        };
        if rules(change.old) == rules(change.new) {
            return;
        }
        for role in all.list().iter().filter(|role| role.aggregation_rule.is_some()) {
            changed.add(ObjectKey::of(&role.metadata));
        }
    });

    let reconciler = act::Aggregations { transport: context.transport(IDENTITY), roles: roles.clone() };
    context.run(queue, reconciler, 5, async move { roles.synced().await });
}
