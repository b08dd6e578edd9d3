//! FlowSchema.

use apiserver::Strategy;

/// FlowSchema.
pub struct FlowSchema;

impl Strategy for FlowSchema {
    fn has_generation(&self) -> bool {
        true
    }
}
