//! HorizontalPodAutoscaler between `autoscaling/v1` and `v2`.
//!
//! What v1 has no field for it keeps in annotations: metrics, current metrics
//! and conditions as JSON of v1, behavior as JSON of upstream's internal type
//! (Go's names, absent fields null), which is read whatever its letters' case.

use apimachinery::{Object, Status, Value, json, value};
use apiserver::Conversion;

use super::{DEFAULT_PERCENT, average_cpu};

/// The shape of `autoscaling/v1`.
pub struct V1;

pub(super) const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const CURRENT: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

/// How v1 writes a source's numbers, which v2 keeps in one struct.
struct Source {
    field: &'static str,
    /// v1's name and v2's member of the struct, in v1's order.
    numbers: &'static [(&'static str, &'static str)],
    /// v1's number that is no pointer: written as 0 where it is absent.
    always: &'static str,
    /// The metric's name and selector, where they are not the resource's name.
    metric: Option<(&'static str, &'static str)>,
}

const TARGETS: [Source; 5] = [
    Source {
        field: "object",
        numbers: &[("targetValue", "value"), ("averageValue", "averageValue")],
        always: "targetValue",
        metric: Some(("metricName", "selector")),
    },
    Source {
        field: "pods",
        numbers: &[("targetAverageValue", "averageValue")],
        always: "targetAverageValue",
        metric: Some(("metricName", "selector")),
    },
    Source {
        field: "resource",
        numbers: &[
            ("targetAverageUtilization", "averageUtilization"),
            ("targetAverageValue", "averageValue"),
        ],
        always: "",
        metric: None,
    },
    Source {
        field: "containerResource",
        numbers: &[
            ("targetAverageUtilization", "averageUtilization"),
            ("targetAverageValue", "averageValue"),
        ],
        always: "",
        metric: None,
    },
    Source {
        field: "external",
        numbers: &[("targetValue", "value"), ("targetAverageValue", "averageValue")],
        always: "",
        metric: Some(("metricName", "metricSelector")),
    },
];

const CURRENTS: [Source; 5] = [
    Source {
        field: "object",
        numbers: &[("currentValue", "value"), ("averageValue", "averageValue")],
        always: "currentValue",
        metric: Some(("metricName", "selector")),
    },
    Source {
        field: "pods",
        numbers: &[("currentAverageValue", "averageValue")],
        always: "currentAverageValue",
        metric: Some(("metricName", "selector")),
    },
    Source {
        field: "resource",
        numbers: &[
            ("currentAverageUtilization", "averageUtilization"),
            ("currentAverageValue", "averageValue"),
        ],
        always: "currentAverageValue",
        metric: None,
    },
    Source {
        field: "containerResource",
        numbers: &[
            ("currentAverageUtilization", "averageUtilization"),
            ("currentAverageValue", "averageValue"),
        ],
        always: "currentAverageValue",
        metric: None,
    },
    Source {
        field: "external",
        numbers: &[("currentValue", "value"), ("currentAverageValue", "averageValue")],
        always: "currentValue",
        metric: Some(("metricName", "metricSelector")),
    },
];

impl Conversion for V1 {
    fn to_storage(&self, object: &mut Value) -> Result<(), Status> {
        object.set("apiVersion", "autoscaling/v2");
        let kept = |object: &Value, name: &str| match &object["metadata"]["annotations"][name] {
            Value::String(text) => json::parse_ordered(text.as_bytes()).ok(),
            _ => None,
        };
        let others = kept(object, METRICS).and_then(|metrics| from_v1(&metrics, &TARGETS, "target"));
        let behavior = kept(object, BEHAVIOR).map(|behavior| behavior_from_internal(&behavior));
        let current = kept(object, CURRENT).and_then(|metrics| from_v1(&metrics, &CURRENTS, "current"));
        let conditions = kept(object, CONDITIONS).filter(|conditions| conditions.as_array().is_some());
        drop_annotations(object);

        let spec = object.entry("spec");
        let percent = spec.remove("targetCPUUtilizationPercentage").and_then(|percent| percent.as_i64());
        let mut metrics = others.unwrap_or_default();
        metrics.extend(percent.map(average_cpu));
        if metrics.is_empty() {
            // Only here all metrics are known, so that only here the default can be.
            metrics.push(average_cpu(DEFAULT_PERCENT));
        }
        spec.set("metrics", metrics);
        if let Some(behavior) = behavior.filter(|behavior| behavior.members().next().is_some()) {
            spec.set("behavior", behavior);
        }
        let status = object.entry("status");
        let percent = status.remove("currentCPUUtilizationPercentage").and_then(|percent| percent.as_i64());
        let current = current.or_else(|| percent.map(|percent| vec![current_cpu(percent)]));
        status.set("currentMetrics", current.map_or(Value::Null, Value::Array));
        if status["currentReplicas"].as_i64() == Some(0) {
            status.remove("currentReplicas");
        }
        if let Some(conditions) = conditions {
            status.set("conditions", conditions);
        }
        Ok(())
    }

