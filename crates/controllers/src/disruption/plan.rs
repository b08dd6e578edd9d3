//! The status that a PodDisruptionBudget deserves. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use apimachinery::Value;
use apimachinery::labels::Selector;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::percent::scaled;
use crate::pods::PodView;

/// So long after its eviction was allowed a pod that is not being deleted
/// counts again.
const DELETION_TIMEOUT: SignedDuration = SignedDuration::from_secs(120);
/// So long after a pod was meant to be disrupted and was not deleted, its
/// condition is taken back.
const STALE_AFTER: SignedDuration = SignedDuration::from_secs(120);

/// What was seen of a budget.
pub struct Observed<'a> {
    pub budget: &'a PodDisruptionBudget,
    /// Pods that its selector matches.
    pub pods: Vec<Arc<PodView>>,
    /// What the controllers of these pods want together, where it is asked for.
    pub scale: i32,
    pub now: Timestamp,
}

#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    pub status: PodDisruptionBudgetStatus,
    /// Pods that should have been deleted and were not.
    pub not_deleted: Vec<Arc<PodView>>,
    pub again: Option<Duration>,
}

/// What a budget covers; without a selector nothing.
pub fn selector(budget: &PodDisruptionBudget) -> Selector {
    let Some(selector) = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref()) else {
        return Selector::nothing();
    };
    let tree = Value::from_serialize(selector).unwrap_or_default();
    Selector::of_label_selector(&tree).unwrap_or_else(|_| Selector::nothing())
}

/// Whether the budget counts against what the pods' controllers want.
pub fn needs_scale(budget: &PodDisruptionBudget) -> bool {
    budget.spec.as_ref().is_some_and(|spec| {
        spec.max_unavailable.is_some() || matches!(spec.min_available, Some(IntOrString::String(_)))
    })
}

pub fn plan(observed: &Observed<'_>) -> Plan {
    let budget = observed.budget;
    let old = budget.status.clone().unwrap_or_default();
    let mut plan = Plan::default();
    let disrupted = disrupted(observed, &old, &mut plan);
    let (expected, wanted) = expected_and_wanted(observed);
    let healthy = observed
        .pods
        .iter()
        .filter(|pod| pod.ready && !pod.terminating && !disrupted.contains_key(&pod.name))
        .count() as i32;
    // A budget that covers nothing yet must not allow anything.
    let allowed = if expected > 0 { (healthy - wanted).max(0) } else { 0 };
    let status = PodDisruptionBudgetStatus {
        current_healthy: Some(healthy),
        desired_healthy: Some(wanted),
        expected_pods: Some(expected),
        disruptions_allowed: Some(allowed),
        disrupted_pods: Some(disrupted).filter(|pods| !pods.is_empty()),
        observed_generation: budget.metadata.generation,
        conditions: old.conditions,
    };
    let (verdict, reason) =
        if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    plan.status = with_condition(status, verdict, reason, "", observed.now);
    plan
}

/// The status where nothing could be counted: better no eviction than a wrong one.
pub fn fail_safe(budget: &PodDisruptionBudget, why: &str, now: Timestamp) -> PodDisruptionBudgetStatus {
    let mut status = budget.status.clone().unwrap_or_default();
    status.disruptions_allowed = Some(0);
    for count in [&mut status.current_healthy, &mut status.desired_healthy, &mut status.expected_pods] {
        count.get_or_insert(0);
    }
    with_condition(status, "False", "SyncFailed", why, now)
}

fn with_condition(
    mut status: PodDisruptionBudgetStatus,
    verdict: &str,
    reason: &str,
    message: &str,
    now: Timestamp,
) -> PodDisruptionBudgetStatus {
    let conditions = status.conditions.get_or_insert_default();
    let known = conditions.iter().position(|condition| condition.type_ == "DisruptionAllowed");
    let since = known
        .map(|at| &conditions[at])
        .filter(|known| known.status == verdict)
        .map_or(Time(now), |known| known.last_transition_time.clone());
    let condition = Condition {
        type_: "DisruptionAllowed".into(),
        status: verdict.into(),
        reason: reason.into(),
        message: message.into(),
        observed_generation: status.observed_generation,
        last_transition_time: since,
    };
    match known {
        Some(at) => conditions[at] = condition,
        None => conditions.push(condition),
    }
    status
}

fn expected_and_wanted(observed: &Observed<'_>) -> (i32, i32) {
    let Some(spec) = &observed.budget.spec else { return (0, 0) };
    if let Some(most) = &spec.max_unavailable {
        let missing = scaled(Some(most), observed.scale, true);
        return (observed.scale, (observed.scale - missing).max(0));
    }
    match &spec.min_available {
        Some(IntOrString::Int(least)) => (observed.pods.len() as i32, *least),
        Some(least) => (observed.scale, scaled(Some(least), observed.scale, true)),
        None => (0, 0),
    }
}

/// Pods whose eviction was allowed and has not begun yet.
fn disrupted(
    observed: &Observed<'_>,
    old: &PodDisruptionBudgetStatus,
    plan: &mut Plan,
) -> BTreeMap<String, Time> {
    let mut disrupted = BTreeMap::new();
    let Some(before) = &old.disrupted_pods else { return disrupted };
    for pod in observed.pods.iter().filter(|pod| !pod.terminating) {
        let Some(since) = before.get(&pod.name) else { continue };
        let due = since.0.saturating_add(DELETION_TIMEOUT).unwrap_or(Timestamp::MAX);
        match Duration::try_from(due.duration_since(observed.now)) {
            Ok(left) => {
                plan.again = Some(plan.again.map_or(left, |again| again.min(left)));
                disrupted.insert(pod.name.clone(), since.clone());
            }
            Err(_) => plan.not_deleted.push(pod.clone()),
        }
    }
    disrupted
}

/// How long until the pod's DisruptionTarget condition is stale; None where
/// it has none that may be taken back.
pub fn stale_in(pod: &PodView, now: Timestamp) -> Option<Duration> {
    let since = pod.disrupted.filter(|_| !pod.terminating && !pod.has_ended())?;
    let due = since.saturating_add(STALE_AFTER).unwrap_or(Timestamp::MAX);
    Some(Duration::try_from(due.duration_since(now)).unwrap_or(Duration::ZERO))
}

/// A selector as Go prints it.
pub fn go_selector(selector: Option<&LabelSelector>) -> String {
    let Some(selector) = selector else { return "nil".into() };
    let labels: String =
        selector.match_labels.iter().flatten().map(|(key, value)| format!("{key}: {value},")).collect();
    let requirements: String = selector
        .match_expressions
        .iter()
        .flatten()
        .map(|one| {
            let values = one.values.clone().unwrap_or_default().join(" ");
            format!(
                "LabelSelectorRequirement{{Key:{},Operator:{},Values:[{values}],}},",
                one.key, one.operator
            )
        })
        .collect();
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{labels}}},\
         MatchExpressions:[]LabelSelectorRequirement{{{requirements}}},}}"
    )
}
