//! Role and ClusterRole.

use apimachinery::field::{Errors, Path};
use apimachinery::labels::Selector;
use apimachinery::{Value, validation};
use apiserver::{Context, NameRule, Strategy, Version};
use jiff::Timestamp;

use crate::rules::selector;

/// Role (of a namespace) or ClusterRole.
pub struct Role;

impl Strategy for Role {
    fn deletes_unreadable(&self) -> bool {
        false
    }

    fn name_rule(&self) -> NameRule {
        validation::path_segment_name
    }

    fn creates_on_update(&self) -> bool {
        true
    }

    fn validate_create(&self, context: &Context<'_>, object: &Value) -> Errors {
        validate(object, None, context.definition.is_namespaced())
    }

    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Errors {
        validate(object, Some(old), context.definition.is_namespaced())
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::config::created_at(object, now)
    }
}

fn validate(object: &Value, old: Option<&Value>, namespaced: bool) -> Errors {
    let mut errors = Errors::new();
    let rules = Path::Root.child("rules");
    for (at, each) in object["rules"].items().iter().enumerate() {
        rule(each, namespaced, &rules.index(at), &mut errors);
    }
    let aggregation = &object["aggregationRule"];
    if !aggregation.is_null() {
        selectors(&aggregation["clusterRoleSelectors"], &mut errors);
    }
    // A generated rule, whose errors come last; what stays is not looked at.
    if old.is_none_or(|old| old["rules"] != object["rules"]) {
        for (at, each) in object["rules"].items().iter().enumerate() {
            if each["verbs"].items().is_empty() {
                errors.required(&rules.index(at).child("verbs"), "");
            }
        }
    }
    errors
}

fn rule(rule: &Value, namespaced: bool, path: &Path<'_>, errors: &mut Errors) {
    let urls = &rule["nonResourceURLs"];
    if !urls.items().is_empty() {
        let place = path.child("nonResourceURLs");
        if namespaced {
            errors.invalid(&place, urls.clone(), "namespaced rules cannot apply to non-resource URLs");
        }
        let fields = ["apiGroups", "resources", "resourceNames"];
        if fields.into_iter().any(|field| !rule[field].items().is_empty()) {
            let why = "rules cannot apply to both regular resources and non-resource URLs";
            errors.invalid(&place, urls.clone(), why);
        }
        return;
    }
    if rule["apiGroups"].items().is_empty() {
        errors.required(&path.child("apiGroups"), "resource rules must supply at least one api group");
    }
    if rule["resources"].items().is_empty() {
        errors.required(&path.child("resources"), "resource rules must supply at least one resource");
    }
}

/// Which roles an aggregated one is made of.
fn selectors(selectors: &Value, errors: &mut Errors) {
    let path = Path::Root.child("aggregationRule");
    let list = path.child("clusterRoleSelectors");
    if selectors.items().is_empty() {
        let why = "at least one clusterRoleSelector required if aggregationRule is non-nil";
        errors.required(&list, why);
    }
    for (at, each) in selectors.items().iter().enumerate() {
        let here = list.index(at);
        selector::validate(&here, each, errors);
        if Selector::of_label_selector(each).is_err() {
            // The selector that could not be made is shown, which is none.
            errors.invalid(&here, Value::Null, "invalid label selector.");
        }
    }
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
            let errors = validate(&value!({"rules": [rule]}), None, namespaced);
            let told = if errors.is_empty() { String::new() } else { errors.to_string() };
            assert_eq!(told, expected);
        }
    }
}
