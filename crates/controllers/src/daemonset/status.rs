//! The status that a DaemonSet deserves. Pure.

use k8s_openapi::api::apps::v1::DaemonSetStatus;

use super::history::HASH;
use super::placement::fit;
use super::plan::{Observed, by_node};

pub fn status(observed: &Observed<'_>) -> DaemonSetStatus {
    let set = observed.set;
    let old = set.status.clone().unwrap_or_default();
    let on = by_node(&observed.pods);
    let min_ready = set.spec.min_ready_seconds.unwrap_or(0);
    let mut status = DaemonSetStatus {
        observed_generation: set.metadata.generation.max(old.observed_generation),
        collision_count: old.collision_count,
        conditions: old.conditions,
        ..DaemonSetStatus::default()
    };
    let (mut updated, mut available) = (0, 0);
    for node in &observed.nodes {
        let pods = on.get(node.name.as_str()).map(Vec::as_slice).unwrap_or_default();
        let run = fit(set, node).run;
        match run {
            false if !pods.is_empty() => status.number_misscheduled += 1,
            false => continue,
            true => status.desired_number_scheduled += 1,
        }
        let Some(oldest) = pods.first().filter(|_| run) else { continue };
        status.current_number_scheduled += 1;
        if oldest.ready {
            status.number_ready += 1;
            available += i32::from(oldest.is_available(min_ready, observed.now));
        }
        // During a surge the newer one tells how far the update is.
        let newest = pods.iter().rev().find(|pod| !pod.terminating).unwrap_or(oldest);
        updated += i32::from(newest.labels.get(HASH).is_some_and(|hash| hash == observed.hash));
    }
    let some = |count: i32| Some(count).filter(|count| *count > 0);
    status.updated_number_scheduled = some(updated);
    status.number_available = some(available);
    status.number_unavailable = some(status.desired_number_scheduled - available);
    status
}
