//! Namespace: stays until its content is gone and `spec.finalizers` is empty.

use apimachinery::field::{Errors, Named, Path};
use apimachinery::{Value, meta, validation, value};
use apiserver::{Context, FirstDeletion, NameRule, Orphaning, Strategy, Version};
use jiff::Timestamp;

use crate::changes::{keep, keep_in};
use crate::rules::qualified;

/// Emptied by the namespace controller through the subresource `finalize`.
const FINALIZER: &str = "kubernetes";
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Namespace.
pub struct Namespace;

/// The subresource `finalize`: only `spec.finalizers` changes.
pub struct Finalize;

impl Strategy for Namespace {
    fn default(&self, _: &str, object: &mut Value) {
        label_with_name(object);
    }

    fn name_rule(&self) -> NameRule {
        validation::dns1123_label
    }

    fn prepare_create(&self, _: &Context<'_>, object: &mut Value) {
        object.set("status", value!({"phase": "Active"}));
        // A name that was made up has come since the defaults.
        label_with_name(object);
        let finalizers = object.entry("spec").entry("finalizers");
        if !finalizers.items().iter().any(|name| name.text() == FINALIZER) {
            match finalizers {
                Value::Array(names) => names.push(FINALIZER.into()),
                other => *other = value!([FINALIZER]),
            }
        }
    }

    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        keep_in(object, old, "spec", "finalizers");
    }

    fn reset_fields(&self, subresource: &str) -> &'static [&'static [&'static str]] {
        if subresource == "finalize" { &[&["status"]] } else { &[] }
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        let mut errors = Errors::new();
        let spec = Path::Root.child("spec");
        for name in object["spec"]["finalizers"].items() {
            finalizer(&spec.child("finalizers"), name.text(), &mut errors);
        }
        errors
    }

    fn validate_update(&self, _: &Context<'_>, _: &Value, _: &Value) -> Errors {
        Errors::new()
    }

    /// The phase follows from whether the namespace is being deleted.
    fn validate_status(&self, _: &Context<'_>, object: &Value, _: &Value) -> Errors {
        let mut errors = Errors::new();
        let phase = object["status"]["phase"].text();
        let (right, why) = if meta::is_terminating(object) {
            ("Terminating", "may only be 'Terminating' if `deletionTimestamp` is not empty")
        } else {
            ("Active", "may only be 'Active' if `deletionTimestamp` is empty")
        };
        if phase != right {
            errors.invalid(&Path::Root.child("status").child("Phase"), Named(phase), why);
        }
        errors
    }

    fn first_deletion(&self) -> FirstDeletion {
        FirstDeletion::Marks
    }

    fn mark_deleted(&self, _: &Context<'_>, object: &mut Value) {
        object.entry("status").set("phase", "Terminating");
    }

    fn is_held(&self, object: &Value) -> bool {
        !object["spec"]["finalizers"].items().is_empty()
    }

    fn orphaning(&self) -> Orphaning {
        Orphaning::Collect
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn deletes_unreadable(&self) -> bool {
        false
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::config::namespace(object, now)
    }
}

impl Strategy for Finalize {
    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        keep(object, old, "status");
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, _: &Value) -> Errors {
        let mut errors = Errors::new();
        let spec = Path::Root.child("spec");
        let field = spec.child("finalizers");
        for (at, name) in object["spec"]["finalizers"].items().iter().enumerate() {
            finalizer(&field.index(at), name.text(), &mut errors);
        }
        errors
    }

    fn is_held(&self, object: &Value) -> bool {
        Namespace.is_held(object)
    }
}

fn label_with_name(object: &mut Value) {
    let name = meta::name(object).to_owned();
    if name.is_empty() {
        return;
    }
    let labels = object.entry_at(&["metadata", "labels"]);
    if labels[NAME_LABEL].text() != name {
        labels.set(NAME_LABEL, name);
        if let Some(labels) = labels.as_object_mut() {
            labels.sort();
        }
    }
}

/// Finalizers without a domain, all of them Kubernetes' own.
const STANDARD_FINALIZERS: [&str; 3] = [FINALIZER, "orphan", "foregroundDeletion"];

fn finalizer(path: &Path<'_>, name: &str, errors: &mut Errors) {
    qualified(path, name, errors);
    if !name.contains('/') && !STANDARD_FINALIZERS.contains(&name) {
        errors.invalid(path, name, "name is neither a standard finalizer name nor is it fully qualified");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_a_label_too() {
        let mut object =
            value!({"metadata": {"name": "shop", "labels": {"a": "b", "kubernetes.io/metadata.name": "x"}}});
        Namespace.default("v1", &mut object);
        assert_eq!(object["metadata"]["labels"], value!({"a": "b", "kubernetes.io/metadata.name": "shop"}));
    }

    #[test]
    fn finalizers_hold() {
        assert!(Namespace.is_held(&value!({"spec": {"finalizers": ["kubernetes"]}})));
        assert!(!Namespace.is_held(&value!({"spec": {"finalizers": []}})));
    }

    #[test]
    fn finalizers_are_standard_or_of_a_domain() {
        for (name, count) in [("kubernetes", 0), ("example.com/a", 0), ("other", 1), ("a b", 2)] {
            let mut errors = Errors::new();
            finalizer(&Path::Root.child("f"), name, &mut errors);
            assert_eq!(errors.len(), count, "{errors}");
        }
    }
}
