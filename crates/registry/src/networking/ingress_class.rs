//! IngressClass.

use apimachinery::Value;
use apiserver::{Strategy, Version};
use jiff::Timestamp;

/// IngressClass.
pub struct IngressClass;

impl Strategy for IngressClass {
    fn has_generation(&self) -> bool {
        true
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::network::ingress_class(object, now)
    }
}
