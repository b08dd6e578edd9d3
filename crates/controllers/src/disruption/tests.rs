//! Table tests of budgets.

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::value;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::Deserialize;

use super::plan::{Observed, Plan, fail_safe, go_selector, needs_scale, plan, selector, stale_in};
use crate::cases::{Written, check, now};
use crate::pods::{Phase, PodView};

const CASES: &str = include_str!("cases.yaml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    budget: Written<PodDisruptionBudget>,
    pods: BTreeMap<String, State>,
    wanted: i32,
    failure: Option<String>,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum State {
    Ready,
    Unready,
    Leaving,
}

impl Case {
    fn plan(&self) -> Plan {
        let pod = |(name, state): (&String, &State)| {
            Arc::new(PodView {
                name: name.clone(),
                phase: Phase::Running,
                ready: *state != State::Unready,
                terminating: *state == State::Leaving,
                ..PodView::default()
            })
        };
        let pods = self.pods.iter().map(pod).collect();
        plan(&Observed { budget: &self.budget, pods, scale: self.wanted, now: now() })
    }
}

fn condition(status: &PodDisruptionBudgetStatus) -> &Condition {
    let [condition] = status.conditions.as_deref().unwrap() else { panic!("{status:?}") };
    assert_eq!(condition.type_, "DisruptionAllowed");
    condition
}

#[test]
fn so_many_may_be_disrupted() {
    check(CASES, "so many may be disrupted", |case: Case| {
        let status = case.plan().status;
        let condition = condition(&status);
        assert_eq!((status.observed_generation, condition.observed_generation), (Some(2), Some(2)));
        value!({
            "expectedPods": (i64::from(status.expected_pods.unwrap())),
            "currentHealthy": (i64::from(status.current_healthy.unwrap())),
            "desiredHealthy": (i64::from(status.desired_healthy.unwrap())),
            "disruptionsAllowed": (i64::from(status.disruptions_allowed.unwrap())),
            "condition": (format!("{} {}", condition.status, condition.reason))
        })
    });
}

#[test]
fn evictions_that_were_allowed_count_until_they_are_overdue() {
    check(CASES, "evictions that were allowed count until they are overdue", |case: Case| {
        let plan = case.plan();
        let mut lines = vec![format!("{} healthy", plan.status.current_healthy.unwrap())];
        let disrupted = plan.status.disrupted_pods.unwrap_or_default();
        lines.extend(disrupted.keys().map(|name| format!("{name} is disrupted")));
        lines.extend(plan.not_deleted.iter().map(|pod| format!("{} was not deleted", pod.name)));
        lines.extend(plan.again.map(|after| format!("look again after {after:?}")));
        lines
    });
}

#[test]
fn a_transition_keeps_its_time_and_a_failure_allows_nothing() {
    check(CASES, "a transition keeps its time and a failure allows nothing", |case: Case| {
        let status = match &case.failure {
            Some(why) => fail_safe(&case.budget, why, now()),
            None => case.plan().status,
        };
        let one = condition(&status);
        let told = format!("{}: {}", one.reason, one.message);
        [
            format!("{} allowed", status.disruptions_allowed.unwrap()),
            format!("{} {} since {}", one.status, told.trim_end(), one.last_transition_time.0),
        ]
    });
}

#[test]
fn selectors_cover_and_are_shown() {
    let budget = |spec| -> PodDisruptionBudget {
        value!({"metadata": {"name": "web"}, "spec": spec}).decode().unwrap()
    };
    let labels = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
    assert!(!selector(&budget(value!({}))).matches(&labels));
    assert!(selector(&budget(value!({"selector": {}}))).matches(&labels));
    let budget = budget(value!({"minAvailable": "1%", "selector": {
        "matchLabels": {"app": "web"}, "matchExpressions": [{"key": "k", "operator": "In", "values": ["a", "b"]}]
    }}));
    assert!(needs_scale(&budget));
    assert_eq!(
        go_selector(budget.spec.unwrap().selector.as_ref()),
        "&LabelSelector{MatchLabels:map[string]string{app: web,},MatchExpressions:\
         []LabelSelectorRequirement{LabelSelectorRequirement{Key:k,Operator:In,Values:[a b],},},}"
    );
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stale {
    pod: Written<Pod>,
}

#[test]
fn a_condition_is_stale_after_two_minutes() {
    check(CASES, "a condition is stale after two minutes", |case: Stale| {
        stale_in(&case.pod.seen(), now()).map(|left| left.as_secs())
    });
}
