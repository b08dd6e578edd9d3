//! The status that a Deployment deserves (`deployment/progress`). Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::plan::{Observed, is_complete, split};
use super::rolling::{self, wanted};

/// `progressDeadlineSeconds` of this many seconds is none.
const NO_DEADLINE: i32 = i32::MAX;

/// What became of the new set's creation in this reconcile.
#[derive(Clone, Debug, PartialEq)]
pub enum Creation {
    None,
    /// Its name.
    Created(String),
    /// Why not.
    Failed(String),
}

/// The status, and when to look at the progress again.
pub fn status(observed: &Observed<'_>, creation: &Creation) -> (DeploymentStatus, Option<Duration>) {
    let deployment = observed.deployment;
    let old_status = deployment.status.clone().unwrap_or_default();
    let (new, _) = split(observed);
    let sum = |count: fn(&ReplicaSet) -> i32| rolling::sum(observed.sets.iter().copied(), count);
    let status_of = |set: &ReplicaSet| set.status.clone().unwrap_or_default();
    let total = sum(|set| set.status.as_ref().map_or(0, |status| status.replicas));
    let ready = sum(|set| set.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0));
    let terminating =
        sum(|set| set.status.as_ref().and_then(|status| status.terminating_replicas).unwrap_or(0));
    let available = sum(rolling::available);
    let asked = sum(rolling::replicas);
    let some = |count: i32| Some(count).filter(|count| *count > 0);
    let mut status = DeploymentStatus {
        observed_generation: deployment.metadata.generation.max(old_status.observed_generation),
        replicas: some(total),
        updated_replicas: some(new.map_or(0, |new| status_of(new).replicas)),
        ready_replicas: some(ready),
        available_replicas: some(available),
        unavailable_replicas: some((asked - available).max(0)),
        terminating_replicas: Some(terminating),
        collision_count: old_status.collision_count,
        conditions: old_status.conditions.clone(),
    };
    let least = wanted(deployment) - rolling::fence(deployment).max_unavailable;
    let mut conditions = Conditions { list: status.conditions.take().unwrap_or_default(), now: observed.now };
    if available >= least {
        conditions.set(
            "Available",
            "True",
            "MinimumReplicasAvailable",
            "Deployment has minimum availability.",
        );
    } else {
        let message = "Deployment does not have minimum availability.";
        conditions.set("Available", "False", "MinimumReplicasUnavailable", message);
    }
    let again = progress(observed, new, &old_status, &status, &mut conditions, creation);
    replica_failure(observed, new, &mut conditions);
    status.conditions = Some(conditions.list).filter(|list| !list.is_empty());
    (status, again)
}

struct Conditions {
    list: Vec<DeploymentCondition>,
    now: Timestamp,
}

impl Conditions {
    fn get(&self, kind: &str) -> Option<&DeploymentCondition> {
        self.list.iter().find(|condition| condition.type_.as_deref() == Some(kind))
    }

    fn reason(&self, kind: &str) -> &str {
        self.get(kind).and_then(|condition| condition.reason.as_deref()).unwrap_or_default()
    }

    fn remove(&mut self, kind: &str) {
        self.list.retain(|condition| condition.type_.as_deref() != Some(kind));
    }

    /// Sets a condition; one with the same status and reason stays as it is.
    fn set(&mut self, kind: &str, status: &str, reason: &str, message: &str) {
        if self
            .get(kind)
            .is_some_and(|old| old.status.as_deref() == Some(status) && old.reason.as_deref() == Some(reason))
        {
            return;
        }
        self.renew(kind, status, reason, message);
    }

    /// Sets a condition with a new update time.
    fn renew(&mut self, kind: &str, status: &str, reason: &str, message: &str) {
        let kept = self.get(kind).filter(|old| old.status.as_deref() == Some(status));
        let since = kept.and_then(|old| old.last_transition_time.clone()).unwrap_or(Time(self.now));
        self.remove(kind);
        self.list.push(DeploymentCondition {
            type_: Some(kind.into()),
            status: Some(status.into()),
            reason: Some(reason.into()),
            message: Some(message.into()),
            last_update_time: Some(Time(self.now)),
            last_transition_time: Some(since),
        });
    }
}

