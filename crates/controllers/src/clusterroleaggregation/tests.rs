//! Table tests of aggregated rules.

use apimachinery::{Value, value};
use k8s_openapi::api::rbac::v1::ClusterRole;

use super::plan::plan;

/// A role with a rule for each of `resources`.
fn role(name: &str, labels: Value, resources: &str, aggregation: Value) -> ClusterRole {
    let rules: Vec<Value> = resources
        .split_whitespace()
        .map(|resource| value!({"apiGroups": [""], "resources": [resource], "verbs": ["get"]}))
        .collect();
    value!({
        "metadata": {"name": name, "labels": labels},
        "rules": (Value::from(rules)),
        "aggregationRule": aggregation
    })
    .decode()
    .unwrap()
}

#[test]
fn rules_come_from_the_selected_roles() {
    let to = |kind: &str| value!({"clusterRoleSelectors": [{"matchLabels": {"to": kind}}]});
    let a = role("a", value!({"to": "view"}), "pods services", value!(null));
    let b = role("b", value!({"to": "view"}), "services secrets", value!(null));
    let c = role("c", value!({"to": "edit"}), "nodes", value!(null));
    for (what, own, aggregation, expected) in [
        ("each rule once, by name", "", to("view"), Some("pods services secrets")),
        ("what it has already", "pods services secrets", to("view"), None),
        ("what is there no more goes", "pods", to("none"), Some("")),
        ("without a selector nothing", "", value!({}), None),
        ("not aggregated", "pods", value!(null), None),
    ] {
        // It never takes its own rules.
        let role = role("view", value!({"to": "view"}), own, aggregation);
        let rules = plan(&role, &[&a, &b, &c, &role]).map(|rules| {
            let resources = rules.into_iter().flat_map(|rule| rule.resources.unwrap_or_default());
            resources.collect::<Vec<_>>().join(" ")
        });
        assert_eq!(rules.as_deref(), expected, "{what}");
    }
}
