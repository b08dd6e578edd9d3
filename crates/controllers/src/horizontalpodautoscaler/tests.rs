//! Table tests of the plan, of what metrics call for, and of behavior.

use std::collections::BTreeMap;

use apimachinery::{Value, value, yaml};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscaler, HorizontalPodAutoscalerBehavior};
use k8s_openapi::api::core::v1::Pod;

use super::behavior::{Bounds, History};
use super::plan::{Observed, Plan, Scale, needs_metrics, plan, rescaled};
use super::readings::{self, PodReading, Reading};

fn now() -> Timestamp {
    "2026-01-01T01:00:00Z".parse().unwrap()
}

fn read(text: &str) -> Value {
    let json = yaml::to_json(text.as_bytes()).unwrap().json;
    serde_json::from_slice(&json).unwrap()
}

/// `spec` of a Deployment's autoscaler is what is given and a target.
fn autoscaler(spec: &Value, status: &Value) -> HorizontalPodAutoscaler {
    let mut spec = spec.clone();
    spec.set("scaleTargetRef", value!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}));
    let tree = value!({
        "metadata": {"name": "web", "namespace": "ns", "generation": 3},
        "spec": (spec), "status": (status.clone())
    });
    tree.decode().unwrap()
}

/// A pod that requests half a CPU and 100Mi; `state` is `ready`, `pending`,
/// `unready`, `new` (ready for a second), `failed`, `leaving` or `greedy`
/// (requests nothing).
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

fn observe<'a>(case: &Value, autoscaler: &'a HorizontalPodAutoscaler) -> Observed<'a> {
    let count = |name: &str| case[name].as_i64().unwrap_or(0) as i32;
    let selector = case["selector"].as_str().unwrap_or("app=web").to_owned();
    let scale = Scale { replicas: count("replicas"), observed: count("replicas"), selector };
    Observed {
        autoscaler,
        scale: case["no scale"].as_str().map_or(Ok(scale), |why| Err(why.to_owned())),
        pods: Ok(case["pods"].members().map(|(name, state)| pod(name, state.text())).collect()),
        rivals: case["rivals"].items().iter().map(|rival| rival.text().to_owned()).collect(),
        readings: case["readings"].items().iter().map(reading).collect(),
        now: now(),
    }
}

/// `Type Status Reason` of each condition, in order, those of one status after another.
fn conditions(plan: &Plan) -> BTreeMap<String, String> {
    let conditions = plan.status.conditions.iter().flatten();
    conditions
        .map(|one| (one.type_.clone(), format!("{} {}", one.status, one.reason.as_deref().unwrap_or(""))))
        .collect()
}

/// `cpu50` and others stand for metrics; pods request 500m of CPU each.
const METRICS: &str = r#"
cpu50: {type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}
cpu200m: {type: Resource, resource: {name: cpu, target: {type: AverageValue, averageValue: 200m}}}
memory: {type: Resource, resource: {name: memory, target: {type: AverageValue, averageValue: 64Mi}}}
main50: {type: ContainerResource, containerResource: {name: cpu, container: main, target: {type: Utilization, averageUtilization: 50}}}
other50: {type: ContainerResource, containerResource: {name: cpu, container: other, target: {type: Utilization, averageUtilization: 50}}}
rps: {type: Pods, pods: {metric: {name: rps}, target: {type: AverageValue, averageValue: "10"}}}
hits: {type: Object, object: {metric: {name: hits}, describedObject: {kind: Service, name: front, apiVersion: v1}, target: {type: Value, value: "100"}}}
share: {type: Object, object: {metric: {name: hits}, describedObject: {kind: Service, name: front, apiVersion: v1}, target: {type: AverageValue, averageValue: "50"}}}
queue: {type: External, external: {metric: {name: queue}, target: {type: AverageValue, averageValue: "30"}}}
depth: {type: External, external: {metric: {name: queue, selector: {matchLabels: {q: a}}}, target: {type: Value, value: "30"}}}
"#;

