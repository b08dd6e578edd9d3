//! The rules of an aggregated ClusterRole. Pure.

use apimachinery::Value;
use apimachinery::labels::Selector;
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};

/// The rules that `role` should have, where it has others: those of each role
/// that it selects, in order of selector and name, each once. `all` is sorted
/// by name.
pub fn plan(role: &ClusterRole, all: &[&ClusterRole]) -> Option<Vec<PolicyRule>> {
    let aggregation = role.aggregation_rule.as_ref()?;
    let mut rules: Vec<PolicyRule> = Vec::new();
    for selector in aggregation.cluster_role_selectors.iter().flatten() {
        let tree = Value::from_serialize(selector).unwrap_or_default();
        let selector = Selector::of_label_selector(&tree).unwrap_or_else(|_| Selector::nothing());
        let selected = all.iter().filter(|other| {
            let labels = other.metadata.labels.clone().unwrap_or_default();
            other.metadata.name != role.metadata.name && selector.matches(&labels)
        });
        for rule in selected.flat_map(|other| other.rules.iter().flatten()) {
            if !rules.contains(rule) {
                rules.push(rule.clone());
            }
        }
    }
    (rules != role.rules.clone().unwrap_or_default()).then_some(rules)
}