    fn from_storage(&self, object: &mut Value) -> Result<(), Status> {
        object.set("apiVersion", "autoscaling/v1");
        drop_annotations(object);
        let spec = object.entry("spec");
        let metrics = match spec.remove("metrics") {
            Some(Value::Array(metrics)) => metrics,
            _ => Vec::new(),
        };
        let behavior = spec.remove("behavior").filter(|behavior| !behavior.is_null());
        let percent = metrics
            .iter()
            .find(|metric| is_cpu(metric))
            .map(|metric| metric["resource"]["target"]["averageUtilization"].clone());
        if let Some(percent) = percent.filter(|percent| !percent.is_null()) {
            spec.set("targetCPUUtilizationPercentage", percent);
        }
        let status = object.entry("status");
        let conditions = status.remove("conditions");
        let current = match status.remove("currentMetrics") {
            Some(Value::Array(metrics)) => metrics,
            _ => Vec::new(),
        };
        let percent = current
            .iter()
            .rev()
            .filter(|metric| is_cpu(metric))
            .map(|metric| &metric["resource"]["current"]["averageUtilization"])
            .find(|percent| !percent.is_null());
        if let Some(percent) = percent {
            status.set("currentCPUUtilizationPercentage", percent.clone());
        }
        for count in ["currentReplicas", "desiredReplicas"] {
            if status[count].is_null() {
                status.set(count, 0);
            }
        }

        let told_by_percent =
            |metric: &&Value| is_cpu(metric) && !metric["resource"]["target"]["averageUtilization"].is_null();
        let others: Vec<Value> = metrics
            .iter()
            .filter(|metric| !told_by_percent(metric))
            .map(|metric| to_v1(metric, &TARGETS, "target"))
            .collect();
        if !others.is_empty() {
            annotate(object, METRICS, &Value::Array(others));
        }
        if !current.is_empty() {
            let current = current.iter().map(|metric| to_v1(metric, &CURRENTS, "current")).collect();
            annotate(object, CURRENT, &Value::Array(current));
        }
        if let Some(behavior) = behavior {
            annotate(object, BEHAVIOR, &behavior_to_internal(&behavior));
        }
        if let Some(conditions) = conditions.filter(|conditions| !conditions.items().is_empty()) {
            annotate(object, CONDITIONS, &conditions);
        }
        Ok(())
    }
}

fn is_cpu(metric: &Value) -> bool {
    metric["type"].text() == "Resource" && metric["resource"]["name"].text() == "cpu"
}

fn current_cpu(percent: i64) -> Value {
    value!({
        "type": "Resource",
        "resource": {"name": "cpu", "current": {"averageUtilization": percent}}
    })
}

/// A metric of v2, whose numbers are in the member `numbers` of its source.
fn to_v1(metric: &Value, sources: &[Source], numbers: &'static str) -> Value {
    let mut out = Object::new();
    out.push_new("type", metric["type"].clone());
    for source in sources {
        let from = &metric[source.field];
        if !from.is_null() {
            out.push_new(source.field, source_to_v1(from, source, numbers));
        }
    }
    Value::Object(out)
}

fn source_to_v1(from: &Value, source: &Source, numbers: &str) -> Value {
    let mut out = Object::new();
    let copy = |out: &mut Object, name: &'static str, value: &Value| {
        if !value.is_null() {
            out.push_new(name, value.clone());
        }
    };
    copy(&mut out, "target", &from["describedObject"]);
    copy(&mut out, "name", &from["name"]);
    if let Some((name, selector)) = source.metric {
        out.push_new(name, from["metric"]["name"].text());
        copy(&mut out, selector, &from["metric"]["selector"]);
    }
    for (name, member) in source.numbers {
        let number = &from[numbers][*member];
        match number {
            Value::Null if *name == source.always => out.push_new(*name, "0"),
            number => copy(&mut out, name, number),
        }
    }
    copy(&mut out, "container", &from["container"]);
    Value::Object(out)
}

