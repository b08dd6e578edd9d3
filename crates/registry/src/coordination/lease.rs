//! Lease.

use apimachinery::Value;
use apiserver::{Strategy, Version};
use jiff::Timestamp;

/// Lease.
pub struct Lease;

impl Strategy for Lease {
    fn creates_on_update(&self) -> bool {
        true
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::config::lease(object, now)
    }
}
