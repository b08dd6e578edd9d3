//! HorizontalPodAutoscaler: stored as `autoscaling/v2`, served as v1 too.

use apimachinery::{Status, Value, value};
use apiserver::{Conversion, Strategy, Version};
use jiff::Timestamp;

use crate::changes::default_struct;

/// HorizontalPodAutoscaler.
pub struct HorizontalPodAutoscaler;

/// The shape of `autoscaling/v1`.
pub struct V1;

/// Where v1 keeps what it has no field for.
const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const CURRENT: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

fn average_cpu(percent: i64) -> Value {
    value!({
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": percent}}
    })
}

impl Strategy for HorizontalPodAutoscaler {
    fn default(&self, version: &str, object: &mut Value) {
        let spec = object.entry("spec");
        match version {
            "v1" => {
                let told = !object["metadata"]["annotations"][METRICS].is_null();
                let spec = object.entry("spec");
                if spec["targetCPUUtilizationPercentage"].is_null() && !told {
                    spec.set("targetCPUUtilizationPercentage", 80);
                }
            }
            _ => {
                if spec["metrics"].items().is_empty() {
                    spec.set("metrics", vec![average_cpu(80)]);
                }
                default_behavior(spec);
            }
        }
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::scaling::autoscaler(object, now)
    }
}

/// Rules of scaling where some are given: the rest follows upstream's.
fn default_behavior(spec: &mut Value) {
    if spec["behavior"].is_null() {
        return;
    }
    let behavior = spec.entry("behavior");
    default_struct(behavior, "scaleUp");
    default_struct(behavior, "scaleDown");
    let up = behavior.entry("scaleUp");
    if up["policies"].items().is_empty() {
        up.set(
            "policies",
            value!([
                {"type": "Pods", "value": 4, "periodSeconds": 15},
                {"type": "Percent", "value": 100, "periodSeconds": 15}
            ]),
        );
    }
    let down = behavior.entry("scaleDown");
    if down["policies"].items().is_empty() {
        down.set("policies", value!([{"type": "Percent", "value": 100, "periodSeconds": 15}]));
    }
}

impl Conversion for V1 {
    fn to_storage(&self, object: &mut Value) -> Result<(), Status> {
        object.set("apiVersion", "autoscaling/v2");
        let percent = object.entry("spec").remove("targetCPUUtilizationPercentage");
        let mut metrics = kept(object, METRICS).unwrap_or_default();
        if let Some(percent) = percent.as_ref().and_then(Value::as_i64) {
            metrics.insert(0, average_cpu(percent));
        }
        if !metrics.is_empty() {
            object.entry("spec").set("metrics", metrics);
        }
        if let Some(behavior) = take(object, BEHAVIOR) {
            object.entry("spec").set("behavior", behavior);
        }
        let status = object.entry("status");
        status.remove("currentCPUUtilizationPercentage");
        for (annotation, field) in [(CONDITIONS, "conditions"), (CURRENT, "currentMetrics")] {
            if let Some(value) = take(object, annotation) {
                object.entry("status").set(field, value);
            }
        }
        Ok(())
    }

    fn from_storage(&self, object: &mut Value) -> Result<(), Status> {
        object.set("apiVersion", "autoscaling/v1");
        let spec = object.entry("spec");
        let mut metrics = match spec.remove("metrics") {
            Some(Value::Array(metrics)) => metrics,
            _ => Vec::new(),
        };
        let cpu = metrics.iter().position(|metric| {
            metric["type"].text() == "Resource"
                && metric["resource"]["name"].text() == "cpu"
                && !metric["resource"]["target"]["averageUtilization"].is_null()
        });
        if let Some(at) = cpu {
            let metric = metrics.remove(at);
            let percent = metric["resource"]["target"]["averageUtilization"].clone();
            spec.set("targetCPUUtilizationPercentage", percent);
        }
        let behavior = spec.remove("behavior");
        let status = object.entry("status");
        let conditions = status.remove("conditions");
        let current = status.remove("currentMetrics");
        if !metrics.is_empty() {
            annotate(object, METRICS, &Value::Array(metrics));
        }
        for (annotation, value) in [(BEHAVIOR, behavior), (CONDITIONS, conditions), (CURRENT, current)] {
            if let Some(value) = value.filter(|value| !value.is_null()) {
                annotate(object, annotation, &value);
            }
        }
        Ok(())
    }
}

/// Keeps a part of v2 as JSON in an annotation of v1.
fn annotate(object: &mut Value, annotation: &'static str, value: &Value) {
    let text = serde_json::to_string(value).unwrap_or_default();
    object.entry_at(&["metadata", "annotations"]).set(annotation, text);
}

/// Takes a part of v2 out of an annotation of v1.
fn take(object: &mut Value, annotation: &str) -> Option<Value> {
    let annotations = object.get_mut("metadata")?.get_mut("annotations")?;
    let text = annotations.remove(annotation)?;
    if annotations.members().next().is_none() {
        object.entry("metadata").remove("annotations");
    }
    serde_json::from_str(text.text()).ok()
}

fn kept(object: &mut Value, annotation: &str) -> Option<Vec<Value>> {
    match take(object, annotation)? {
        Value::Array(items) => Some(items),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_hold_the_same() {
        let stored = value!({
            "apiVersion": "autoscaling/v2", "metadata": {"name": "h"},
            "spec": {"maxReplicas": 5, "metrics": vec![average_cpu(70), value!({"type": "Pods", "pods": {"metric": {"name": "m"}}})], "behavior": {"scaleUp": {"selectPolicy": "Max"}}},
            "status": {"desiredReplicas": 1}
        });
        let mut object = stored.clone();
        V1.from_storage(&mut object).expect("converted");
        assert_eq!(object["spec"]["targetCPUUtilizationPercentage"].as_i64(), Some(70));
        assert!(object["spec"]["metrics"].is_null());
        V1.to_storage(&mut object).expect("converted");
        assert_eq!(object, stored);
    }

    #[test]
    fn cpu_at_80_percent_is_the_default() {
        let mut v2 = value!({"spec": {"maxReplicas": 5}});
        HorizontalPodAutoscaler.default("v2", &mut v2);
        assert_eq!(v2["spec"]["metrics"], Value::Array(vec![average_cpu(80)]));
        let mut v1 = value!({"spec": {"maxReplicas": 5}});
        HorizontalPodAutoscaler.default("v1", &mut v1);
        assert_eq!(v1["spec"]["targetCPUUtilizationPercentage"].as_i64(), Some(80));
    }
}
