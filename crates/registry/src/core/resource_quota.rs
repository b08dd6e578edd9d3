//! ResourceQuota.

use apimachinery::Value;
use apiserver::{Strategy, Version};
use jiff::Timestamp;

/// ResourceQuota.
pub struct ResourceQuota;

impl Strategy for ResourceQuota {
    fn returns_deleted(&self) -> bool {
        true
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::config::resource_quota(object, now)
    }
}
