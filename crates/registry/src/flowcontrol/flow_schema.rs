//! FlowSchema.

use apimachinery::Value;
use apiserver::{Strategy, Version};
use jiff::Timestamp;

/// FlowSchema.
pub struct FlowSchema;

impl Strategy for FlowSchema {
    fn has_generation(&self) -> bool {
        true
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::cluster::flow_schema(object, now)
    }
}
