//! Admission policies in CEL and their bindings.

use apimachinery::Value;
use apiserver::{Strategy, Version};
use jiff::Timestamp;

use crate::changes::default_struct;

/// ValidatingAdmissionPolicy and MutatingAdmissionPolicy.
pub struct Policy;

/// Their bindings.
pub struct Binding;

/// Selectors that are not said select everything.
fn default_selectors(parent: &mut Value, field: &'static str) {
    if let Some(matches) = parent.get_mut(field)
        && matches.as_object().is_some()
    {
        default_struct(matches, "namespaceSelector");
        default_struct(matches, "objectSelector");
    }
}

impl Strategy for Policy {
    fn default(&self, _: &str, object: &mut Value) {
        default_selectors(object.entry("spec"), "matchConstraints");
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::cluster::policy(object, now)
    }
}

impl Strategy for Binding {
    fn default(&self, _: &str, object: &mut Value) {
        default_selectors(object.entry("spec"), "matchResources");
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::cluster::policy_binding(object, now)
    }
}
