//! HorizontalPodAutoscalers (in the shape of v2) and PodDisruptionBudgets.

use apimachinery::Value;
use jiff::Timestamp;

use super::words::{NONE, UNKNOWN, UNSET, age, at_most, cells, name, number, plain};

/// Metrics that are shown before `+ N more...`.
const MOST: usize = 2;

/// Name, Reference, Targets, MinPods, MaxPods, Replicas, Age.
pub fn autoscaler(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let target = &spec["scaleTargetRef"];
    let least = spec["minReplicas"].as_i64().map_or(UNSET.to_owned(), |number| number.to_string());
    cells![
        name(object),
        format!("{}/{}", target["kind"].text(), target["name"].text()),
        metrics(spec["metrics"].items(), &status["currentMetrics"]),
        least,
        number(&spec["maxReplicas"]),
        number(&status["currentReplicas"]),
        age(object, now),
    ]
}

fn metrics(specs: &[Value], current: &Value) -> String {
    if specs.is_empty() {
        return NONE.into();
    }
    let texts: Vec<String> = specs.iter().enumerate().map(|(at, spec)| metric(spec, &current[at])).collect();
    at_most(&texts, MOST, ", ")
}

/// What there is of a metric and what is wanted.
fn metric(spec: &Value, status: &Value) -> String {
    let field = match spec["type"].text() {
        "External" => "external",
        "Pods" => "pods",
        "Object" => "object",
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        _ => return "<unknown type>".into(),
    };
    let (source, current) = (&spec[field], &status[field]["current"]);
    let target = &source["target"];
    let now = |field: &str| match plain(&current[field]) {
        text if text.is_empty() => UNKNOWN.to_owned(),
        text => text,
    };
    let average = plain(&target["averageValue"]);
    let of_resource = matches!(field, "resource" | "containerResource");
    if of_resource && average.is_empty() {
        let percent =
            |value: &Value, none: &str| value.as_i64().map_or(none.to_owned(), |part| format!("{part}%"));
        return format!(
            "{}: {}/{}",
            source["name"].text(),
            percent(&current["averageUtilization"], UNKNOWN),
            percent(&target["averageUtilization"], "<auto>")
        );
    }
    match field {
        "resource" | "containerResource" => {
            format!("{}: {}/{average}", source["name"].text(), now("averageValue"))
        }
        "pods" => format!("{}/{average}", now("averageValue")),
        _ if average.is_empty() => format!("{}/{}", now("value"), plain(&target["value"])),
        _ => format!("{}/{average} (avg)", now("averageValue")),
    }
}

/// Name, Min Available, Max Unavailable, Allowed Disruptions, Age.
pub fn disruption_budget(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let told = |field: &str| match plain(&spec[field]) {
        text if text.is_empty() => "N/A".to_owned(),
        text => text,
    };
    cells![
        name(object),
        told("minAvailable"),
        told("maxUnavailable"),
        number(&object["status"]["disruptionsAllowed"]),
        age(object, now),
    ]
}
