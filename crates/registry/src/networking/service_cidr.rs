//! ServiceCIDR: a range of service addresses.

use apimachinery::Value;
use apiserver::{Strategy, Version};
use jiff::Timestamp;

/// ServiceCIDR.
pub struct ServiceCidr;

impl Strategy for ServiceCidr {
    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::network::service_cidr(object, now)
    }
}
