//! Role and ClusterRole.

use apimachinery::field::{Errors, Path};
use apimachinery::{Value, validation};
use apiserver::{Context, NameRule, Strategy, Version};
use jiff::Timestamp;

/// Role (of a namespace) or ClusterRole.
pub struct Role;

impl Strategy for Role {
    fn name_rule(&self) -> NameRule {
        validation::path_segment_name
    }

    fn creates_on_update(&self) -> bool {
        true
    }

    fn validate_create(&self, context: &Context<'_>, object: &Value) -> Errors {
        validate(object, context.definition.is_namespaced())
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::config::created_at(object, now)
    }
}

fn validate(object: &Value, namespaced: bool) -> Errors {
    let mut errors = Errors::new();
    let mut verbs = Errors::new();
    let rules = Path::Root.child("rules");
    for (at, rule) in object["rules"].items().iter().enumerate() {
        let path = rules.index(at);
        let urls = &rule["nonResourceURLs"];
        // The check of verbs is a declarative one, whose errors come last.
        if rule["verbs"].items().is_empty() {
            verbs.required(&path.child("verbs"), "");
        }
        if !urls.items().is_empty() {
            let place = path.child("nonResourceURLs");
            if namespaced {
                errors.invalid(&place, urls.clone(), "namespaced rules cannot apply to non-resource URLs");
            }
            let mixed = ["apiGroups", "resources", "resourceNames"]
                .into_iter()
                .any(|field| !rule[field].items().is_empty());
            if mixed {
                let why = "rules cannot apply to both regular resources and non-resource URLs";
                errors.invalid(&place, urls.clone(), why);
            }
            continue;
        }
        if rule["apiGroups"].items().is_empty() {
            errors.required(&path.child("apiGroups"), "resource rules must supply at least one api group");
        }
        if rule["resources"].items().is_empty() {
            errors.required(&path.child("resources"), "resource rules must supply at least one resource");
        }
    }
    errors.append(verbs);
    errors
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn rules_are_about_resources_or_paths() {
        for (rule, namespaced, expected) in [
            (value!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}), true, ""),
            (value!({"verbs": ["get"], "nonResourceURLs": ["/x"]}), false, ""),
            (
                value!({"verbs": ["get"], "nonResourceURLs": ["/x"]}),
                true,
                "rules[0].nonResourceURLs: Invalid value: [\"/x\"]: namespaced rules cannot apply to non-resource URLs",
            ),
            (
                value!({"verbs": ["get"], "apiGroups": [""]}),
                true,
                "rules[0].resources: Required value: resource rules must supply at least one resource",
            ),
        ] {
            let errors = validate(&value!({"rules": [rule]}), namespaced);
            let told = if errors.is_empty() { String::new() } else { errors.to_string() };
            assert_eq!(told, expected);
        }
    }
}
