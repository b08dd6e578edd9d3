//! ResourceQuota.

use apimachinery::Value;
use apimachinery::field::{Errors, Named, Path};
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

use crate::rules::{internal, resources};

/// ResourceQuota.
pub struct ResourceQuota;

impl Strategy for ResourceQuota {
    fn returns_deleted(&self) -> bool {
        true
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        let mut errors = Errors::new();
        validate_spec(&object["spec"], &mut errors);
        errors
    }

    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = self.validate_create(context, object);
        if !same_scopes(&object["spec"]["scopes"], &old["spec"]["scopes"]) {
            let spec = Path::Root.child("spec");
            let scopes = object["spec"]["scopes"].clone();
            errors.invalid(&spec.child("scopes"), scopes, "field is immutable");
        }
        errors
    }

    fn validate_status(&self, _: &Context<'_>, object: &Value, _: &Value) -> Errors {
        let mut errors = Errors::new();
        let status = Path::Root.child("status");
        for field in ["hard", "used"] {
            amounts(&object["status"][field], &status.child(field), &mut errors);
        }
        errors
    }

    /// Of a new quota alone.
    fn warnings(&self, _: &Context<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        if old.is_none() { overdrawn(&object["spec"]["hard"]) } else { Vec::new() }
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::config::resource_quota(object, now)
    }
}

/// Requests that may add up to more than their limits.
fn overdrawn(hard: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    for resource in ["cpu", "memory", "storage", "ephemeral-storage"] {
        let (mut name, limit) = (format!("requests.{resource}"), format!("limits.{resource}"));
        if hard[name.as_str()].is_null() && matches!(resource, "cpu" | "memory") {
            resource.clone_into(&mut name);
        }
        let (asked, most) = (&hard[name.as_str()], &hard[limit.as_str()]);
        if asked.is_null() || most.is_null() || resources::amount(asked) <= resources::amount(most) {
            continue;
        }
        let (asked, most) = (asked.text(), most.text());
        warnings.push(format!("ResourceQuota {name} ({asked}) should be less than {limit} ({most})"));
    }
    warnings
}

fn amounts(amounts: &Value, path: &Path<'_>, errors: &mut Errors) {
    for (name, amount) in amounts.members() {
        let here = path.key(name);
        resources::quota_name(&here, name, errors);
        resources::value(&here, name, amount, errors);
    }
}

const SCOPES: [&str; 7] = [
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
];

/// Scopes of which an object can only be in one.
const OPPOSITES: [[&str; 2]; 2] = [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]];

const COMPUTE: [&str; 6] =
    ["cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"];

/// Whether objects that use `resource` can be in `scope`.
fn applies(scope: &str, resource: &str) -> bool {
    match scope {
        "BestEffort" => resource == "pods",
        "VolumeAttributesClass" => matches!(resource, "persistentvolumeclaims" | "requests.storage"),
        scope if SCOPES.contains(&scope) => resource == "pods" || COMPUTE.contains(&resource),
        _ => true,
    }
}

fn validate_spec(spec: &Value, errors: &mut Errors) {
    let path = Path::Root.child("spec");
    amounts(&spec["hard"], &path.child("hard"), errors);
    let scopes = &spec["scopes"];
    let field = path.child("scopes");
    let names: Vec<&str> = scopes.items().iter().map(Value::text).collect();
    for scope in &names {
        // Each error tells all of them.
        if errors.is_full() {
            break;
        }
        if !SCOPES.contains(scope) {
            errors.invalid(&field, scopes.clone(), "unsupported scope");
        }
        inapplicable(scope, &spec["hard"], || scopes.clone(), &field, errors);
    }
    conflicts(&names, scopes, &field, errors);
    if spec["scopeSelector"].is_null() {
        return;
    }
    let parent = path.child("scopeSelector");
    let field = parent.child("matchExpressions");
    let requirements = spec["scopeSelector"]["matchExpressions"].items();
    for requirement in requirements {
        selector(requirement, spec, &field, errors);
    }
    let names: Vec<&str> = requirements.iter().map(|requirement| requirement["scopeName"].text()).collect();
    conflicts(&names, scopes, &field, errors);
}

