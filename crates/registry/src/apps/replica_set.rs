//! ReplicaSet.

use apimachinery::Value;
use apimachinery::field::Errors;
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

use crate::changes::default_template;
use crate::core::pod::gated::drop_from_template;

/// ReplicaSet.
pub struct ReplicaSet;

impl Strategy for ReplicaSet {
    fn default(&self, _: &str, object: &mut Value) {
        default_template(object);
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn prepare_create(&self, _: &Context<'_>, object: &mut Value) {
        drop_from_template(object, None);
    }

    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        drop_from_template(object, Some(old));
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        super::validation::replica_set(object)
    }

    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = self.validate_create(context, object);
        super::validation::same_selector(object, old, &mut errors);
        errors
    }

    fn validate_status(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        super::status::replica_set(object, old)
    }

    fn warnings(&self, _: &Context<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        crate::changes::workload_warnings(object, old)
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::workloads::replica_set(object, now)
    }
}
