//! Table tests of the plan and of behavior; a test of what metrics tell.

use std::collections::BTreeMap;

use apimachinery::{Value, value};
use jiff::SignedDuration;
use k8s_openapi::api::autoscaling::v2::{
    HorizontalPodAutoscaler, HorizontalPodAutoscalerBehavior, MetricSpec,
};
use k8s_openapi::api::core::v1::Pod;
use serde::Deserialize;

use super::behavior::{Bounds, History};
use super::plan::{Observed, Plan, Scale, needs_metrics, plan, rescaled};
use super::readings::{self, PodReading, Reading};
use crate::cases::{Written, check, now};

const CASES: &str = include_str!("cases.yaml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Case {
    autoscaler: Written<HorizontalPodAutoscaler>,
    known: BTreeMap<String, Written<MetricSpec>>,
    metrics: Vec<String>,
    replicas: i32,
    selector: String,
    /// Why the scale cannot be had.
    no_scale: Option<String>,
    pods: BTreeMap<String, String>,
    rivals: Vec<String>,
    readings: Vec<Value>,
    /// Why the scale cannot be written.
    refused: Option<String>,
}

impl Case {
    fn autoscaler(&self) -> HorizontalPodAutoscaler {
        let mut autoscaler = self.autoscaler.0.clone();
        let chosen = self.metrics.iter().map(|name| self.known[name].0.clone());
        autoscaler.spec.metrics = Some(chosen.collect());
        autoscaler
    }

    fn observe<'a>(&self, autoscaler: &'a HorizontalPodAutoscaler) -> Observed<'a> {
        let scale =
            Scale { replicas: self.replicas, observed: self.replicas, selector: self.selector.clone() };
        Observed {
            autoscaler,
            scale: self.no_scale.clone().map_or(Ok(scale), Err),
            pods: Ok(self.pods.iter().map(|(name, state)| pod(name, state)).collect()),
            rivals: self.rivals.clone(),
            readings: self.readings.iter().map(reading).collect(),
            now: now(),
        }
    }
}

fn pod(name: &str, state: &str) -> Pod {
    let at = |seconds: i64| (now() - SignedDuration::from_secs(seconds)).to_string();
    let (phase, ready, started, changed) = match state {
        "pending" => ("Pending", "False", 10, 10),
        "failed" => ("Failed", "False", 3600, 10),
        "unready" => ("Running", "False", 60, 60),
        "new" => ("Running", "True", 20, 1),
        _ => ("Running", "True", 3600, 3600),
    };
    let requests = if state == "greedy" { value!({}) } else { value!({"cpu": "500m", "memory": "100Mi"}) };
    let mut pod = value!({
        "metadata": {"name": name, "namespace": "ns", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "main", "resources": {"requests": requests}}]},
        "status": {
            "phase": phase, "startTime": (at(started)),
            "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": (at(changed))}]
        }
    });
    if state == "leaving" {
        pod.set_at(&["metadata", "deletionTimestamp"], at(1));
    }
    pod.decode().unwrap()
}

fn milli(text: &str) -> i64 {
    apimachinery::quantity::Quantity::parse(text).unwrap().milli_value()
}

/// A map is of pods, a list of series, a text of one object; `error: …` is why there is none.
fn reading(told: &Value) -> Result<Reading, String> {
    if let Some(why) = told["error"].as_str() {
        return Err(why.to_owned());
    }
    Ok(match told {
        Value::Object(_) => Reading::Pods(
            told.members()
                .map(|(pod, value)| {
                    let window = SignedDuration::from_secs(15);
                    let reading = PodReading { value: milli(value.text()), at: now(), window };
                    (pod.to_owned(), reading)
                })
                .collect(),
        ),
        Value::Array(series) => Reading::External(series.iter().map(|one| milli(one.text())).collect()),
        one => Reading::Object(milli(one.text())),
    })
}

