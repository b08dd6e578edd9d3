//! What a HorizontalPodAutoscaler must say, in upstream's order: the written
//! rules first, then those that upstream generates (bounds of the replicas).

use apimachinery::Value;
use apimachinery::field::{Errors, Named, Path};
use apimachinery::validation::{dns1123_label, path_segment_name};

use crate::names::required_segment;
use crate::rules::resources;

const MOST_PERIOD: i64 = 1800;
const MOST_WINDOW: i64 = 3600;
const SOURCES: [&str; 5] = ["ContainerResource", "External", "Object", "Pods", "Resource"];
const NO_SOURCE: &str = "must populate information for the given metric source";

/// What an object's apiVersion may leave out.
#[derive(Clone, Copy)]
struct Versions {
    no_group: bool,
    anything: bool,
}

/// The rules of a new autoscaler; with `old`, those of a changed one.
pub fn validate(object: &Value, old: Option<&Value>) -> Errors {
    let mut errors = Errors::new();
    let (spec, path) = (&object["spec"], Path::Root.child("spec"));
    let most = spec["maxReplicas"].as_i64().unwrap_or(0);
    let least = spec["minReplicas"].as_i64();
    if least.is_some_and(|least| most < least) {
        let why = "must be greater than or equal to `minReplicas`";
        errors.invalid(&path.child("maxReplicas"), most, why);
    }
    let reference = &spec["scaleTargetRef"];
    reference_to(reference, target_versions(spec, old), &path.child("scaleTargetRef"), &mut errors);
    metrics(spec, object_versions(old), &path.child("metrics"), &mut errors);
    let behavior = path.child("behavior");
    for direction in ["scaleUp", "scaleDown"] {
        scaling_rules(&spec["behavior"][direction], &behavior.child(direction), &mut errors);
    }
    declared(spec, old.map(|old| &old["spec"]), &path, &mut errors);
    errors
}

/// Counts of the status.
pub fn validate_status(object: &Value) -> Errors {
    let mut errors = Errors::new();
    let path = Path::Root.child("status");
    for field in ["currentReplicas", "desiredReplicas"] {
        crate::rules::non_negative(&path.child(field), &object["status"][field], &mut errors);
    }
    errors
}

fn declared(spec: &Value, old: Option<&Value>, path: &Path<'_>, errors: &mut Errors) {
    let changed = |field: &str| old.is_none_or(|old| old[field] != spec[field]);
    if changed("minReplicas") {
        crate::rules::non_negative(&path.child("minReplicas"), &spec["minReplicas"], errors);
    }
    if changed("maxReplicas") {
        match spec["maxReplicas"].as_i64().unwrap_or(0) {
            0 => errors.required(&path.child("maxReplicas"), ""),
            most if most < 1 => {
                errors.invalid(&path.child("maxReplicas"), most, "must be greater than or equal to 1");
            }
            _ => {}
        }
    }
}

/// What is not changed is not looked at again; ReplicationControllers are the
/// one scalable kind without a group.
fn target_versions(spec: &Value, old: Option<&Value>) -> Versions {
    let reference = &spec["scaleTargetRef"];
    let same = old.is_some_and(|old| {
        let before = &old["spec"]["scaleTargetRef"];
        ["apiVersion", "kind"].iter().all(|field| before[*field].text() == reference[*field].text())
    });
    Versions { anything: same, no_group: !same && reference["kind"].text() == "ReplicationController" }
}

fn object_versions(old: Option<&Value>) -> Versions {
    let usual = Versions { no_group: true, anything: false };
    let wrong = old.is_some_and(|old| {
        old["spec"]["metrics"].items().iter().any(|metric| {
            let described = &metric["object"]["describedObject"];
            metric["type"].text() == "Object"
                && wrong_version(described["apiVersion"].text(), usual).is_some()
        })
    });
    Versions { anything: wrong, ..usual }
}

fn wrong_version(text: &str, versions: Versions) -> Option<String> {
    if versions.anything {
        return None;
    }
    let group = match text.split('/').collect::<Vec<_>>()[..] {
        [_] | ["", ""] => "",
        [group, _] => group,
        _ => return Some(format!("unexpected GroupVersion string: {text}")),
    };
    (group.is_empty() && !versions.no_group).then(|| "apiVersion must specify API group".into())
}

fn reference_to(reference: &Value, versions: Versions, path: &Path<'_>, errors: &mut Errors) {
    for field in ["kind", "name"] {
        required_segment(&path.child(field), &reference[field], errors);
    }
    let version = reference["apiVersion"].text();
    if let Some(why) = wrong_version(version, versions) {
        errors.invalid(&path.child("apiVersion"), version, &why);
    }
}

