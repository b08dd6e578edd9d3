//! RuntimeClass.

use std::collections::HashSet;

use apimachinery::field::{Errors, Path};
use apimachinery::validation::{dns1123_label, in_bytes, meta};
use apimachinery::{Value, value};
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

use super::deprecated_label;
use crate::core::pod::validation::tolerations;
use crate::rules::{internal, resources};

/// RuntimeClass.
pub struct RuntimeClass;

impl Strategy for RuntimeClass {
    fn knows_finalizers(&self) -> bool {
        false
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn creates_on_update(&self) -> bool {
        true
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        validate(object)
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = written(object);
        if object["handler"] == old["handler"] {
            declared(object, &mut errors);
            return errors;
        }
        // The generated rules stop at the change, so that the written one tells of the form.
        let (handler, place) = (object["handler"].text(), Path::Root.child("handler"));
        if !handler.is_empty() {
            errors.check(&place, handler, dns1123_label(handler));
        }
        errors.invalid(&place, Value::Null, "field is immutable");
        if handler.is_empty() {
            errors.required(&place, "");
        }
        errors
    }

    fn warnings(&self, _: &Context<'_>, object: &Value, _: Option<&Value>) -> Vec<String> {
        let labels = object["scheduling"]["nodeSelector"].members();
        labels
            .filter_map(|(key, _)| Some(format!("scheduling.nodeSelector: {}", deprecated_label(key)?)))
            .collect()
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::config::runtime_class(object, now)
    }
}

fn validate(object: &Value) -> Errors {
    let mut errors = written(object);
    declared(object, &mut errors);
    errors
}

/// The written rules.
fn written(object: &Value) -> Errors {
    let mut errors = Errors::new();
    let fixed = &object["overhead"]["podFixed"];
    if !fixed.is_null() {
        // Upstream checks it as the limits of a container.
        let told = value!({"limits": fixed.clone()});
        resources::requirements(&Path::Root.child("overhead"), &told, &[], &mut errors);
    }
    let scheduling = Path::Root.child("scheduling");
    let rules = &object["scheduling"];
    meta::labels(&rules["nodeSelector"], &scheduling.child("nodeSelector"), &mut errors);
    let list = scheduling.child("tolerations");
    tolerations(&rules["tolerations"], &list, &mut errors);
    let mut seen = HashSet::new();
    for (at, toleration) in rules["tolerations"].items().iter().enumerate() {
        let parts = ["key", "operator", "value", "effect"].map(|part| toleration[part].text());
        if !seen.insert(parts) {
            errors.duplicate(&list.index(at), internal::of("Toleration", toleration));
        }
    }
    errors
}

/// The generated rules, which come last.
fn declared(object: &Value, errors: &mut Errors) {
    let (handler, place) = (object["handler"].text(), Path::Root.child("handler"));
    if handler.is_empty() {
        errors.required(&place, "");
    } else {
        errors.check(&place, handler, in_bytes(dns1123_label(handler)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handlers_are_labels_and_tolerations_differ() {
        let toleration = value!({"key": "a", "operator": "Exists"});
        for (object, wrong) in [
            (value!({"handler": "h"}), 0),
            (value!({"handler": "a.b"}), 1),
            (value!({"handler": "h", "scheduling": {"tolerations": vec![toleration.clone()]}}), 0),
            (
                value!({"handler": "h", "scheduling": {"tolerations": vec![toleration.clone(), toleration]}}),
                1,
            ),
            (
                value!({"handler": "h", "scheduling": {"tolerations": [
                    {"operator": "Exists", "effect": "NoExecute"},
                    {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 10}
                ]}}),
                1,
            ),
        ] {
            assert_eq!(validate(&object).len(), wrong, "{object:?}");
        }
    }
}