/// What is seen, and what is done: `to` is the new size (none: it stays),
/// `active`, `able` and `limited` are the conditions, `events` what is told.
const CASES: &str = r#"
- what: twice the share that is wanted
  metrics: [cpu50]
  replicas: 2
  pods: {a: ready, b: ready}
  readings: [{a: 500m, b: 500m}]
  to: 4
  why: cpu resource utilization (percentage of request) above target
  active: True ValidMetricFound
  able: True SucceededRescale
  limited: False DesiredWithinRange
- what: half the share that is wanted
  metrics: [cpu50]
  replicas: 4
  pods: {a: ready, b: ready, c: ready, d: ready}
  readings: [{a: 125m, b: 125m, c: 125m, d: 125m}]
  to: 2
  why: All metrics below target
- what: within tolerance
  metrics: [cpu50]
  replicas: 2
  pods: {a: ready, b: ready}
  readings: [{a: 270m, b: 270m}]
  able: True ReadyForNewScale
- what: a tolerance of its own
  metrics: [cpu50]
  spec: {behavior: {scaleUp: {tolerance: "0.05", stabilizationWindowSeconds: 0, policies: [{type: Pods, value: 9, periodSeconds: 15}]}, scaleDown: {stabilizationWindowSeconds: 0}}}
  replicas: 2
  pods: {a: ready, b: ready}
  readings: [{a: 270m, b: 270m}]
  to: 3
  why: cpu resource utilization (percentage of request) above target
- what: no more than the most
  metrics: [cpu50]
  spec: {maxReplicas: 3}
  replicas: 2
  pods: {a: ready, b: ready}
  readings: [{a: "1", b: "1"}]
  to: 3
  why: cpu resource utilization (percentage of request) above target
  limited: True TooManyReplicas
- what: no faster than doubling, or to four
  metrics: [cpu50]
  replicas: 3
  pods: {a: ready, b: ready, c: ready}
  readings: [{a: "5", b: "5", c: "5"}]
  to: 6
  why: cpu resource utilization (percentage of request) above target
  limited: True ScaleUpLimit
- what: no fewer than the least
  metrics: [cpu50]
  spec: {minReplicas: 2}
  replicas: 3
  pods: {a: ready, b: ready, c: ready}
  readings: [{a: 1m, b: 1m, c: 1m}]
  to: 2
  why: All metrics below target
  limited: True TooFewReplicas
- what: above the most, whatever the metrics say
  metrics: [cpu50]
  replicas: 12
  to: 10
  why: Current number of replicas above Spec.MaxReplicas
- what: below the least
  metrics: [cpu50]
  spec: {minReplicas: 3}
  replicas: 1
  to: 3
  why: Current number of replicas below Spec.MinReplicas
- what: at nothing by somebody else it is off
  metrics: [cpu50]
  replicas: 0
  active: False ScalingDisabled
  able: True SucceededGetScale
- what: a missing pod counts as idle when growing
  metrics: [cpu50]
  replicas: 2
  pods: {a: ready, b: ready}
  readings: [{a: 750m}]
  to: 3
  why: cpu resource utilization (percentage of request) above target
- what: a missing pod counts as busy when shrinking
  metrics: [cpu50]
  replicas: 4
  pods: {a: ready, b: ready, c: ready, d: ready}
  readings: [{a: 50m, b: 50m, c: 50m}]
  to: 3
  why: All metrics below target
- what: pods that have just begun count as idle when growing
  metrics: [cpu50]
  replicas: 3
  pods: {a: ready, b: new, c: pending}
  readings: [{a: "1", b: "1"}]
  to: 4
  why: cpu resource utilization (percentage of request) above target
- what: unready pods do not turn a change round
  metrics: [cpu50]
  replicas: 3
  pods: {a: ready, b: unready, c: pending}
  readings: [{a: 500m, b: 500m}]
- what: failed and leaving pods are nobody
  metrics: [cpu50]
  replicas: 2
  pods: {a: ready, b: ready, c: failed, d: leaving}
  readings: [{a: 500m, b: 500m, c: "9", d: "9"}]
  to: 4
  why: cpu resource utilization (percentage of request) above target
- what: all are unready
  metrics: [cpu50]
  replicas: 1
  pods: {a: new}
  readings: [{a: 500m}]
  active: False FailedGetResourceMetric
  able: True SucceededGetScale
  events:
  - "FailedGetResourceMetric failed to get cpu utilization: did not receive metrics for targeted pods (pods might be unready)"
  - "FailedComputeMetricsReplicas invalid metrics (1 invalid out of 1), first error is: failed to get cpu resource metric value: failed to get cpu utilization: did not receive metrics for targeted pods (pods might be unready)"
