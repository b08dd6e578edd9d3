//! PodDisruptionBudget.

use apimachinery::Value;
use apiserver::{Strategy, Version};
use jiff::Timestamp;

/// PodDisruptionBudget.
pub struct PodDisruptionBudget;

impl Strategy for PodDisruptionBudget {
    fn has_generation(&self) -> bool {
        true
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::scaling::disruption_budget(object, now)
    }
}