fn metrics(spec: &Value, versions: Versions, path: &Path<'_>, errors: &mut Errors) {
    let list = spec["metrics"].items();
    for (at, each) in list.iter().enumerate() {
        metric(each, versions, &path.index(at), errors);
    }
    let countable = |metric: &Value| matches!(metric["type"].text(), "Object" | "External");
    if spec["minReplicas"].as_i64() == Some(0) && !list.iter().any(countable) {
        let why = "must specify at least one Object or External metric to support scaling to zero replicas";
        errors.forbidden(path, why);
    }
}

fn metric(metric: &Value, versions: Versions, path: &Path<'_>, errors: &mut Errors) {
    let kind = metric["type"].text();
    let place = path.child("type");
    if kind.is_empty() {
        errors.required(&place, "must specify a metric source type");
    }
    errors.one_of(&place, kind, &SOURCES);
    let there: Vec<&str> = ["object", "external", "pods", "resource", "containerResource"]
        .into_iter()
        .filter(|field| !metric[*field].is_null())
        .collect();
    if let Some(field) = there.first() {
        source(field, &metric[*field], versions, &path.child(field), errors);
    }
    let expected = match kind {
        "Object" => "object",
        "Pods" => "pods",
        "Resource" => "resource",
        "External" => "external",
        "ContainerResource" => "containerResource",
        _ => "",
    };
    if !expected.is_empty() && metric[expected].is_null() {
        errors.required(&path.child(expected), NO_SOURCE);
    }
    if there.len() != 1 {
        for field in there.iter().filter(|field| **field != expected) {
            errors.forbidden(&path.child(field), "must populate the given metric source only");
        }
    }
}

fn source(field: &str, source: &Value, versions: Versions, path: &Path<'_>, errors: &mut Errors) {
    match field {
        "object" => {
            let described = &source["describedObject"];
            reference_to(described, versions, &path.child("describedObject"), errors);
            identifier(source, path, errors);
        }
        "external" | "pods" => identifier(source, path, errors),
        _ => {
            let name = source["name"].text();
            let place = path.child("name");
            if name.is_empty() {
                errors.required(&place, "must specify a resource name");
            } else if field == "containerResource" {
                resources::container_name(&place, name, errors);
            }
            if field == "containerResource" {
                let container = source["container"].text();
                let place = path.child("container");
                if container.is_empty() {
                    errors.required(&place, "must specify a container");
                } else {
                    errors.check(&place, container, dns1123_label(container));
                }
            }
        }
    }
    target(field, &source["target"], &path.child("target"), errors);
}

fn identifier(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    let name = source["metric"]["name"].text();
    let metric = path.child("metric");
    let place = metric.child("name");
    if name.is_empty() {
        errors.required(&place, "must specify a metric name");
    } else {
        errors.check(&place, name, path_segment_name(name));
    }
}

/// The number that is wanted, and which numbers a source may have.
fn target(field: &str, target: &Value, path: &Path<'_>, errors: &mut Errors) {
    let kind = target["type"].text();
    let place = path.child("type");
    if kind.is_empty() {
        errors.required(&place, "must specify a metric target type");
    }
    if !matches!(kind, "Utilization" | "Value" | "AverageValue") {
        errors.invalid(&place, Named(kind), "must be either Utilization, Value, or AverageValue");
    }
    for amount in ["value", "averageValue"] {
        let value = &target[amount];
        let number = resources::amount(value);
        if !value.is_null() && (number.is_zero() || number.is_negative()) {
            errors.invalid(&path.child(amount), value.clone(), "must be positive");
        }
    }
    if let Some(percent) = target["averageUtilization"].as_i64().filter(|percent| *percent < 1) {
        errors.invalid(&path.child("averageUtilization"), percent, "must be greater than 0");
    }
    let has = |field: &str| !target[field].is_null();
    let average = path.child("averageValue");
    match field {
        "object" if !has("value") && !has("averageValue") => {
            errors.required(&average, "must set either a target value or averageValue");
        }
        "external" if !has("value") && !has("averageValue") => {
            errors.required(&average, "must set either a target value for metric or a per-pod target");
        }
        "external" if has("value") && has("averageValue") => {
            let why = "may not set both a target value for metric and a per-pod target";
            errors.forbidden(&path.child("value"), why);
        }
        "pods" if !has("averageValue") => {
            errors.required(&average, "must specify a positive target averageValue");
        }
        "resource" | "containerResource" => match (has("averageUtilization"), has("averageValue")) {
            (false, false) => {
                let why = "must set either a target raw value or a target utilization";
                errors.required(&path.child("averageUtilization"), why);
            }
            (true, true) => {
                errors.forbidden(&average, "may not set both a target raw value and a target utilization");
            }
            _ => {}
        },
        _ => {}
    }
}