- what: there are no metrics
  metrics: [cpu50]
  replicas: 1
  pods: {a: ready}
  readings: [{error: no metrics returned from resource metrics API}]
  active: False FailedGetResourceMetric
  events:
  - "FailedGetResourceMetric failed to get cpu utilization: unable to get metrics for resource cpu: no metrics returned from resource metrics API"
  - "FailedComputeMetricsReplicas invalid metrics (1 invalid out of 1), first error is: failed to get cpu resource metric value: failed to get cpu utilization: unable to get metrics for resource cpu: no metrics returned from resource metrics API"
- what: a pod requests nothing
  metrics: [cpu50]
  replicas: 1
  pods: {a: greedy}
  readings: [{a: 500m}]
  active: False FailedGetResourceMetric
  events:
  - "FailedGetResourceMetric failed to get cpu utilization: missing request for cpu in container main of Pod a"
  - "FailedComputeMetricsReplicas invalid metrics (1 invalid out of 1), first error is: failed to get cpu resource metric value: failed to get cpu utilization: missing request for cpu in container main of Pod a"
- what: an amount of a resource
  metrics: [cpu200m]
  replicas: 2
  pods: {a: ready, b: ready}
  readings: [{a: 300m, b: 300m}]
  to: 3
  why: cpu resource above target
- what: memory counts from the start on
  metrics: [memory]
  replicas: 2
  pods: {a: new, b: new}
  readings: [{a: 128Mi, b: 128Mi}]
  to: 4
  why: memory resource above target
- what: one container's share
  metrics: [main50]
  replicas: 2
  pods: {a: ready, b: ready}
  readings: [{a: 500m, b: 500m}]
  to: 4
  why: cpu container resource utilization (percentage of request) above target
- what: a container that no pod has
  metrics: [other50]
  replicas: 1
  pods: {a: ready}
  readings: [{a: 500m}]
  active: False FailedGetContainerResourceMetric
  events:
  - "FailedGetContainerResourceMetric failed to get cpu utilization: container other not found in Pod a"
  - "FailedComputeMetricsReplicas invalid metrics (1 invalid out of 1), first error is: failed to get other container metric value: failed to get cpu utilization: container other not found in Pod a"
- what: a metric of pods
  metrics: [rps]
  replicas: 2
  pods: {a: ready, b: ready}
  readings: [{a: "15", b: "25"}]
  to: 4
  why: pods metric rps above target
- what: no API of custom metrics
  metrics: [rps]
  replicas: 1
  pods: {a: ready}
  readings: [{error: "unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered"}]
  active: False FailedGetPodsMetric
  events:
  - "FailedGetPodsMetric unable to get metric rps: unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered"
  - "FailedComputeMetricsReplicas invalid metrics (1 invalid out of 1), first error is: failed to get pods metric value: unable to get metric rps: unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered"
- what: a metric of an object
  metrics: [hits]
  replicas: 2
  pods: {a: ready, b: ready}
  readings: ["150"]
  to: 3
  why: Service metric hits above target
- what: a metric of an object, shared among pods
  metrics: [share]
  replicas: 2
  pods: {a: ready, b: ready}
  readings: ["150"]
  to: 3
  why: external metric hits(nil) above target
- what: an external metric, shared among pods
  metrics: [queue]
  replicas: 2
  pods: {a: ready, b: ready}
  readings: [["60", "60"]]
  to: 4
  why: external metric queue(nil) above target
- what: the value of an external metric
  metrics: [depth]
  replicas: 2
  pods: {a: ready, b: pending}
  readings: [["90"]]
  to: 3
  why: "external metric queue(&LabelSelector{MatchLabels:map[string]string{q: a,},MatchExpressions:[]LabelSelectorRequirement{},}) above target"
- what: the largest of several
  metrics: [cpu50, rps]
  replicas: 2
  pods: {a: ready, b: ready}
  readings: [{a: 250m, b: 250m}, {a: "20", b: "20"}]
  to: 4
  why: pods metric rps above target
