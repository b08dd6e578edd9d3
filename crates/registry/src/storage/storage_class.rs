//! StorageClass.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apimachinery::validation::label_key;
use apiserver::{Arrange, Context, Strategy, Version};
use jiff::Timestamp;

use super::parameters;
use crate::node::deprecated_label;
use crate::rules::same;

/// Fields that never change, in the order of the type.
const IMMUTABLE: [&str; 4] = ["provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"];

/// StorageClass.
pub struct StorageClass;

impl Strategy for StorageClass {
    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        let mut errors = validate(object);
        require_provisioner(object, &mut errors);
        errors
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        validate_update(object, old)
    }

    fn warnings(&self, _: &Context<'_>, object: &Value, _: Option<&Value>) -> Vec<String> {
        let mut warnings = Vec::new();
        let topologies = Path::Root.child("allowedTopologies");
        for (at, term) in object["allowedTopologies"].items().iter().enumerate() {
            let here = topologies.index(at);
            let list = here.child("matchLabelExpressions");
            for (at, expression) in term["matchLabelExpressions"].items().iter().enumerate() {
                if let Some(why) = deprecated_label(expression["key"].text()) {
                    let place = list.index(at);
                    warnings.push(format!("{}: {why}", place.child("key")));
                }
            }
        }
        warnings
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::storage::storage_class(object, now)
    }

    fn arrange(&self) -> Option<Arrange> {
        Some(crate::printers::storage::default_class)
    }
}

fn validate(object: &Value) -> Errors {
    let mut errors = Errors::new();
    parameters::driver(&Path::Root.child("provisioner"), object["provisioner"].text(), &mut errors);
    parameters::parameters(&Path::Root.child("parameters"), &object["parameters"], &mut errors);
    let reclaim = object["reclaimPolicy"].text();
    if !reclaim.is_empty() {
        errors.one_of(&Path::Root.child("reclaimPolicy"), reclaim, &["Delete", "Retain"]);
    }
    let mode = Path::Root.child("volumeBindingMode");
    match object["volumeBindingMode"].as_str() {
        None => errors.required(&mode, ""),
        Some(text) => errors.one_of(&mode, text, &["Immediate", "WaitForFirstConsumer"]),
    }
    topologies(&object["allowedTopologies"], &Path::Root.child("allowedTopologies"), &mut errors);
    errors
}

/// A generated rule, whose errors come last.
fn require_provisioner(object: &Value, errors: &mut Errors) {
    if object["provisioner"].text().is_empty() {
        errors.required(&Path::Root.child("provisioner"), "");
    }
}

fn validate_update(object: &Value, old: &Value) -> Errors {
    let mut errors = validate(object);
    for field in IMMUTABLE.into_iter().filter(|field| !same(&object[*field], &old[*field])) {
        if field == "provisioner" {
            require_provisioner(object, &mut errors);
        }
        errors.invalid(&Path::Root.child(field), Value::Null, "field is immutable");
    }
    errors
}

/// Terms with keys and values; no two alike.
fn topologies(terms: &Value, path: &Path<'_>, errors: &mut Errors) {
    // Upstream compares with as many empty terms as there are terms.
    let mut seen: Vec<Vec<(&str, Vec<&str>)>> = vec![Vec::new(); terms.items().len()];
    for (at, each) in terms.items().iter().enumerate() {
        let here = path.index(at);
        let list = here.child("matchLabelExpressions");
        let mut keys = term(each, &list, errors);
        keys.sort();
        for _ in seen.iter().filter(|other| **other == keys) {
            errors.duplicate(&list, "");
        }
        seen.push(keys);
    }
}

/// The keys of a term and their values as sets.
fn term<'a>(term: &'a Value, path: &Path<'_>, errors: &mut Errors) -> Vec<(&'a str, Vec<&'a str>)> {
    let mut keys: Vec<(&str, Vec<&str>)> = Vec::new();
    for (at, requirement) in term["matchLabelExpressions"].items().iter().enumerate() {
        let here = path.index(at);
        let list = here.child("values");
        let mut values: Vec<&str> = Vec::new();
        if requirement["values"].items().is_empty() {
            errors.required(&list, "");
        }
        for (at, value) in requirement["values"].items().iter().enumerate() {
            if values.contains(&value.text()) {
                errors.duplicate(&list.index(at), value.text());
            } else {
                values.push(value.text());
            }
        }
        values.sort_unstable();
        let (key, place) = (requirement["key"].text(), here.child("key"));
        errors.check(&place, key, label_key(key));
        if keys.iter().any(|(known, _)| *known == key) {
            errors.duplicate(&place, key);
            keys.retain(|(known, _)| *known != key);
        }
        keys.push((key, values));
    }
    keys
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    fn class(topologies: Value) -> Value {
        value!({
            "provisioner": "ex.com/p", "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate",
            "allowedTopologies": topologies
        })
    }

    #[test]
    fn topologies_differ() {
        let zone = |values: Value| value!({"matchLabelExpressions": [{"key": "zone", "values": values}]});
        let table: [(Value, &str); 3] = [
            (vec![zone(value!(["a"])), zone(value!(["b"]))].into(), ""),
            (
                vec![zone(value!(["a", "b"])), zone(value!(["b", "a"]))].into(),
                "allowedTopologies[1].matchLabelExpressions: Duplicate value: \"\"",
            ),
            (
                vec![zone(value!([]))].into(),
                "allowedTopologies[0].matchLabelExpressions[0].values: Required value",
            ),
        ];
        for (topologies, expected) in table {
            let errors = validate(&class(topologies));
            assert_eq!(errors.iter().map(ToString::to_string).collect::<String>(), expected);
        }
    }

    #[test]
    fn what_makes_volumes_never_changes() {
        let old = class(Value::Null);
        let mut new = old.clone();
        new.set("reclaimPolicy", "Retain");
        new.set("mountOptions", value!(["ro"]));
        let errors = validate_update(&new, &old);
        assert_eq!(errors.to_string(), "reclaimPolicy: Invalid value: null: field is immutable");
        assert!(validate_update(&old, &old).is_empty());
    }
}
