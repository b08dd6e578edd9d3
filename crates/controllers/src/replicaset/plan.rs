//! What a ReplicaSet needs next. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::pods::{PodView, deletion_order};

/// Creations of one reconcile at most, and deletions
/// (`replicaset.BurstReplicas`).
const BURST: usize = 500;
/// What was seen of a set.
pub struct Observed<'a> {
    pub set: &'a ReplicaSet,
    /// The pods it owns, ended ones too.
    pub pods: Vec<Arc<PodView>>,
    /// Active pods on each node of the sets of the same owner.
    pub ranks: BTreeMap<&'a str, usize>,
    /// All that was done before shows in `pods`.
    pub expectations_met: bool,
    /// What the last attempt to create or delete ended with.
    pub failure: Option<&'a Failure>,
    pub now: Timestamp,
}

/// Why pods could not be created or deleted.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// `FailedCreate` or `FailedDelete`.
    pub reason: &'static str,
    pub message: String,
}

#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    pub create: usize,
    pub delete: Vec<Arc<PodView>>,
    /// How much older than the youngest the pods are that were chosen from more.
    pub age_ratios: Vec<f64>,
    /// Pods become available then, which no event tells.
    pub again: Option<Duration>,
}

/// What to create or delete.
pub fn plan(observed: &Observed<'_>) -> Plan {
    let mut plan = Plan { again: next_available(observed), ..Plan::default() };
    if !observed.expectations_met || observed.set.metadata.deletion_timestamp.is_some() {
        return plan;
    }
    let wanted = wanted(observed.set);
    let mut active: Vec<_> = observed.pods.iter().filter(|pod| pod.is_active()).cloned().collect();
    if active.len() < wanted {
        plan.create = (wanted - active.len()).min(BURST);
    } else {
        let surplus = (active.len() - wanted).min(BURST);
        if surplus > 0 {
            if surplus < active.len() {
                deletion_order(&mut active, &observed.ranks, observed.now);
                plan.age_ratios = age_ratios(&active, surplus, observed.now);
            }
            active.truncate(surplus);
            plan.delete = active;
        }
    }
    plan
}

/// The ages of those of the first `chosen` pods that are ready, by that of the
/// youngest ready pod of all.
fn age_ratios(pods: &[Arc<PodView>], chosen: usize, now: Timestamp) -> Vec<f64> {
    let age = |pod: &Arc<PodView>| now.duration_since(pod.created).as_millis();
    let youngest = pods.iter().filter(|pod| pod.ready).map(age).min().filter(|age| *age > 0);
    let Some(youngest) = youngest else { return Vec::new() };
    // Whole numbers, as upstream counts.
    pods[..chosen].iter().filter(|pod| pod.ready).map(|pod| (age(pod) / youngest) as f64).collect()
}

fn wanted(set: &ReplicaSet) -> usize {
    let replicas = set.spec.replicas.unwrap_or(1);
    usize::try_from(replicas).unwrap_or(0)
}

fn min_ready(set: &ReplicaSet) -> i32 {
    set.spec.min_ready_seconds.unwrap_or(0)
}

fn next_available(observed: &Observed<'_>) -> Option<Duration> {
    let min_ready = min_ready(observed.set);
    let waits =
        observed.pods.iter().filter(|pod| pod.is_active()).filter_map(|pod| pod.available_at(min_ready));
    waits
        .filter(|at| *at > observed.now)
        .min()
        .and_then(|at| Duration::try_from(at.duration_since(observed.now)).ok())
}

/// The status that `observed` deserves (`replicaset.calculateStatus`).
pub fn status(observed: &Observed<'_>) -> ReplicaSetStatus {
    let set = observed.set;
    let old = set.status.clone().unwrap_or_default();
    let labels = set
        .spec
        .template
        .as_ref()
        .and_then(|template| template.metadata.as_ref()?.labels.clone())
        .unwrap_or_default();
    let active: Vec<_> = observed.pods.iter().filter(|pod| pod.is_active()).collect();
    let count = |matches: &dyn Fn(&PodView) -> bool| active.iter().filter(|pod| matches(pod)).count() as i32;
    let labelled = |pod: &PodView| labels.iter().all(|(key, value)| pod.labels.get(key) == Some(value));
    let some = |count: i32| Some(count).filter(|count| *count > 0);
    let terminating = observed.pods.iter().filter(|pod| pod.terminating && !pod.has_ended()).count() as i32;
    ReplicaSetStatus {
        replicas: active.len() as i32,
        fully_labeled_replicas: some(count(&labelled)),
        ready_replicas: some(count(&|pod| pod.ready)),
        available_replicas: some(count(&|pod| pod.is_available(min_ready(set), observed.now))),
        terminating_replicas: Some(terminating),
        observed_generation: set.metadata.generation.max(old.observed_generation),
        conditions: conditions(old.conditions, observed.failure, observed.now),
    }
}

fn conditions(
    old: Option<Vec<ReplicaSetCondition>>,
    failure: Option<&Failure>,
    now: Timestamp,
) -> Option<Vec<ReplicaSetCondition>> {
    let mut conditions = old.unwrap_or_default();
    let known = conditions.iter().position(|condition| condition.type_.as_deref() == Some("ReplicaFailure"));
    match (failure, known) {
        (Some(_), Some(_)) | (None, None) => {}
        (None, Some(at)) => {
            conditions.remove(at);
        }
        (Some(failure), None) => conditions.push(ReplicaSetCondition {
            type_: Some("ReplicaFailure".into()),
            status: Some("True".into()),
            reason: Some(failure.reason.into()),
            message: Some(failure.message.clone()),
            last_transition_time: Some(Time(now)),
        }),
    }
    Some(conditions).filter(|conditions| !conditions.is_empty())
}