- what: one fails and the other would take away
  metrics: [cpu50, queue]
  replicas: 4
  pods: {a: ready, b: ready, c: ready, d: ready}
  readings: [{a: 10m, b: 10m, c: 10m, d: 10m}, {error: gone}]
  active: False FailedGetExternalMetric
  events:
  - "FailedGetExternalMetric unable to get external metric ns/queue/nil: gone"
  - "FailedComputeMetricsReplicas invalid metrics (1 invalid out of 2), first error is: failed to get queue external metric value: failed to get queue external metric: unable to get external metric ns/queue/nil: gone"
- what: one fails and the other gives
  metrics: [cpu50, queue]
  replicas: 2
  pods: {a: ready, b: ready}
  readings: [{a: 500m, b: 500m}, {error: gone}]
  to: 4
  why: cpu resource utilization (percentage of request) above target
  active: True ValidMetricFound
- what: to nothing
  metrics: [queue]
  spec: {minReplicas: 0}
  replicas: 1
  pods: {a: ready}
  readings: [["0"]]
  to: 0
  why: All metrics below target
  zero: True ScaledToZero
- what: back from nothing
  metrics: [queue]
  spec: {minReplicas: 0}
  status: {conditions: [{type: ScaledToZero, status: "True"}]}
  replicas: 0
  readings: [["45"]]
  to: 2
  why: external metric queue(nil) above target
  zero: False NotScaledToZero
- what: the target is not there
  metrics: [cpu50]
  no scale: deployments.apps "web" not found
  able: False FailedGetScale
  events: ['FailedGetScale deployments.apps "web" not found']
- what: the target has no selector
  metrics: [cpu50]
  replicas: 1
  selector: ""
  active: False InvalidSelector
  events: [SelectorRequired selector is required, FailedComputeMetricsReplicas selector is required]
- what: two autoscalers for the same pods
  metrics: [cpu50]
  replicas: 1
  pods: {a: ready}
  readings: [{a: 500m}]
  rivals: ['{other ns}', '{web ns}']
  active: False AmbiguousSelector
  events:
  - "AmbiguousSelector pods by selector app=web are controlled by more than one HPA (e.g. [{other ns} {web ns}])"
  - "FailedComputeMetricsReplicas pods by selector app=web are controlled by more than one HPA (e.g. [{other ns} {web ns}])"
- what: the scale cannot be written
  metrics: [cpu50]
  replicas: 2
  pods: {a: ready, b: ready}
  readings: [{a: 500m, b: 500m}]
  refused: quota
  to: 4
  why: cpu resource utilization (percentage of request) above target
  able: False FailedUpdateScale
  events: ["FailedRescale New size: 4; reason: cpu resource utilization (percentage of request) above target; error: quota"]
"#;

#[test]
fn what_is_seen_and_what_is_done() {
    let metrics = read(METRICS);
    for case in read(CASES).items() {
        let what = case["what"].text();
        let mut spec = value!({"minReplicas": 1, "maxReplicas": 10});
        for (name, value) in case["spec"].members() {
            spec.set(name.to_owned(), value.clone());
        }
        let chosen: Vec<Value> =
            case["metrics"].items().iter().map(|name| metrics[name.text()].clone()).collect();
        assert!(chosen.iter().all(|metric| !metric.is_null()), "{what}: an unknown metric");
        spec.set("metrics", chosen);
        let status = match &case["status"] {
            Value::Null => value!({}),
            status => status.clone(),
        };
        let autoscaler = autoscaler(&spec, &status);
        let observed = observe(case, &autoscaler);
        let mut history = History::default();
        // What was called for before it was watched is long ago.
        history.begin(0, now() - SignedDuration::from_hours(1));
        let mut done = plan(&observed, &mut history);
        let to = done.rescale.as_ref().map(|rescale| i64::from(rescale.to));
        assert_eq!(to, case["to"].as_i64(), "{what}: {done:#?}");
        let why = done.rescale.as_ref().map_or("", |rescale| rescale.reason.as_str()).to_owned();
        assert_eq!(why, case["why"].text(), "{what}");
        let result = case["refused"].as_str().map_or(Ok(()), |why| Err(why.to_owned()));
        done = rescaled(&observed, &mut history, done, result);
        let told = conditions(&done);
        for (field, kind) in [
            ("active", "ScalingActive"),
            ("able", "AbleToScale"),
            ("limited", "ScalingLimited"),
            ("zero", "ScaledToZero"),
        ] {
            if let Some(expected) = case[field].as_str() {
                assert_eq!(told.get(kind).map(String::as_str), Some(expected), "{what}: {kind}");
            }
        }
        if !case["events"].is_null() {
            let events: Vec<Value> =
                done.events.iter().map(|(_, reason, message)| format!("{reason} {message}").into()).collect();
            assert_eq!(events, case["events"].items(), "{what}");
        }
    }
}

