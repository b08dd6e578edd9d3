//! PriorityClass.

use apimachinery::Value;
use apiserver::{Strategy, Version};
use jiff::Timestamp;

/// PriorityClass.
pub struct PriorityClass;

impl Strategy for PriorityClass {
    fn has_generation(&self) -> bool {
        true
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::config::priority_class(object, now)
    }
}