/// The metrics of v1's annotation; None where they are no list of metrics.
fn from_v1(metrics: &Value, sources: &[Source], numbers: &'static str) -> Option<Vec<Value>> {
    let one = |metric: &Value| {
        let mut out = Object::new();
        out.push_new("type", metric["type"].text());
        for source in sources {
            let from = &metric[source.field];
            if !from.is_null() {
                out.push_new(source.field, source_from_v1(from, source, numbers));
            }
        }
        Value::Object(out)
    };
    Some(metrics.as_array()?.iter().map(one).collect())
}

fn source_from_v1(from: &Value, source: &Source, numbers: &'static str) -> Value {
    let mut out = Object::new();
    if !from["target"].is_null() {
        out.push_new("describedObject", from["target"].clone());
    }
    if !from["name"].is_null() {
        out.push_new("name", from["name"].clone());
    }
    let mut told = Object::new();
    if numbers == "target" {
        told.push_new("type", target_type(from, source));
    }
    for (name, member) in source.numbers {
        if !from[*name].is_null() {
            told.push_new(*member, from[*name].clone());
        }
    }
    out.push_new(numbers, Value::Object(told));
    if let Some((name, selector)) = source.metric {
        let mut metric = Object::new();
        metric.push_new("name", from[name].text());
        if !from[selector].is_null() {
            metric.push_new("selector", from[selector].clone());
        }
        out.push_new("metric", Value::Object(metric));
    }
    if !from["container"].is_null() {
        out.push_new("container", from["container"].clone());
    }
    Value::Object(out)
}

/// What kind of number v1 means, which it does not say itself.
fn target_type(from: &Value, source: &Source) -> &'static str {
    match source.field {
        "object" if from["averageValue"].is_null() => "Value",
        "external" if !from["targetValue"].is_null() => "Value",
        "resource" | "containerResource" if from["targetAverageValue"].is_null() => "Utilization",
        _ => "AverageValue",
    }
}

const RULES: [(&str, &str); 4] = [
    ("StabilizationWindowSeconds", "stabilizationWindowSeconds"),
    ("SelectPolicy", "selectPolicy"),
    ("Policies", "policies"),
    ("Tolerance", "tolerance"),
];
const POLICY: [(&str, &str); 3] = [("Type", "type"), ("Value", "value"), ("PeriodSeconds", "periodSeconds")];
const DIRECTIONS: [(&str, &str); 2] = [("ScaleUp", "scaleUp"), ("ScaleDown", "scaleDown")];

fn behavior_to_internal(behavior: &Value) -> Value {
    let policy = |policy: &Value| renamed(policy, &POLICY, |_, member| member.clone());
    let rules = |rules: &Value| {
        renamed(rules, &RULES, |name, member| match member {
            Value::Array(policies) if name == "Policies" => {
                policies.iter().map(policy).collect::<Vec<_>>().into()
            }
            other => other.clone(),
        })
    };
    renamed(
        behavior,
        &DIRECTIONS,
        |_, direction| if direction.is_null() { Value::Null } else { rules(direction) },
    )
}