/// The new size, the events and the conditions.
fn shown(plan: &Plan) -> Vec<String> {
    let mut lines: Vec<String> =
        plan.rescale.iter().map(|rescale| format!("scale to {}", rescale.to)).collect();
    lines.extend(plan.events.iter().map(|(_, reason, message)| format!("event {reason}: {message}")));
    let conditions = plan.status.conditions.iter().flatten();
    lines
        .extend(conditions.map(|one| {
            format!("{} {} {}", one.type_, one.status, one.reason.as_deref().unwrap_or_default())
        }));
    lines
}

#[test]
fn what_is_seen_and_what_is_done() {
    check(CASES, "what is seen and what is done", |case: Case| {
        let autoscaler = case.autoscaler();
        let observed = case.observe(&autoscaler);
        let mut history = History::default();
        // What was called for before it was watched is long ago.
        history.begin(0, now() - SignedDuration::from_hours(1));
        let done = plan(&observed, &mut history);
        shown(&rescaled(&observed, &mut history, done, case.refused.map_or(Ok(()), Err)))
    });
}

#[test]
fn the_status_tells_what_was_read() {
    check(CASES, "the status tells what was read", |case: Case| {
        let autoscaler = case.autoscaler();
        assert!(needs_metrics(&autoscaler, 2));
        assert!(!needs_metrics(&autoscaler, 11) && !needs_metrics(&autoscaler, 0));
        let mut status = plan(&case.observe(&autoscaler), &mut History::default()).status;
        status.conditions = None;
        Value::from_serialize(&status).unwrap()
    });
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Behavior {
    behavior: Option<Written<HorizontalPodAutoscalerBehavior>>,
    looks: Vec<Look>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Look {
    at: i64,
    wanted: i32,
    is: i32,
}

#[test]
fn behavior_over_time() {
    check(CASES, "behavior over time", |case: Behavior| {
        let behavior = case.behavior.as_deref();
        let mut history = History::default();
        let mut look = |Look { at, wanted, is }| {
            let at = now() + SignedDuration::from_secs(at);
            let found = history.normalize(behavior, Bounds { least: 1, most: 100, current: is }, wanted, at);
            if found.replicas != is {
                history.scaled(behavior, is, found.replicas, at);
            }
            format!("{} {}, {}", found.replicas, found.limit.0, found.able.0)
        };
        case.looks.into_iter().map(&mut look).collect::<Vec<_>>()
    });
}

#[test]
fn metrics_are_read() {
    let pod = value!({
        "metadata": {"name": "a"}, "timestamp": "2026-01-01T00:00:00Z", "window": "15s",
        "containers": [
            {"name": "main", "usage": {"cpu": "1500000n", "memory": "1Ki"}},
            {"name": "side", "usage": {"cpu": "1m"}}
        ]
    });
    let value = |reading: Result<Reading, String>| match reading.unwrap() {
        Reading::Pods(pods) => pods.get("a").map(|reading| (reading.value, reading.window.as_secs())),
        other => panic!("{other:?}"),
    };
    let items = std::slice::from_ref(&pod);
    // A thousandth and a half is two thousandths, as upstream rounds.
    assert_eq!(value(readings::resource(items, "cpu", None)), Some((3, 15)));
    assert_eq!(value(readings::resource(items, "cpu", Some("side"))), Some((1, 15)));
    assert_eq!(value(readings::resource(items, "memory", None)), None, "one container tells none");
    assert!(readings::resource(&[], "cpu", None).is_err());
    let custom =
        value!([{"describedObject": {"name": "a"}, "timestamp": "2026-01-01T00:00:00Z", "value": "2"}]);
    assert_eq!(value(readings::pods(custom.items())), Some((2000, 60)));
    assert_eq!(readings::object(custom.items()), Ok(Reading::Object(2000)));
    assert!(readings::object(&[]).unwrap_err().ends_with("returned 0 results when we asked for exactly one"));
    assert_eq!(readings::external(custom.items()), Ok(Reading::External(vec![2000])));
}
