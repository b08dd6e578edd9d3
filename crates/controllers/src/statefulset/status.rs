//! The status that a StatefulSet deserves. Pure.

use k8s_openapi::api::apps::v1::StatefulSetStatus;

use super::members::revision_of;
use super::plan::Observed;
use crate::pods::{Phase, PodView};

pub fn is_ready(pod: &PodView) -> bool {
    pod.phase == Phase::Running && pod.ready
}

pub fn status(observed: &Observed<'_>) -> StatefulSetStatus {
    let set = observed.set;
    let old = set.status.clone().unwrap_or_default();
    let min_ready = set.spec.min_ready_seconds.unwrap_or(0);
    let count =
        |holds: &dyn Fn(&PodView) -> bool| observed.pods.iter().filter(|pod| holds(pod)).count() as i32;
    let of = |name: &str| count(&|pod| !pod.terminating && revision_of(pod) == name);
    let some = |count: i32| Some(count).filter(|count| *count > 0);
    StatefulSetStatus {
        replicas: observed.pods.len() as i32,
        ready_replicas: some(count(&is_ready)),
        available_replicas: Some(count(&|pod| is_ready(pod) && pod.is_available(min_ready, observed.now))),
        current_replicas: some(of(&observed.current.name)),
        updated_replicas: some(of(&observed.update.name)),
        current_revision: Some(observed.current.name.clone()),
        update_revision: Some(observed.update.name.clone()),
        observed_generation: set.metadata.generation.max(old.observed_generation),
        collision_count: Some(old.collision_count.unwrap_or(0)),
        conditions: old.conditions,
    }
}

/// A rolling update that has reached every pod is over: what it led to is current.
pub fn complete(observed: &Observed<'_>, status: &mut StatefulSetStatus) {
    let wanted = observed.set.spec.replicas.unwrap_or(1);
    let all = |count: Option<i32>| count.unwrap_or(0) == wanted;
    let updated = all(status.updated_replicas) && all(status.ready_replicas) && status.replicas == wanted;
    if observed.rolls() && updated {
        status.current_replicas = status.updated_replicas;
        status.current_revision = status.update_revision.clone();
    }
}
