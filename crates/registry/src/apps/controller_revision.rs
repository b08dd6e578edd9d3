//! ControllerRevision: a state of a StatefulSet or DaemonSet, kept as data
//! that never changes.

use apimachinery::Value;
use apimachinery::field::Errors;
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

/// ControllerRevision.
pub struct ControllerRevision;

impl Strategy for ControllerRevision {
    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        super::validation::controller_revision(object, None)
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        super::validation::controller_revision(object, Some(old))
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::workloads::controller_revision(object, now)
    }
}