fn scaling_rules(rules: &Value, path: &Path<'_>, errors: &mut Errors) {
    if rules.is_null() {
        return;
    }
    let window = path.child("stabilizationWindowSeconds");
    match rules["stabilizationWindowSeconds"].as_i64() {
        Some(seconds) if seconds < 0 => {
            errors.invalid(&window, seconds, "must be greater than or equal to zero");
        }
        Some(seconds) if seconds > MOST_WINDOW => {
            errors.invalid(&window, seconds, &format!("must be less than or equal to {MOST_WINDOW}"));
        }
        _ => {}
    }
    if let Some(policy) = rules["selectPolicy"].as_str() {
        errors.one_of(&path.child("selectPolicy"), policy, &["Disabled", "Max", "Min"]);
    }
    let list = path.child("policies");
    if rules["policies"].items().is_empty() {
        errors.required(&list, "must specify at least one Policy");
    }
    for (at, policy) in rules["policies"].items().iter().enumerate() {
        scaling_policy(policy, &list.index(at), errors);
    }
    let tolerance = &rules["tolerance"];
    if resources::amount(tolerance).is_negative() {
        let why = "must be greater than or equal to 0";
        errors.invalid(&path.child("tolerance"), tolerance.clone(), why);
    }
}

fn scaling_policy(policy: &Value, path: &Path<'_>, errors: &mut Errors) {
    errors.one_of(&path.child("type"), policy["type"].text(), &["Percent", "Pods"]);
    for (field, most) in [("value", i64::MAX), ("periodSeconds", MOST_PERIOD)] {
        let number = policy[field].as_i64().unwrap_or(0);
        if number <= 0 {
            errors.invalid(&path.child(field), number, "must be greater than zero");
        }
        if number > most {
            errors.invalid(&path.child(field), number, &format!("must be less than or equal to {most}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    fn told(spec: Value, old: Option<Value>) -> Vec<String> {
        let old = old.map(|spec| value!({"spec": spec}));
        validate(&value!({"spec": spec}), old.as_ref()).iter().map(ToString::to_string).collect()
    }

    fn with(field: &'static str, value: Value) -> Value {
        let mut spec = value!({
            "scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"},
            "minReplicas": 1, "maxReplicas": 3
        });
        spec.set(field, value);
        spec
    }

    #[test]
    fn targets_need_a_group() {
        for (reference, expected) in [
            (value!({"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"}), ""),
            (value!({"kind": "ReplicationController", "name": "d", "apiVersion": "v1"}), ""),
            (
                value!({"kind": "Deployment", "name": "d", "apiVersion": "v1"}),
                "spec.scaleTargetRef.apiVersion: Invalid value: \"v1\": apiVersion must specify API group",
            ),
            (
                value!({"kind": "Deployment", "name": "d", "apiVersion": "a/b/c"}),
                "spec.scaleTargetRef.apiVersion: Invalid value: \"a/b/c\": unexpected GroupVersion string: a/b/c",
            ),
        ] {
            assert_eq!(told(with("scaleTargetRef", reference), None).join(""), expected);
        }
        let odd = with("scaleTargetRef", value!({"kind": "Deployment", "name": "d", "apiVersion": "v1"}));
        assert_eq!(told(odd.clone(), Some(odd)).join(""), "");
    }

    #[test]
    fn generated_bounds_come_last_and_only_where_they_change() {
        let spec = with("maxReplicas", (-1).into());
        assert_eq!(
            told(spec.clone(), None),
            [
                "spec.maxReplicas: Invalid value: -1: must be greater than or equal to `minReplicas`",
                "spec.maxReplicas: Invalid value: -1: must be greater than or equal to 1"
            ]
        );
        assert_eq!(told(spec.clone(), Some(spec)).len(), 1);
    }

    #[test]
    fn sources_are_what_the_type_says() {
        let metric = |metric: Value| told(with("metrics", value!([metric])), None);
        let cpu = value!({"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 5}});
        assert_eq!(metric(value!({"type": "Resource", "resource": cpu.clone()})).join(""), "");
        assert_eq!(
            metric(value!({"type": "Pods", "resource": cpu})),
            ["spec.metrics[0].pods: Required value: must populate information for the given metric source",]
        );
        assert_eq!(
            metric(value!({"type": "External", "external": {
                "metric": {"name": "m"}, "target": {"type": "Value", "value": "0"}
            }})),
            ["spec.metrics[0].external.target.value: Invalid value: \"0\": must be positive"]
        );
    }
}
