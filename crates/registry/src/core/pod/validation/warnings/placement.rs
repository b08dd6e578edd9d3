//! Warnings about where pods are to run: labels with newer names, and
//! selectors that choose nothing.

use apimachinery::Value;
use apimachinery::field::{Path, quote};
use apimachinery::validation::label_value;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
const NULL_SELECTOR: &str = "a null labelSelector results in matching no pod";

/// What is said of a label of nodes that has a newer name.
fn label_is_old(key: &str) -> Option<String> {
    let (since, new) = match key {
        "beta.kubernetes.io/arch" => ("v1.14", "kubernetes.io/arch"),
        "beta.kubernetes.io/os" => ("v1.14", "kubernetes.io/os"),
        "failure-domain.beta.kubernetes.io/region" => ("v1.17", "topology.kubernetes.io/region"),
        "failure-domain.beta.kubernetes.io/zone" => ("v1.17", "topology.kubernetes.io/zone"),
        "beta.kubernetes.io/instance-type" => ("v1.17", "node.kubernetes.io/instance-type"),
        _ => return None,
    };
    Some(format!("deprecated since {since}; use {} instead", quote(new)))
}

/// Node selector, affinity to nodes and spreading of a pod's `spec`.
pub(super) fn of_nodes(spec: &Value, path: &Path<'_>, warnings: &mut Vec<String>) {
    let selector = path.child("nodeSelector");
    for (key, _) in spec["nodeSelector"].members() {
        if let Some(told) = label_is_old(key) {
            warnings.push(format!("{}: {told}", selector.key(key)));
        }
    }
    let node = &spec["affinity"]["nodeAffinity"];
    let affinity = path.child("affinity");
    let here = affinity.child("nodeAffinity");
    let required = here.child(REQUIRED);
    of_terms(&node[REQUIRED], &required, warnings);
    let preferred = here.child(PREFERRED);
    for (at, term) in node[PREFERRED].items().iter().enumerate() {
        let term_path = preferred.index(at);
        of_term(&term["preference"], &term_path.child("preference"), true, warnings);
    }
    let constraints = path.child("topologySpreadConstraints");
    for (at, constraint) in spec["topologySpreadConstraints"].items().iter().enumerate() {
        let here = constraints.index(at);
        let key = constraint["topologyKey"].text();
        if let Some(told) = label_is_old(key) {
            warnings.push(format!("{}: {key} is {told}", here.child("topologyKey")));
        }
        if constraint["labelSelector"].is_null() {
            warnings.push(format!("{}: {NULL_SELECTOR}", here.child("labelSelector")));
        }
    }
}

/// A NodeSelector at `path`.
pub fn of_terms(selector: &Value, path: &Path<'_>, warnings: &mut Vec<String>) {
    let terms = path.child("nodeSelectorTerms");
    for (at, term) in selector["nodeSelectorTerms"].items().iter().enumerate() {
        of_term(term, &terms.index(at), false, warnings);
    }
}

fn of_term(term: &Value, path: &Path<'_>, with_values: bool, warnings: &mut Vec<String>) {
    let expressions = path.child("matchExpressions");
    for (at, requirement) in term["matchExpressions"].items().iter().enumerate() {
        let here = expressions.index(at);
        let key = requirement["key"].text();
        if let Some(told) = label_is_old(key) {
            warnings.push(format!("{}: {key} is {told}", here.child("key")));
        }
        if !with_values {
            continue;
        }
        let values = here.child("values");
        for (nth, value) in requirement["values"].items().iter().enumerate() {
            let text = value.text();
            for why in label_value(text) {
                warnings.push(format!("{}: {text} is invalid, {why}", values.index(nth)));
            }
        }
    }
}

/// Affinity to pods that selects none.
pub(super) fn of_pods(affinity: &Value, path: &Path<'_>, warnings: &mut Vec<String>) {
    for kind in ["podAffinity", "podAntiAffinity"] {
        let here = path.child(kind);
        let required = here.child(REQUIRED);
        for (at, term) in affinity[kind][REQUIRED].items().iter().enumerate() {
            if term["labelSelector"].is_null() {
                warnings.push(format!("{}: {NULL_SELECTOR}", required.index(at).child("labelSelector")));
            }
        }
        let preferred = here.child(PREFERRED);
        for (at, term) in affinity[kind][PREFERRED].items().iter().enumerate() {
            if term["podAffinityTerm"]["labelSelector"].is_null() {
                let item = preferred.index(at);
                let place = item.child("podAffinityTerm");
                warnings.push(format!("{}: {NULL_SELECTOR}", place.child("labelSelector")));
            }
        }
    }
}
