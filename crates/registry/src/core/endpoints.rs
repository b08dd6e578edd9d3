//! Endpoints.

use apimachinery::Value;
use apiserver::{Strategy, Version};
use jiff::Timestamp;

/// Endpoints.
pub struct Endpoints;

/// What every request of this version is told.
pub const DEPRECATION: &str = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice";

impl Strategy for Endpoints {
    fn creates_on_update(&self) -> bool {
        true
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::network::endpoints(object, now)
    }
}