/// Keeps the Progressing condition; gives when its deadline is due.
fn progress(
    observed: &Observed<'_>,
    new: Option<&ReplicaSet>,
    old_status: &DeploymentStatus,
    status: &DeploymentStatus,
    conditions: &mut Conditions,
    creation: &Creation,
) -> Option<Duration> {
    let spec = &observed.deployment.spec;
    let Some(deadline) = spec.progress_deadline_seconds.filter(|seconds| *seconds != NO_DEADLINE) else {
        conditions.remove("Progressing");
        return None;
    };
    let name = observed.deployment.metadata.name.as_deref().unwrap_or_default();
    if spec.paused == Some(true) {
        // That it stood still is not forgotten over a pause.
        if conditions.reason("Progressing") == "ProgressDeadlineExceeded" {
            return None;
        }
        conditions.set("Progressing", "Unknown", "DeploymentPaused", "Deployment is paused");
        return None;
    }
    if conditions.reason("Progressing") == "DeploymentPaused" {
        conditions.set("Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed");
    }
    match creation {
        Creation::Failed(message) => {
            conditions.set("Progressing", "False", "ReplicaSetCreateError", message);
            return None;
        }
        Creation::Created(name) => {
            let message = format!("Created new replica set \"{name}\"");
            conditions.renew("Progressing", "True", "NewReplicaSetCreated", &message);
        }
        Creation::None => {}
    }
    let set_name = new.and_then(|new| new.metadata.name.as_deref()).unwrap_or_default();
    let subject = |state: &str| match new {
        Some(_) => format!("ReplicaSet \"{set_name}\" {state}"),
        None => format!("Deployment \"{name}\" {state}"),
    };
    if new.is_some() && conditions.get("Progressing").is_none() {
        conditions.set(
            "Progressing",
            "True",
            "FoundNewReplicaSet",
            &format!("Found new replica set \"{set_name}\""),
        );
    }
    let complete = new.is_some_and(|new| is_complete(observed, new));
    // A finished rollout stays finished while its pods come and go.
    let was_complete = conditions.reason("Progressing") == "NewReplicaSetAvailable";
    let same_size = status.replicas == status.updated_replicas;
    if was_complete && same_size && status.updated_replicas.is_some() {
        return None;
    }
    if complete {
        conditions.set(
            "Progressing",
            "True",
            "NewReplicaSetAvailable",
            &subject("has successfully progressed."),
        );
        return None;
    }
    if has_progressed(old_status, status) {
        conditions.renew("Progressing", "True", "ReplicaSetUpdated", &subject("is progressing."));
    }
    let condition = conditions.get("Progressing")?;
    // Exceeded is exceeded; and after a finished rollout the time of the next
    // begins with its first step.
    if ["ProgressDeadlineExceeded", "NewReplicaSetAvailable"]
        .contains(&condition.reason.as_deref().unwrap_or_default())
    {
        return None;
    }
    let since = condition.last_update_time.as_ref().map_or(observed.now, |time| time.0);
    let due = since.saturating_add(SignedDuration::from_secs(deadline.into())).unwrap_or(Timestamp::MAX);
    if due <= observed.now {
        conditions.set(
            "Progressing",
            "False",
            "ProgressDeadlineExceeded",
            &subject("has timed out progressing."),
        );
        return None;
    }
    // A second late rather than early.
    Duration::try_from(due.duration_since(observed.now)).ok().map(|left| left + Duration::from_secs(1))
}

fn has_progressed(before: &DeploymentStatus, after: &DeploymentStatus) -> bool {
    let count = |count: Option<i32>| count.unwrap_or(0);
    let old_replicas = |status: &DeploymentStatus| count(status.replicas) - count(status.updated_replicas);
    count(after.updated_replicas) > count(before.updated_replicas)
        || old_replicas(after) < old_replicas(before)
        || count(after.ready_replicas) > count(before.ready_replicas)
        || count(after.available_replicas) > count(before.available_replicas)
}

/// Shows the failure of the new set, or else of any.
fn replica_failure(observed: &Observed<'_>, new: Option<&ReplicaSet>, conditions: &mut Conditions) {
    let sets = new.into_iter().chain(observed.sets.iter().copied());
    let failure = sets
        .filter_map(|set| set.status.as_ref()?.conditions.as_ref())
        .flatten()
        .find(|condition| condition.type_.as_deref() == Some("ReplicaFailure"));
    match failure {
        Some(failure) => {
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            conditions.set(
                "ReplicaFailure",
                &text(&failure.status),
                &text(&failure.reason),
                &text(&failure.message),
            );
        }
        None => conditions.remove("ReplicaFailure"),
    }
}

/// Whether two statuses differ in what is written.
pub fn differs(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    deployment.status.as_ref() != Some(status)
}
