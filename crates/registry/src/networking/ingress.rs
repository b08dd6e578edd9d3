//! Ingress.

use apimachinery::Value;
use apiserver::{Strategy, Version};
use jiff::Timestamp;

/// Ingress.
pub struct Ingress;

impl Strategy for Ingress {
    fn has_generation(&self) -> bool {
        true
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::network::ingress(object, now)
    }
}
