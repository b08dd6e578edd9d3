//! Affinity to nodes and to other pods.

use apimachinery::Value;
use apimachinery::field::{Errors, Named, Path};
use apimachinery::validation::{dns1123_label, dns1123_subdomain, label_key, label_value};

use super::scheduling::{label_keys, selected_twice};
use crate::rules::selector;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

pub(super) fn validate(affinity: &Value, path: &Path<'_>, errors: &mut Errors) {
    let node = &affinity["nodeAffinity"];
    let here = path.child("nodeAffinity");
    if !node[REQUIRED].is_null() {
        node_selector(&here.child(REQUIRED), &node[REQUIRED], errors);
    }
    let terms = here.child(PREFERRED);
    for (at, term) in node[PREFERRED].items().iter().enumerate() {
        let here = terms.index(at);
        weight(&here, term, errors);
        node_selector_term(&here.child("preference"), &term["preference"], Values::Any, errors);
    }
    for field in ["podAffinity", "podAntiAffinity"] {
        pods(&affinity[field], &path.child(field), errors);
    }
}

fn weight(path: &Path<'_>, term: &Value, errors: &mut Errors) {
    let weight = term["weight"].as_i64().unwrap_or(0);
    if !(1..=100).contains(&weight) {
        errors.invalid(&path.child("weight"), weight, "must be in the range 1-100");
    }
}

/// A NodeSelector: one term at least.
pub fn node_selector(path: &Path<'_>, selector: &Value, errors: &mut Errors) {
    let field = path.child("nodeSelectorTerms");
    let terms = selector["nodeSelectorTerms"].items();
    if terms.is_empty() {
        errors.required(&field, "must have at least one node selector term");
    }
    for (at, term) in terms.iter().enumerate() {
        node_selector_term(&field.index(at), term, Values::OfLabels, errors);
    }
}

/// Which values a requirement may have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Values {
    OfLabels,
    /// What is only preferred was never checked; it matches nothing.
    Any,
}

fn node_selector_term(path: &Path<'_>, term: &Value, values: Values, errors: &mut Errors) {
    let expressions = path.child("matchExpressions");
    for (at, requirement) in term["matchExpressions"].items().iter().enumerate() {
        by_label(&expressions.index(at), requirement, values, errors);
    }
    let fields = path.child("matchFields");
    for (at, requirement) in term["matchFields"].items().iter().enumerate() {
        by_field(&fields.index(at), requirement, errors);
    }
}

fn by_label(path: &Path<'_>, requirement: &Value, checked: Values, errors: &mut Errors) {
    let values = requirement["values"].items();
    let field = path.child("values");
    match requirement["operator"].text() {
        "In" | "NotIn" => {
            if values.is_empty() {
                errors.required(&field, "must be specified when `operator` is 'In' or 'NotIn'");
            }
        }
        "Exists" | "DoesNotExist" => {
            if !values.is_empty() {
                let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                errors.forbidden(&field, why);
            }
        }
        "Gt" | "Lt" => {
            if values.len() != 1 {
                let why = "must be specified single value when `operator` is 'Lt' or 'Gt'";
                errors.required(&field, why);
            }
        }
        other => errors.invalid(&path.child("operator"), Named(other), "not a valid selector operator"),
    }
    let key = requirement["key"].text();
    errors.check(&path.child("key"), key, label_key(key));
    if checked == Values::OfLabels {
        for (at, value) in values.iter().enumerate() {
            errors.check(&field.index(at), value.text(), label_value(value.text()));
        }
    }
}

/// Nodes are chosen by one field only: their name.
fn by_field(path: &Path<'_>, requirement: &Value, errors: &mut Errors) {
    let values = requirement["values"].items();
    match requirement["operator"].text() {
        "In" | "NotIn" => {
            if values.len() != 1 {
                let why = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
                errors.required(&path.child("values"), why);
            }
        }
        other => errors.invalid(&path.child("operator"), Named(other), "not a valid selector operator"),
    }
    match requirement["key"].text() {
        "metadata.name" => {
            let field = path.child("values");
            for (at, value) in values.iter().enumerate() {
                errors.check(&field.index(at), value.text(), dns1123_subdomain(value.text()));
            }
        }
        other => errors.invalid(&path.child("key"), other, "not a valid field selector key"),
    }
}

fn pods(affinity: &Value, path: &Path<'_>, errors: &mut Errors) {
    let required = path.child(REQUIRED);
    for (at, term) in affinity[REQUIRED].items().iter().enumerate() {
        pod_term(term, &required.index(at), errors);
    }
    let preferred = path.child(PREFERRED);
    for (at, term) in affinity[PREFERRED].items().iter().enumerate() {
        let here = preferred.index(at);
        weight(&here, term, errors);
        pod_term(&term["podAffinityTerm"], &here.child("podAffinityTerm"), errors);
    }
}

fn pod_term(term: &Value, path: &Path<'_>, errors: &mut Errors) {
    for field in ["labelSelector", "namespaceSelector"] {
        selector::validate(&path.child(field), &term[field], errors);
    }
    for namespace in term["namespaces"].items() {
        let name = namespace.text();
        errors.check(&path.child("namespace"), name, dns1123_label(name));
    }
    let labels = &term["labelSelector"];
    label_keys(&path.child("matchLabelKeys"), &term["matchLabelKeys"], labels, errors);
    label_keys(&path.child("mismatchLabelKeys"), &term["mismatchLabelKeys"], labels, errors);
    selected_twice(path, &term["matchLabelKeys"], labels, errors);
    let mismatch = term["mismatchLabelKeys"].items();
    let keys = path.child("matchLabelKeys");
    for (at, key) in term["matchLabelKeys"].items().iter().enumerate() {
        if mismatch.contains(key) {
            let why = "exists in both matchLabelKeys and mismatchLabelKeys";
            errors.invalid(&keys.index(at), key.text(), why);
        }
    }
    let key = term["topologyKey"].text();
    if key.is_empty() {
        errors.required(&path.child("topologyKey"), "can not be empty");
    }
    errors.check(&path.child("topologyKey"), key, label_key(key));
}