/// Go's names in the order of the struct; what is absent is null.
fn renamed(from: &Value, names: &[(&'static str, &str)], make: impl Fn(&str, &Value) -> Value) -> Value {
    let mut out = Object::new();
    for (go, json) in names {
        out.push_new(*go, make(go, from.get(json)));
    }
    Value::Object(out)
}

fn behavior_from_internal(behavior: &Value) -> Value {
    let policy = |policy: &Value| restored(policy, &POLICY, |_, member| member.clone());
    let rules = |rules: &Value| {
        restored(rules, &RULES, |name, member| match member {
            Value::Array(policies) if name == "policies" => {
                policies.iter().map(policy).collect::<Vec<_>>().into()
            }
            other => other.clone(),
        })
    };
    restored(behavior, &DIRECTIONS, |_, direction| rules(direction))
}

/// The members by their names in JSON, however they are written; nulls are left out.
fn restored(from: &Value, names: &[(&str, &'static str)], make: impl Fn(&str, &Value) -> Value) -> Value {
    let mut out = Object::new();
    for (_, json) in names {
        let member = from.members().find(|(name, _)| name.eq_ignore_ascii_case(json));
        if let Some((_, member)) = member.filter(|(_, member)| !member.is_null()) {
            out.push_new(*json, make(json, member));
        }
    }
    Value::Object(out)
}

/// Keeps a part of v2 as JSON in an annotation of v1.
fn annotate(object: &mut Value, annotation: &'static str, value: &Value) {
    object.entry_at(&["metadata", "annotations"]).set(annotation, json::to_string(value));
}

/// Removes the annotations of this conversion, whoever wrote them.
fn drop_annotations(object: &mut Value) {
    let Some(metadata) = object.get_mut("metadata") else { return };
    let Some(annotations) = metadata.get_mut("annotations") else { return };
    let mut dropped = false;
    for name in [METRICS, CONDITIONS, CURRENT, BEHAVIOR] {
        dropped |= annotations.remove(name).is_some();
    }
    if dropped && annotations.members().next().is_none() {
        metadata.remove("annotations");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_metrics_the_cpu_counts() {
        let mut object = value!({"apiVersion": "autoscaling/v1", "spec": {"maxReplicas": 5}});
        V1.to_storage(&mut object).expect("converted");
        assert_eq!(object["spec"]["metrics"], value!([(average_cpu(DEFAULT_PERCENT))]));
    }

    #[test]
    fn both_versions_hold_the_same() {
        let stored = value!({
            "apiVersion": "autoscaling/v2", "metadata": {"name": "h"},
            "spec": {
                "maxReplicas": 5,
                "metrics": vec![
                    value!({
                        "type": "Pods",
                        "pods": {"target": {"type": "AverageValue", "averageValue": "1500m"}, "metric": {"name": "m"}}
                    }),
                    value!({
                        "type": "Object",
                        "object": {
                            "describedObject": {"kind": "K", "name": "n"},
                            "target": {"type": "Value", "value": "2"},
                            "metric": {"name": "m", "selector": {"matchLabels": {"a": "b"}}}
                        }
                    }),
                    average_cpu(70)
                ],
                "behavior": {"scaleUp": {"selectPolicy": "Max", "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}]}}
            },
            "status": {"desiredReplicas": 1, "currentMetrics": null}
        });
        let mut object = stored.clone();
        V1.from_storage(&mut object).expect("converted");
        assert_eq!(object["spec"]["targetCPUUtilizationPercentage"].as_i64(), Some(70));
        assert!(object["spec"]["metrics"].is_null());
        let annotations = &object["metadata"]["annotations"];
        assert_eq!(
            annotations[METRICS].text(),
            "[{\"type\":\"Pods\",\"pods\":{\"metricName\":\"m\",\"targetAverageValue\":\"1500m\"}},{\"type\":\
             \"Object\",\"object\":{\"target\":{\"kind\":\"K\",\"name\":\"n\"},\"metricName\":\"m\",\"selector\":\
             {\"matchLabels\":{\"a\":\"b\"}},\"targetValue\":\"2\"}}]"
        );
        assert_eq!(
            annotations[BEHAVIOR].text(),
            "{\"ScaleUp\":{\"StabilizationWindowSeconds\":null,\"SelectPolicy\":\"Max\",\"Policies\":[{\"Type\":\
             \"Pods\",\"Value\":4,\"PeriodSeconds\":15}],\"Tolerance\":null},\"ScaleDown\":null}"
        );
        V1.to_storage(&mut object).expect("converted");
        assert_eq!(object, stored);
    }

    #[test]
    fn what_no_number_says_is_told_as_zero() {
        let metric = value!({"type": "Pods", "pods": {"metric": {"name": "m"}, "current": {}}});
        assert_eq!(
            to_v1(&metric, &CURRENTS, "current"),
            value!({"type": "Pods", "pods": {"metricName": "m", "currentAverageValue": "0"}})
        );
    }

    #[test]
    fn annotations_that_cannot_be_read_are_dropped() {
        let mut object =
            value!({"metadata": {"annotations": {"autoscaling.alpha.kubernetes.io/metrics": "{"}}});
        V1.to_storage(&mut object).expect("converted");
        assert!(object["metadata"]["annotations"].is_null());
        assert_eq!(object["spec"]["metrics"], value!([(average_cpu(DEFAULT_PERCENT))]));
    }
}