#[test]
fn the_status_tells_what_was_read() {
    let metrics = read(METRICS);
    let spec = value!({
        "maxReplicas": 10, "metrics": [(metrics["cpu50"].clone()), (metrics["memory"].clone())]
    });
    let autoscaler = autoscaler(&spec, &value!({}));
    let case =
        read("{replicas: 2, pods: {a: ready, b: ready}, readings: [{a: 200m, b: 301m}, {a: 64Mi, b: 66Mi}]}");
    let observed = observe(&case, &autoscaler);
    let done = plan(&observed, &mut History::default());
    let status = Value::from_serialize(&done.status).unwrap();
    assert_eq!(
        status["currentMetrics"],
        read(
            r#"
- {resource: {name: cpu, current: {averageUtilization: 50, averageValue: 250m}}, type: Resource}
- {resource: {name: memory, current: {averageValue: 65Mi}}, type: Resource}
"#
        )
    );
    assert_eq!(status["currentReplicas"].as_i64(), Some(2));
    assert_eq!(status["desiredReplicas"].as_i64(), Some(2));
    assert_eq!(status["observedGeneration"].as_i64(), Some(3));
    assert!(
        needs_metrics(&autoscaler, 2) && !needs_metrics(&autoscaler, 11) && !needs_metrics(&autoscaler, 0)
    );
}

/// Each look: `at` seconds, `wanted` by the metrics, `is` at present; then
/// `to` and the reason of the limit, and of the stabilization where it is one.
const BEHAVIORS: &str = r#"
- what: without behavior the highest of five minutes counts when shrinking
  looks:
  - {at: 0, wanted: 8, is: 8, to: 8, limit: DesiredWithinRange}
  - {at: 60, wanted: 2, is: 8, to: 8, limit: DesiredWithinRange, able: ScaleDownStabilized}
  - {at: 299, wanted: 2, is: 8, to: 8, limit: DesiredWithinRange, able: ScaleDownStabilized}
  - {at: 301, wanted: 2, is: 8, to: 2, limit: DesiredWithinRange, able: ReadyForNewScale}
- what: a short window
  behavior: {scaleUp: {policies: [{type: Percent, value: 100, periodSeconds: 15}]}, scaleDown: {stabilizationWindowSeconds: 20, policies: [{type: Percent, value: 100, periodSeconds: 15}]}}
  looks:
  - {at: 0, wanted: 8, is: 8, to: 8, limit: DesiredWithinRange}
  - {at: 15, wanted: 1, is: 8, to: 8, limit: DesiredWithinRange, able: ScaleDownStabilized}
  - {at: 30, wanted: 1, is: 8, to: 1, limit: DesiredWithinRange, able: ReadyForNewScale}
- what: a window for growing too
  behavior: {scaleUp: {stabilizationWindowSeconds: 30, policies: [{type: Pods, value: 20, periodSeconds: 15}]}, scaleDown: {stabilizationWindowSeconds: 0, policies: [{type: Percent, value: 100, periodSeconds: 15}]}}
  looks:
  - {at: 0, wanted: 2, is: 2, to: 2, limit: DesiredWithinRange}
  - {at: 15, wanted: 9, is: 2, to: 2, limit: DesiredWithinRange, able: ScaleUpStabilized}
  - {at: 31, wanted: 9, is: 2, to: 9, limit: DesiredWithinRange, able: ReadyForNewScale}
