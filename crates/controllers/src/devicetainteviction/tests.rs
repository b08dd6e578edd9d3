//! Table tests of evictions and of what rules say.

use std::sync::Arc;

use informer::{ObjectKey, Whole};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::resource::v1::{DeviceTaintRule, ResourceClaim, ResourceSlice};
use serde::Deserialize;

use super::plan::{Effects, Observed, Reason, Told, effects, pause, tell};
use crate::cases::{Written, check, now};
use crate::pods::PodView;

const CASES: &str = include_str!("cases.yaml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    pod: Written<Pod>,
    claim: Written<ResourceClaim>,
    slice: Written<ResourceSlice>,
    /// A slice of the pool's next generation.
    newer: Option<Written<ResourceSlice>>,
    rule: Option<Written<DeviceTaintRule>>,
}

impl Case {
    fn observed(&self) -> Observed {
        let claim = Arc::new(Whole(self.claim.0.clone()));
        let slices = [&self.slice].into_iter().chain(&self.newer);
        Observed {
            claims: [(ObjectKey::of(&claim.metadata), claim.clone())].into(),
            slices: slices.map(|slice| Arc::new(Whole(slice.0.clone()))).collect(),
            rules: self.rule.iter().map(|rule| Arc::new(Whole(rule.0.clone()))).collect(),
        }
    }
}

/// `TIME: REASONS`, or nothing.
fn shown(observed: &Observed, pod: &PodView) -> String {
    let Some(eviction) = observed.of_pod(pod) else { return "nothing".to_owned() };
    let reasons: Vec<_> = eviction
        .reasons
        .iter()
        .map(|reason| match reason {
            Reason::Rule { name, .. } => format!("rule {name}"),
            Reason::Slice { driver, pool, device, taint } => format!("{driver}/{pool}/{device}#{taint}"),
        })
        .collect();
    format!("{}: {}", eviction.at, reasons.join(", "))
}

#[test]
fn who_is_driven_out_and_when() {
    check(CASES, "who is driven out and when", |case: Case| shown(&case.observed(), &case.pod.seen()));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Saying {
    rule: Written<DeviceTaintRule>,
    pods: usize,
    namespaces: usize,
    published: usize,
    allocated: usize,
    evicted: u64,
}

#[test]
fn what_rules_say() {
    check(CASES, "what rules say", |case: Saying| {
        let Saying { rule, pods, namespaces, published, allocated, evicted } = case;
        let counted = Effects { pods, namespaces, published, allocated, evicted };
        let Told::Condition(condition) = tell(&rule, &counted, now()) else { panic!("nothing is told") };
        assert_eq!(
            (condition.type_.as_str(), condition.observed_generation),
            ("EvictionInProgress", Some(3))
        );
        format!("{} {}: {}", condition.status, condition.reason, condition.message)
    });
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Counting {
    pod: Written<Pod>,
    claim: Written<ResourceClaim>,
    slice: Written<ResourceSlice>,
    rule: Written<DeviceTaintRule>,
    /// Another pod like it is on its way out.
    going: bool,
    evicted: u64,
}

#[test]
fn what_a_rule_would_do_is_counted() {
    check(CASES, "what a rule would do is counted", |case: Counting| {
        let own: Arc<PodView> = Arc::new(case.pod.seen());
        let mut pods = vec![own.clone()];
        pods.extend(case.going.then(|| Arc::new(PodView { terminating: true, ..own.as_ref().clone() })));
        let rule = case.rule.0.clone();
        let Counting { pod, claim, slice, evicted, .. } = case;
        let world = Case { pod, claim, slice, newer: None, rule: Some(Written(rule.clone())) };
        let counted = effects(world.observed(), &pods, &rule, evicted);
        [
            format!("{} pods", counted.pods),
            format!("{} namespaces", counted.namespaces),
            format!("{} devices published", counted.published),
            format!("{} devices allocated", counted.allocated),
            format!("{} pods evicted", counted.evicted),
        ]
    });
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resting {
    rule: Written<DeviceTaintRule>,
    pods: usize,
}

#[test]
fn what_is_told_rests_a_while() {
    check(CASES, "what is told rests a while", |case: Resting| {
        let counted = Effects { pods: case.pods, namespaces: case.pods, ..Effects::default() };
        match tell(&case.rule, &counted, now()) {
            Told::Condition(condition) => format!("{} {}", condition.status, condition.reason),
            Told::Again(after) => {
                assert_eq!(pause(&case.rule, now()), Some(after));
                format!("look again after {after:?}")
            }
            Told::Nothing => "nothing".to_owned(),
        }
    });
}
