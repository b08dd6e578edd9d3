//! EndpointSlice.

use apimachinery::Value;
use apiserver::{Strategy, Version};
use jiff::Timestamp;

/// EndpointSlice.
pub struct EndpointSlice;

impl Strategy for EndpointSlice {
    fn has_generation(&self) -> bool {
        true
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::network::endpoint_slice(object, now)
    }
}
