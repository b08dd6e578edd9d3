//! PriorityLevelConfiguration.

use apimachinery::Value;
use apiserver::{Strategy, Version};
use jiff::Timestamp;

use crate::changes::default_struct;

/// PriorityLevelConfiguration.
pub struct PriorityLevelConfiguration;

impl Strategy for PriorityLevelConfiguration {
    /// A level that is exempt, and a response that queues, have parameters.
    fn default(&self, _: &str, object: &mut Value) {
        let spec = object.entry("spec");
        if spec["type"].text() == "Exempt" {
            default_struct(spec, "exempt");
        }
        if spec["limited"]["limitResponse"]["type"].text() == "Queue" {
            default_struct(spec.entry("limited").entry("limitResponse"), "queuing");
        }
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::cluster::priority_level(object, now)
    }
}
