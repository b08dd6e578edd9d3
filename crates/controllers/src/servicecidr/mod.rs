//! ServiceCIDR: a range of service addresses stays while an address of it is
//! in use that no other range has.
//!
//! Watches ServiceCIDRs and IPAddresses; owns the ranges' finalizer and their
//! condition `Ready`. It allocates nothing.

mod act;
mod plan;
#[cfg(test)]
mod tests;

use client::Resource;
use informer::{ObjectKey, Options, Whole};
use k8s_openapi::api::networking::v1::{IPAddress, ServiceCIDR};

use crate::Context;

/// Starts the controller's watches and workers.
pub fn start(context: &Context) {
    let queue = context.queue::<ObjectKey>("ipaddresses");
    let ranges = context.informer::<Whole<ServiceCIDR>>(Resource::of::<ServiceCIDR>(), Options::default());
    let addresses = context.informer::<crate::everything::Node>(
        Resource::of::<IPAddress>(),
        Options {
            label_selector: Some("ipaddress.kubernetes.io/managed-by=ipallocator.k8s.io".into()),
            ..Options::default()
        },
    );

    // A range that comes or goes may free another.
    let (changed, all) = (queue.clone(), ranges.clone());
    ranges.on_change(move |change| {
        changed.add(change.key.clone());
        for range in all.list().iter().filter(|range| range.metadata.deletion_timestamp.is_some()) {
            changed.add(ObjectKey::of(&range.metadata));
        }
    });

    let (changed, all) = (queue.clone(), ranges.clone());
    addresses.on_change(move |change| {
        if change.new.is_some() {
            return;
        }
        for range in all.list().iter().filter(|range| range.metadata.deletion_timestamp.is_some()) {
            changed.add(ObjectKey::of(&range.metadata));
        }
    });

    let reconciler = act::Ranges {
        edge: context.edge.clone(),
        transport: context.transport("service-cidrs-controller"),
        ranges: ranges.clone(),
        addresses: addresses.clone(),
    };
    context.run(queue, reconciler, 1, async move {
        ranges.synced().await;
        addresses.synced().await;
    });
}
