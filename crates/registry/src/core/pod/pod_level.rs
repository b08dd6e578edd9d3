//! Resources of a pod as a whole (KEP-2837) that follow from those of its
//! containers.
//!
//! They are set when the pod is stored and not when it is read, so that they
//! hold of all containers, those that admission adds too; nobody owns them.

use apimachinery::{Object, Value};

use super::requests::{self, Amounts};
use crate::rules::resources::{amount, at_pod_level};

const FIELDS: [&str; 2] = ["requests", "limits"];

/// Completes the resources of a pod's spec that sets any: limits of huge pages,
/// then requests, then the other limits.
pub fn complete(spec: &mut Value) {
    if FIELDS.iter().all(|field| spec["resources"][*field].members().next().is_none()) {
        return;
    }
    limit_huge_pages(spec);
    request(spec);
    limit(spec);
}

/// Huge pages that containers limit and the pod does not mention: as much as
/// the containers limit together.
fn limit_huge_pages(spec: &mut Value) {
    let own = &spec["resources"];
    let missing: Amounts = requests::over_containers(spec, "limits")
        .into_iter()
        .filter(|(name, _)| {
            name.starts_with("hugepages-") && FIELDS.iter().all(|field| own[*field][name.as_str()].is_null())
        })
        .collect();
    add(spec, "limits", missing.into_iter().map(|(name, amount)| (name, amount.to_string().into())));
}

/// What the containers request together, else what the pod is limited to.
fn request(spec: &mut Value) {
    let own = &spec["resources"];
    let is_missing = |name: &str| at_pod_level(name) && own["requests"][name].is_null();
    let mut missing: Vec<(String, Value)> = requests::of_containers(spec)
        .into_iter()
        .filter(|(name, _)| !name.starts_with("hugepages-") && is_missing(name))
        .map(|(name, amount)| (name, amount.to_string().into()))
        .collect();
    for (name, limit) in own["limits"].members() {
        if is_missing(name) && !missing.iter().any(|(known, _)| known == name) {
            missing.push((name.to_owned(), limit.clone()));
        }
    }
    add(spec, "requests", missing.into_iter());
}

/// What the containers are limited to together, where each of them is; at
/// least what the pod requests.
fn limit(spec: &mut Value) {
    let own = &spec["resources"];
    let all_limit = |name: &str| {
        ["initContainers", "containers"]
            .iter()
            .flat_map(|list| spec[*list].items())
            .all(|container| !container["resources"]["limits"][name].is_null())
    };
    let together = requests::over_containers(spec, "limits");
    let mut missing: Vec<(String, Value)> = Vec::new();
    for (name, asked) in own["requests"].members() {
        if !at_pod_level(name) || !own["limits"][name].is_null() || !all_limit(name) {
            continue;
        }
        if let Some(limit) = together.get(name) {
            let value = if amount(asked) > *limit { asked.clone() } else { limit.to_string().into() };
            missing.push((name.to_owned(), value));
        }
    }
    add(spec, "limits", missing.into_iter());
}

fn add(spec: &mut Value, field: &'static str, amounts: impl Iterator<Item = (String, Value)>) {
    let mut all = spec["resources"][field].as_object().cloned().unwrap_or_default();
    let before = all.len();
    for (name, amount) in amounts {
        all.insert(name, amount);
    }
    if all.len() > before {
        Object::sort(&mut all);
        spec.entry("resources").set(field, all);
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn what_is_not_said_follows_from_the_containers() {
        let with = |requests: &str, limits: &str| value!({"name": "c", "resources": {"requests": {"cpu": requests}, "limits": {"cpu": limits}}});
        let pages = value!({"name": "p", "resources": {"limits": {"hugepages-2Mi": "2Mi"}}});
        for (own, containers, completed) in [
            (value!({}), vec![with("1", "2")], value!({})),
            (
                value!({"limits": {"cpu": "2", "memory": "1Gi"}}),
                vec![
                    value!({"name": "a", "resources": {"requests": {"cpu": "500m"}}}),
                    value!({"name": "b", "resources": {"requests": {"cpu": "250m"}}}),
                ],
                value!({"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "750m", "memory": "1Gi"}}),
            ),
            (
                value!({"limits": {"memory": "4Gi"}}),
                vec![pages.clone(), pages.clone()],
                value!({
                    "limits": {"hugepages-2Mi": "4Mi", "memory": "4Gi"},
                    "requests": {"hugepages-2Mi": "4Mi", "memory": "4Gi"}
                }),
            ),
            (
                value!({"requests": {"cpu": "3"}}),
                vec![with("1", "1"), with("1", "1")],
                value!({"requests": {"cpu": "3"}, "limits": {"cpu": "3"}}),
            ),
            (
                value!({"requests": {"cpu": "1"}}),
                vec![with("1", "1"), with("1", "1")],
                value!({"requests": {"cpu": "1"}, "limits": {"cpu": "2"}}),
            ),
            (
                value!({"requests": {"cpu": "1"}}),
                vec![with("1", "1"), value!({"name": "free"})],
                value!({"requests": {"cpu": "1"}}),
            ),
        ] {
            let mut spec = value!({"containers": containers, "resources": own});
            complete(&mut spec);
            assert_eq!(spec["resources"], completed);
        }
    }
}