fn inapplicable(scope: &str, hard: &Value, told: impl Fn() -> Value, path: &Path<'_>, errors: &mut Errors) {
    for (name, _) in hard.members() {
        if resources::is_quota_name(name) && !applies(scope, name) {
            errors.invalid(path, told(), "unsupported scope applied to resource");
        }
    }
}

fn conflicts(names: &[&str], scopes: &Value, path: &Path<'_>, errors: &mut Errors) {
    for pair in OPPOSITES {
        if pair.iter().all(|scope| names.contains(scope)) {
            errors.invalid(path, scopes.clone(), "conflicting scopes");
        }
    }
}

fn selector(requirement: &Value, spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    let (scope, operator) = (requirement["scopeName"].text(), requirement["operator"].text());
    if !SCOPES.contains(&scope) {
        errors.invalid(&path.child("scopeName"), Named(scope), "unsupported scope");
    }
    let told = || internal::of("ScopeSelector", &spec["scopeSelector"]);
    inapplicable(scope, &spec["hard"], told, path, errors);
    let field = path.child("operator");
    let is_class = matches!(scope, "PriorityClass" | "VolumeAttributesClass");
    if SCOPES.contains(&scope) && !is_class && operator != "Exists" {
        let why = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, \
                   ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, \
                   ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
        errors.invalid(&field, Named(operator), why);
    }
    let values = &requirement["values"];
    match operator {
        "In" | "NotIn" if values.items().is_empty() => {
            let why = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
            errors.required(&path.child("values"), why);
        }
        "Exists" | "DoesNotExist" if !values.items().is_empty() => {
            let why = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
            errors.invalid(&path.child("values"), values.clone(), why);
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        other => errors.invalid(&field, Named(other), "not a valid selector operator"),
    }
}

fn same_scopes(one: &Value, other: &Value) -> bool {
    let within = |one: &Value, other: &Value| one.items().iter().all(|scope| other.items().contains(scope));
    within(one, other) && within(other, one)
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn requests_above_limits_are_warned_of() {
        for (hard, told) in [
            (
                value!({"cpu": "2", "limits.cpu": "1"}),
                vec!["ResourceQuota cpu (2) should be less than limits.cpu (1)"],
            ),
            (value!({"requests.memory": "3Gi", "memory": "1Gi", "limits.memory": "3Gi"}), vec![]),
            (
                value!({"requests.ephemeral-storage": "3Gi", "limits.ephemeral-storage": "2Gi"}),
                vec![
                    "ResourceQuota requests.ephemeral-storage (3Gi) should be less than limits.ephemeral-storage (2Gi)",
                ],
            ),
            (value!({"cpu": "2"}), vec![]),
        ] {
            assert_eq!(overdrawn(&hard), told);
        }
    }

    #[test]
    fn scopes_go_with_what_they_can_hold() {
        for (spec, told) in [
            (value!({"hard": {"pods": "1"}, "scopes": ["BestEffort"]}), vec![]),
            (value!({"hard": {"services": "1"}, "scopes": ["Terminating"]}), vec!["spec.scopes"]),
            (value!({"hard": {"bogus": "1"}}), vec!["spec.hard[bogus]", "spec.hard[bogus]"]),
            (
                value!({"hard": {"cpu": "1"}, "scopes": ["Terminating", "NotTerminating"]}),
                vec!["spec.scopes"],
            ),
            (
                value!({"hard": {"pods": "1"}, "scopeSelector": {"matchExpressions": [
                    {"scopeName": "Terminating", "operator": "In", "values": ["a"]},
                    {"scopeName": "PriorityClass", "operator": "Exists", "values": ["a"]}
                ]}}),
                vec![
                    "spec.scopeSelector.matchExpressions.operator",
                    "spec.scopeSelector.matchExpressions.values",
                ],
            ),
        ] {
            let mut errors = Errors::new();
            validate_spec(&spec, &mut errors);
            let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
            assert_eq!(fields, told);
        }
    }

    #[test]
    fn scopes_are_a_set() {
        assert!(same_scopes(&value!(["a", "b"]), &value!(["b", "a"])));
        assert!(!same_scopes(&value!(["a"]), &Value::Null));
    }
}
