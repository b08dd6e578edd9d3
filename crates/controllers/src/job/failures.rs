//! What a failed pod means: the Job's pod failure policy, and pauses. Pure.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{Job, JobSpec, PodFailurePolicyRule};

use crate::pods::{Phase, PodView};

/// The first pause before failed pods are replaced, and the longest.
const FIRST_PAUSE: i64 = 10;
const MOST_PAUSE: i64 = 600;

/// What a rule says of a pod.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    Count,
    Ignore,
    FailIndex,
    FailJob(String),
}

/// Failed pods are replaced only once they have really ended.
pub fn waits_for_end(spec: &JobSpec) -> bool {
    match spec.pod_replacement_policy.as_deref() {
        Some(policy) => policy == "Failed",
        None => spec.pod_failure_policy.is_some(),
    }
}

/// Whether the pod counts as failed. One that is deleted may never get so far
/// as to say it.
pub fn has_failed(spec: &JobSpec, pod: &PodView) -> bool {
    match pod.phase {
        Phase::Failed => true,
        Phase::Succeeded => false,
        _ => pod.terminating && !waits_for_end(spec),
    }
}

/// The first rule that matches decides.
pub fn verdict(spec: &JobSpec, pod: &PodView) -> Verdict {
    let Some((at, rule, why)) = rule(spec, pod) else { return Verdict::Count };
    match rule.action.as_str() {
        "Ignore" => Verdict::Ignore,
        "FailIndex" if spec.backoff_limit_per_index.is_some() => Verdict::FailIndex,
        "FailJob" => Verdict::FailJob(format!("{why} matching FailJob rule at index {at}")),
        _ => Verdict::Count,
    }
}

/// The action of the rule that matches a pod, where one does.
pub fn action<'a>(spec: &'a JobSpec, pod: &PodView) -> Option<&'a str> {
    rule(spec, pod).map(|(_, rule, _)| rule.action.as_str())
}

/// The first rule that matches, its place among all, and why.
fn rule<'a>(spec: &'a JobSpec, pod: &PodView) -> Option<(usize, &'a PodFailurePolicyRule, String)> {
    let policy = spec.pod_failure_policy.as_ref().filter(|_| pod.phase == Phase::Failed)?;
    let mut rules = policy.rules.iter().enumerate();
    rules.find_map(|(at, rule)| matches(rule, pod).map(|why| (at, rule, why)))
}

fn matches(rule: &PodFailurePolicyRule, pod: &PodView) -> Option<String> {
    if let Some(codes) = &rule.on_exit_codes {
        let listed = |code: i32| codes.values.contains(&code) == (codes.operator == "In");
        let named = |name: &str| codes.container_name.as_ref().is_none_or(|wanted| wanted == name);
        let (name, code) = pod.exit_codes.iter().find(|(name, code)| named(name) && listed(*code))?;
        return Some(format!(
            "Container {name} for pod {}/{} failed with exit code {code}",
            pod.namespace, pod.name
        ));
    }
    let patterns = rule.on_pod_conditions.as_ref()?;
    let met = patterns.iter().find(|pattern| {
        let status = pattern.status.as_deref().unwrap_or("True");
        pod.conditions.iter().any(|(kind, known)| *kind == pattern.type_ && known == status)
    })?;
    Some(format!("Pod {}/{} has condition {}", pod.namespace, pod.name, met.type_))
}

/// When an ended pod, or one that counts as such, came to its end.
fn end(pod: &PodView) -> Timestamp {
    let unready = pod.ready_changed.filter(|_| !pod.ready);
    pod.finished.or(unready).or(pod.deleted).unwrap_or(pod.created)
}

/// How long to wait before the next pod is created: the failures since the
/// last success double it, those that the policy does not count too.
pub fn pause(job: &Job, pods: &[Arc<PodView>], now: Timestamp) -> Option<Duration> {
    let spec = job.spec.as_ref()?;
    let succeeded = pods.iter().filter(|pod| pod.phase == Phase::Succeeded).map(|pod| end(pod)).max();
    let failed: Vec<_> = pods
        .iter()
        .filter(|pod| has_failed(spec, pod))
        .map(|pod| end(pod))
        .filter(|at| succeeded.is_none_or(|success| *at > success))
        .collect();
    left(failed.len(), failed.into_iter().max()?, now)
}

/// How often an index has failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IndexFailures {
    pub counted: i32,
    /// Those that the Job's policy does not count.
    pub ignored: i32,
}

/// The pod that failed last for an index. It tells its failures to the one
/// that replaces it.
pub fn last_of_index<'a>(spec: &JobSpec, pods: &'a [Arc<PodView>], index: i32) -> Option<&'a Arc<PodView>> {
    let failed = pods.iter().filter(|pod| pod.completion_index == Some(index) && has_failed(spec, pod));
    failed.max_by_key(|pod| (pod.index_failures + pod.index_ignored, end(pod)))
}

/// The failures of an index with that of its last pod.
pub fn of_index(spec: &JobSpec, last: &PodView) -> IndexFailures {
    let ignored = verdict(spec, last) == Verdict::Ignore;
    IndexFailures {
        counted: last.index_failures + i32::from(!ignored),
        ignored: last.index_ignored + i32::from(ignored),
    }
}

/// What is left of an index's own pause.
pub fn pause_of_index(last: &PodView, now: Timestamp) -> Option<Duration> {
    let failures = usize::try_from(last.index_failures + last.index_ignored + 1).unwrap_or(0);
    left(failures, end(last), now)
}

/// What is left of the pause after `failures`, the last of them at `last`.
fn left(failures: usize, last: Timestamp, now: Timestamp) -> Option<Duration> {
    let doublings = u32::try_from(failures.checked_sub(1)?).unwrap_or(u32::MAX).min(10);
    let pause = (FIRST_PAUSE << doublings).min(MOST_PAUSE);
    let due = last.saturating_add(SignedDuration::from_secs(pause)).unwrap_or(Timestamp::MAX);
    Duration::try_from(due.duration_since(now)).ok().filter(|left| !left.is_zero())
}
