//! Table tests of budgets.

use std::sync::Arc;
use std::time::Duration;

use apimachinery::{Value, value};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use super::plan::{Observed, fail_safe, go_selector, needs_scale, plan, selector, stale_in};
use crate::pods::{Phase, PodView};

fn now() -> Timestamp {
    "2026-01-01T01:00:00Z".parse().unwrap()
}

fn budget(spec: Value, status: Value) -> PodDisruptionBudget {
    value!({
        "metadata": {"name": "web", "namespace": "default", "uid": "u", "generation": 2},
        "spec": spec, "status": status
    })
    .decode()
    .unwrap()
}

/// `r`eady, `u`nready, `t`erminating; named `r0`, `u1`, ….
fn pods(kinds: &str) -> Vec<Arc<PodView>> {
    let pod = |(at, kind): (usize, char)| {
        Arc::new(PodView {
            name: format!("{kind}{at}"),
            phase: Phase::Running,
            ready: kind != 'u',
            terminating: kind == 't',
            ..PodView::default()
        })
    };
    kinds.chars().enumerate().map(pod).collect()
}

#[test]
fn so_many_may_be_disrupted() {
    for (spec, kinds, scale, expected) in [
        (value!({"minAvailable": 2}), "rrr", 0, (3, 3, 2, 1)),
        (value!({"minAvailable": 2}), "rru", 0, (3, 2, 2, 0)),
        (value!({"minAvailable": 2}), "rrrt", 0, (4, 3, 2, 1)),
        (value!({"minAvailable": 0}), "", 0, (0, 0, 0, 0)),
        (value!({"minAvailable": "50%"}), "rrr", 3, (3, 3, 2, 1)),
        (value!({"maxUnavailable": 1}), "rrr", 3, (3, 3, 2, 1)),
        (value!({"maxUnavailable": 1}), "rru", 3, (3, 2, 2, 0)),
        (value!({"maxUnavailable": "30%"}), "rrrrr", 5, (5, 5, 3, 2)),
        (value!({"maxUnavailable": 9}), "rr", 2, (2, 2, 0, 2)),
        (value!({}), "rr", 0, (0, 2, 0, 0)),
    ] {
        let budget = budget(spec, value!({}));
        let status = plan(&Observed { budget: &budget, pods: pods(kinds), scale, now: now() }).status;
        let counts = [
            status.expected_pods,
            status.current_healthy,
            status.desired_healthy,
            status.disruptions_allowed,
        ];
        let (a, b, c, d) = expected;
        assert_eq!(counts, [Some(a), Some(b), Some(c), Some(d)], "{:?} of {kinds}", budget.spec);
        let condition = &status.conditions.unwrap()[0];
        assert_eq!(condition.status, if d > 0 { "True" } else { "False" });
        assert_eq!(condition.reason, if d > 0 { "SufficientPods" } else { "InsufficientPods" });
        assert_eq!(condition.observed_generation, Some(2));
    }
}

#[test]
fn evictions_that_were_allowed_count_until_they_are_overdue() {
    let status = value!({"disruptedPods": {
        "r0": "2026-01-01T00:59:00Z", "r1": "2026-01-01T00:57:00Z", "gone": "2026-01-01T00:59:00Z"
    }});
    let budget = budget(value!({"minAvailable": 1}), status);
    let plan = plan(&Observed { budget: &budget, pods: pods("rrr"), scale: 0, now: now() });
    assert_eq!(plan.status.current_healthy, Some(2));
    let disrupted: Vec<_> = plan.status.disrupted_pods.unwrap().into_keys().collect();
    assert_eq!(disrupted, ["r0"]);
    assert_eq!(plan.not_deleted[0].name, "r1");
    assert_eq!(plan.again, Some(Duration::from_secs(60)));
}

#[test]
fn a_transition_keeps_its_time_and_a_failure_allows_nothing() {
    let status = value!({"disruptionsAllowed": 1, "observedGeneration": 1, "conditions": [{
        "type": "DisruptionAllowed", "status": "True", "reason": "SufficientPods", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z"
    }]});
    let budget = budget(value!({"minAvailable": 1}), status);
    let same = plan(&Observed { budget: &budget, pods: pods("rr"), scale: 0, now: now() }).status;
    assert_eq!(same.conditions.unwrap()[0].last_transition_time.0, "2026-01-01T00:00:00Z".parse().unwrap());
    let failed = fail_safe(&budget, "why", now());
    assert_eq!(failed.disruptions_allowed, Some(0));
    let condition = &failed.conditions.unwrap()[0];
    assert_eq!((condition.reason.as_str(), condition.message.as_str()), ("SyncFailed", "why"));
    assert_eq!(condition.last_transition_time.0, now());
}

#[test]
fn selectors_cover_and_are_shown() {
    let labels = std::collections::BTreeMap::from([("app".to_owned(), "web".to_owned())]);
    assert!(!selector(&budget(value!({}), value!({}))).matches(&labels));
    assert!(selector(&budget(value!({"selector": {}}), value!({}))).matches(&labels));
    let budget = budget(
        value!({"minAvailable": "1%", "selector": {
            "matchLabels": {"app": "web"}, "matchExpressions": [{"key": "k", "operator": "In", "values": ["a", "b"]}]
        }}),
        value!({}),
    );
    assert!(needs_scale(&budget));
    assert_eq!(
        go_selector(budget.spec.unwrap().selector.as_ref()),
        "&LabelSelector{MatchLabels:map[string]string{app: web,},MatchExpressions:\
         []LabelSelectorRequirement{LabelSelectorRequirement{Key:k,Operator:In,Values:[a b],},},}"
    );
}

#[test]
fn a_condition_is_stale_after_two_minutes() {
    let pod =
        |ago: i64| PodView { disrupted: Some(now() - SignedDuration::from_secs(ago)), ..PodView::default() };
    assert_eq!(stale_in(&pod(30), now()), Some(Duration::from_secs(90)));
    assert_eq!(stale_in(&pod(300), now()), Some(Duration::ZERO));
    assert_eq!(stale_in(&PodView { terminating: true, ..pod(300) }, now()), None);
    assert_eq!(stale_in(&PodView { phase: Phase::Failed, ..pod(300) }, now()), None);
    assert_eq!(stale_in(&PodView::default(), now()), None);
}