- what: so many pods a minute
  behavior: {scaleUp: {policies: [{type: Pods, value: 2, periodSeconds: 60}]}, scaleDown: {}}
  looks:
  - {at: 0, wanted: 10, is: 3, to: 5, limit: ScaleUpLimit}
  - {at: 30, wanted: 10, is: 5, to: 5, limit: ScaleUpLimit}
  - {at: 61, wanted: 10, is: 5, to: 7, limit: ScaleUpLimit}
- what: the larger of two policies
  behavior: {scaleUp: {policies: [{type: Pods, value: 4, periodSeconds: 60}, {type: Percent, value: 10, periodSeconds: 60}]}, scaleDown: {}}
  looks:
  - {at: 0, wanted: 90, is: 20, to: 24, limit: ScaleUpLimit}
- what: the smaller of two policies
  behavior: {scaleUp: {selectPolicy: Min, policies: [{type: Pods, value: 4, periodSeconds: 60}, {type: Percent, value: 10, periodSeconds: 60}]}, scaleDown: {}}
  looks:
  - {at: 0, wanted: 90, is: 20, to: 22, limit: ScaleUpLimit}
- what: shrinking is off
  behavior: {scaleUp: {}, scaleDown: {selectPolicy: Disabled, stabilizationWindowSeconds: 0}}
  looks:
  - {at: 0, wanted: 1, is: 9, to: 9, limit: ScaleDownLimit}
- what: a tenth at a time
  behavior: {scaleUp: {}, scaleDown: {stabilizationWindowSeconds: 0, policies: [{type: Percent, value: 10, periodSeconds: 60}]}}
  looks:
  - {at: 0, wanted: 1, is: 20, to: 18, limit: ScaleDownLimit}
  - {at: 30, wanted: 1, is: 18, to: 18, limit: ScaleDownLimit}
  - {at: 61, wanted: 1, is: 18, to: 16, limit: ScaleDownLimit}
- what: what grew within the period may go again
  behavior: {scaleUp: {policies: [{type: Pods, value: 50, periodSeconds: 60}]}, scaleDown: {stabilizationWindowSeconds: 0, policies: [{type: Pods, value: 1, periodSeconds: 60}]}}
  looks:
  - {at: 0, wanted: 30, is: 10, to: 30, limit: DesiredWithinRange}
  - {at: 15, wanted: 5, is: 30, to: 9, limit: ScaleDownLimit}
"#;

#[test]
fn behavior_over_time() {
    for case in read(BEHAVIORS).items() {
        let behavior: Option<HorizontalPodAutoscalerBehavior> =
            (!case["behavior"].is_null()).then(|| case["behavior"].clone().decode().unwrap());
        let mut history = History::default();
        for look in case["looks"].items() {
            let number = |name: &str| look[name].as_i64().unwrap();
            let at = now() + SignedDuration::from_secs(number("at"));
            let current = number("is") as i32;
            let bounds = Bounds { least: 1, most: 100, current };
            let wanted = number("wanted") as i32;
            let found = history.normalize(behavior.as_ref(), bounds, wanted, at);
            let what = format!("{} at {}", case["what"].text(), number("at"));
            assert_eq!(i64::from(found.replicas), number("to"), "{what}: {found:?}");
            assert_eq!(found.limit.0, look["limit"].text(), "{what}");
            if let Some(able) = look["able"].as_str() {
                assert_eq!(found.able.0, able, "{what}");
            }
            if found.replicas != current {
                history.scaled(behavior.as_ref(), current, found.replicas, at);
            }
        }
    }
}

#[test]
fn metrics_are_read() {
    let pod = read(
        r#"{metadata: {name: a}, timestamp: "2026-01-01T00:00:00Z", window: 15s,
            containers: [{name: main, usage: {cpu: 1500000n, memory: 1Ki}}, {name: side, usage: {cpu: 1m}}]}"#,
    );
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
    let custom = read(r#"[{describedObject: {name: a}, timestamp: "2026-01-01T00:00:00Z", value: "2"}]"#);
    assert_eq!(value(readings::pods(custom.items())), Some((2000, 60)));
    assert_eq!(readings::object(custom.items()), Ok(Reading::Object(2000)));
    assert!(readings::object(&[]).unwrap_err().ends_with("returned 0 results when we asked for exactly one"));
    assert_eq!(readings::external(custom.items()), Ok(Reading::External(vec![2000])));
}
