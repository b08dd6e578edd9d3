//! Namespace: stays until its content is gone and `spec.finalizers` is empty.

use apimachinery::{Value, meta, validation, value};
use apiserver::{Context, NameRule, Orphaning, Strategy, Version};
use jiff::Timestamp;

use crate::changes::{keep, keep_in};

/// Emptied by the namespace controller through the subresource `finalize`.
const FINALIZER: &str = "kubernetes";
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Namespace.
pub struct Namespace;

/// The subresource `finalize`: only `spec.finalizers` changes.
pub struct Finalize;

impl Strategy for Namespace {
    fn default(&self, _: &str, object: &mut Value) {
        let name = meta::name(object).to_owned();
        if !name.is_empty() {
            let labels = object.entry_at(&["metadata", "labels"]);
            if labels[NAME_LABEL].text() != name {
                labels.set(NAME_LABEL, name);
                if let Some(labels) = labels.as_object_mut() {
                    labels.sort();
                }
            }
        }
    }

    fn name_rule(&self) -> NameRule {
        validation::dns1123_label
    }

    fn prepare_create(&self, _: &Context<'_>, object: &mut Value) {
        object.set("status", value!({"phase": "Active"}));
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

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::config::namespace(object, now)
    }
}

impl Strategy for Finalize {
    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        keep(object, old, "status");
    }

    fn is_held(&self, object: &Value) -> bool {
        Namespace.is_held(object)
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
}
