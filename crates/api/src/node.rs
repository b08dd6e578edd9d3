//! Node selectors and node affinity (core/v1).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodSpec};

/// The labels that tell where a node stands.
pub const REGION: &str = "topology.kubernetes.io/region";
pub const ZONE: &str = "topology.kubernetes.io/zone";

/// What of a node its selectors look at.
#[derive(Clone, Copy, Debug)]
pub struct NodeView<'a> {
    pub name: &'a str,
    pub labels: &'a BTreeMap<String, String>,
}

/// Whether a node meets a pod's `nodeSelector` and required node affinity.
pub fn matches_pod(spec: &PodSpec, node: NodeView<'_>) -> bool {
    let labels_agree =
        spec.node_selector.iter().flatten().all(|(key, value)| node.labels.get(key) == Some(value));
    let required = spec
        .affinity
        .as_ref()
        .and_then(|affinity| affinity.node_affinity.as_ref())
        .and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref());
    labels_agree && required.is_none_or(|selector| matches(selector, node))
}

/// Whether any term of the selector matches. A selector without terms matches nothing.
pub fn matches(selector: &NodeSelector, node: NodeView<'_>) -> bool {
    selector.node_selector_terms.iter().any(|term| matches_term(term, node))
}

/// Whether all requirements of a term hold. An empty term matches nothing.
pub fn matches_term(term: &NodeSelectorTerm, node: NodeView<'_>) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or(&[]);
    let fields = term.match_fields.as_deref().unwrap_or(&[]);
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    let by_label = |requirement: &NodeSelectorRequirement| {
        holds(requirement, node.labels.get(&requirement.key).map(String::as_str))
    };
    // The only field there is.
    let by_field = |requirement: &NodeSelectorRequirement| {
        requirement.key == "metadata.name" && holds(requirement, Some(node.name))
    };
    expressions.iter().all(by_label) && fields.iter().all(by_field)
}

fn holds(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or(&[]);
    let listed = || value.is_some_and(|value| values.iter().any(|other| other == value));
    let compared = || Some(value?.parse::<i64>().ok()?.cmp(&values.first()?.parse::<i64>().ok()?));
    match requirement.operator.as_str() {
        "In" => listed(),
        "NotIn" => !listed(),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compared() == Some(std::cmp::Ordering::Greater),
        "Lt" => compared() == Some(std::cmp::Ordering::Less),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn operators_are_those_of_the_documentation() {
        let labels: BTreeMap<String, String> =
            [("zone", "a"), ("cpus", "8")].map(|(key, value)| (key.into(), value.into())).into();
        let node = NodeView { name: "n1", labels: &labels };
        for (key, operator, values, expected) in [
            ("zone", "In", value!(["a", "b"]), true),
            ("zone", "NotIn", value!(["a"]), false),
            ("rack", "NotIn", value!(["a"]), true),
            ("rack", "In", value!(["a"]), false),
            ("zone", "Exists", value!([]), true),
            ("rack", "DoesNotExist", value!([]), true),
            ("cpus", "Gt", value!(["7"]), true),
            ("cpus", "Lt", value!(["8"]), false),
            ("zone", "Gt", value!(["1"]), false),
        ] {
            let term: NodeSelectorTerm =
                value!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]})
                    .decode()
                    .unwrap();
            assert_eq!(matches_term(&term, node), expected, "{key} {operator}");
        }
        let by_name: NodeSelectorTerm =
            value!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]})
                .decode()
                .unwrap();
        assert!(matches_term(&by_name, node));
        assert!(!matches_term(&NodeSelectorTerm::default(), node));
    }
}
