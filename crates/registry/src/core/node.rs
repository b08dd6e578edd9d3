//! Node.

use apimachinery::field::{Errors, Path};
use apimachinery::{Value, validation, value};
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

use crate::changes::keep_in;

/// Node.
pub struct Node;

impl Strategy for Node {
    /// Kubelets register with their capacity.
    fn keeps_sent_status(&self) -> bool {
        true
    }

    /// `podCIDR` is the first of `podCIDRs`; what is not reserved can be allocated.
    fn default(&self, _: &str, object: &mut Value) {
        let spec = object.entry("spec");
        let first = spec["podCIDRs"][0].text().to_owned();
        match (spec["podCIDR"].text().to_owned(), first) {
            (one, list) if !one.is_empty() && list != one => spec.set("podCIDRs", value!([one])),
            (one, list) if one.is_empty() && !list.is_empty() => spec.set("podCIDR", list),
            _ => {}
        }
        if object["status"]["allocatable"].is_null() && !object["status"]["capacity"].is_null() {
            let capacity = object["status"]["capacity"].clone();
            object.entry("status").set("allocatable", capacity);
        }
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        let mut errors = Errors::new();
        validate_taints(object, &mut errors);
        errors
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = Errors::new();
        let spec = Path::Root.child("spec");
        let (ranges, before) = (object["spec"]["podCIDRs"].items(), old["spec"]["podCIDRs"].items());
        if !before.is_empty() && ranges != before {
            let why = "node updates may not change podCIDR except from \"\" to valid";
            errors.forbidden(&spec.child("podCIDRs"), why);
        }
        let (provider, before) = (&object["spec"]["providerID"], old["spec"]["providerID"].text());
        if !before.is_empty() && provider.text() != before {
            errors.invalid(&spec.child("providerID"), Value::Null, "field cannot be modified once set");
        }
        validate_taints(object, &mut errors);
        errors
    }

    /// A kubelet's status does not touch the spec; its addresses and capacity are its own.
    fn prepare_status(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        keep_in(object, old, "metadata", "generation");
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::node::node(object, now)
    }
}

fn validate_taints(object: &Value, errors: &mut Errors) {
    // Upstream names the path of an annotation that taints once were.
    let metadata = Path::Root.child("metadata");
    let taints = metadata.child("taints");
    let list = object["spec"]["taints"].items();
    for (at, taint) in list.iter().enumerate() {
        let path = taints.index(at);
        let (key, effect) = (taint["key"].text(), taint["effect"].text());
        for why in validation::qualified_name(key) {
            errors.invalid(&path.child("key"), key, &why);
        }
        for why in validation::label_value(taint["value"].text()) {
            errors.invalid(&path.child("value"), taint["value"].text(), &why);
        }
        let effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
        if effect.is_empty() {
            errors.required(&path.child("effect"), "");
        } else if !effects.contains(&effect) {
            errors.not_supported(&path.child("effect"), effect, &effects);
        }
        let twice =
            list[..at].iter().any(|other| other["key"].text() == key && other["effect"].text() == effect);
        if twice {
            let told = value!({
                "Key": key, "Value": taint["value"].text(), "Effect": effect,
                "TimeAdded": taint["timeAdded"].clone()
            });
            errors.duplicate_because(&path, told, "taints must be unique by key and effect pair");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_fields_for_ranges_agree() {
        for (spec, expected) in [
            (
                value!({"podCIDR": "10.0.0.0/24"}),
                value!({"podCIDR": "10.0.0.0/24", "podCIDRs": ["10.0.0.0/24"]}),
            ),
            (
                value!({"podCIDRs": ["10.0.0.0/24"]}),
                value!({"podCIDR": "10.0.0.0/24", "podCIDRs": ["10.0.0.0/24"]}),
            ),
            (value!({}), value!({})),
        ] {
            let mut object = value!({"spec": spec});
            Node.default("v1", &mut object);
            assert_eq!(object["spec"], expected);
        }
    }

    #[test]
    fn all_capacity_can_be_allocated_unless_said_otherwise() {
        let mut object = value!({"status": {"capacity": {"cpu": "4"}}});
        Node.default("v1", &mut object);
        assert_eq!(object["status"]["allocatable"], value!({"cpu": "4"}));
    }

    #[test]
    fn taints_are_unique_by_key_and_effect() {
        let taint = |effect: &str| value!({"key": "k", "effect": effect});
        let mut errors = Errors::new();
        validate_taints(
            &value!({"spec": {"taints": vec![taint("NoSchedule"), taint("NoExecute"), taint("NoSchedule")]}}),
            &mut errors,
        );
        assert_eq!(errors.len(), 1);
        assert!(errors.to_string().starts_with("metadata.taints[2]: Duplicate value: "), "{errors}");
    }
}
