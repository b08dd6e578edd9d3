//! `matchLabelKeys` and `mismatchLabelKeys`: a new pod's own labels become part
//! of the selectors that name them (KEP-3633, KEP-3243).

use apimachinery::{Value, value};

use crate::changes::items;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// Adds the pod's labels to its selectors of pods.
pub fn merge(pod: &mut Value) {
    let spec = &pod["spec"];
    if spec["affinity"].is_null() && spec["topologySpreadConstraints"].is_null() {
        return;
    }
    let labels = pod["metadata"]["labels"].clone();
    let Some(spec) = pod.get_mut("spec") else { return };
    for kind in ["podAffinity", "podAntiAffinity"] {
        let Some(affinity) = spec.get_mut("affinity").and_then(|affinity| affinity.get_mut(kind)) else {
            continue;
        };
        for term in items(affinity, REQUIRED) {
            into_selector(term, &labels);
        }
        for weighted in items(affinity, PREFERRED) {
            if let Some(term) = weighted.get_mut("podAffinityTerm") {
                into_selector(term, &labels);
            }
        }
    }
    for constraint in items(spec, "topologySpreadConstraints") {
        into_selector(constraint, &labels);
    }
}

fn into_selector(term: &mut Value, labels: &Value) {
    if term["labelSelector"].is_null() {
        return;
    }
    let mut added = Vec::new();
    for (field, operator) in [("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")] {
        for key in term[field].items() {
            if let Some(label) = labels[key.text()].as_str() {
                added.push(value!({"key": key.text(), "operator": operator, "values": [label]}));
            }
        }
    }
    if added.is_empty() {
        return;
    }
    let expressions = term.entry("labelSelector").entry("matchExpressions");
    match expressions {
        Value::Array(list) => list.extend(added),
        other => *other = Value::Array(added),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_are_named_become_requirements() {
        let mut pod = value!({
            "metadata": {"labels": {"app": "a", "hash": "1"}},
            "spec": {
                "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
                    {"labelSelector": {"matchLabels": {"app": "a"}}, "matchLabelKeys": ["hash", "none"],
                     "mismatchLabelKeys": ["app"], "topologyKey": "z"}
                ]}},
                "topologySpreadConstraints": [{"matchLabelKeys": ["hash"], "topologyKey": "z"}]
            }
        });
        merge(&mut pod);
        assert_eq!(
            pod["spec"]["affinity"]["podAntiAffinity"][REQUIRED][0]["labelSelector"]["matchExpressions"],
            value!([
                {"key": "hash", "operator": "In", "values": ["1"]},
                {"key": "app", "operator": "NotIn", "values": ["a"]}
            ])
        );
        assert!(pod["spec"]["topologySpreadConstraints"][0]["labelSelector"].is_null());
    }
}
