//! ReplicaSet.

use apimachinery::Value;
use apimachinery::field::Errors;
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

use crate::changes::default_template;

/// ReplicaSet.
pub struct ReplicaSet;

impl Strategy for ReplicaSet {
    fn default(&self, _: &str, object: &mut Value) {
        default_template(object);
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        super::validation::replica_set(object)
    }

    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = self.validate_create(context, object);
        super::validation::same_selector(object, old, &mut errors);
        errors
    }

    fn validate_status(&self, _: &Context<'_>, object: &Value, _: &Value) -> Errors {
        super::validation::replica_status(object)
    }

    fn warnings(&self, _: &Context<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        crate::changes::template_warnings(object, old)
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::workloads::replica_set(object, now)
    }
}
