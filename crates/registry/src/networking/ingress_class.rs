//! IngressClass.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apimachinery::validation::{dns1123_label, dns1123_subdomain, path_segment_name};
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

use crate::names::domain_prefixed_path;

const CONTROLLER_MAX: usize = 250;

/// IngressClass.
pub struct IngressClass;

impl Strategy for IngressClass {
    fn has_generation(&self) -> bool {
        true
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        validate(object)
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = Errors::new();
        let (new, before) = (&object["spec"]["controller"], &old["spec"]["controller"]);
        if new.text() != before.text() {
            errors.invalid(&Path::Root.child("spec").child("controller"), new.text(), "field is immutable");
        }
        errors.append(validate(object));
        errors
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::network::ingress_class(object, now)
    }
}

fn validate(object: &Value) -> Errors {
    let mut errors = Errors::new();
    let (spec, path) = (&object["spec"], Path::Root.child("spec"));
    let controller = spec["controller"].text();
    if controller.len() > CONTROLLER_MAX {
        errors.too_long(&path.child("controller"), CONTROLLER_MAX);
    }
    domain_prefixed_path(&path.child("controller"), controller, &mut errors);
    parameters(&spec["parameters"], &path.child("parameters"), &mut errors);
    errors
}

/// What is missing is told by generated rules, whose errors come last.
fn parameters(parameters: &Value, path: &Path<'_>, errors: &mut Errors) {
    if parameters.is_null() {
        return;
    }
    if let Some(group) = parameters["apiGroup"].as_str() {
        errors.check(&path.child("apiGroup"), group, dns1123_subdomain(group));
    }
    for field in ["kind", "name"] {
        let text = parameters[field].text();
        errors.check(&path.child(field), text, path_segment_name(text));
    }
    let namespace = path.child("namespace");
    match (parameters["scope"].as_str(), parameters["namespace"].as_str()) {
        (None, _) => errors.required(&path.child("scope"), ""),
        (Some("Namespace"), None) => errors.required(&namespace, "`parameters.scope` is set to 'Namespace'"),
        (Some("Namespace"), Some(name)) => errors.check(&namespace, name, dns1123_label(name)),
        (Some("Cluster"), Some(_)) => errors.forbidden(&namespace, "`parameters.scope` is set to 'Cluster'"),
        (Some("Cluster"), None) => {}
        (Some(other), _) => errors.not_supported(&path.child("scope"), other, &["Cluster", "Namespace"]),
    }
    for field in ["kind", "name"] {
        if parameters[field].text().is_empty() {
            errors.required(&path.child(field), "");
        }
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn parameters_are_of_the_cluster_or_of_a_namespace() {
        for (parameters, expected) in [
            (value!({"kind": "K", "name": "n", "scope": "Cluster"}), ""),
            (
                value!({"kind": "K", "name": "n", "scope": "Namespace"}),
                "spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'",
            ),
            (
                value!({"kind": "K", "name": "n", "scope": "Cluster", "namespace": "a"}),
                "spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'",
            ),
            (
                value!({"kind": "a/b", "scope": "Odd"}),
                "[spec.parameters.kind: Invalid value: \"a/b\": may not contain '/', spec.parameters.scope: \
                 Unsupported value: \"Odd\": supported values: \"Cluster\", \"Namespace\", spec.parameters.name: \
                 Required value]",
            ),
        ] {
            let errors = validate(&value!({"spec": {"controller": "ex.com/c", "parameters": parameters}}));
            let told = if errors.is_empty() { String::new() } else { errors.to_string() };
            assert_eq!(told, expected);
        }
    }
}
