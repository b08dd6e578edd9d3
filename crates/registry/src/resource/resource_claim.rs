//! ResourceClaim and ResourceClaimTemplate.

use apimachinery::Value;
use apiserver::{Strategy, Version};
use jiff::Timestamp;

use crate::changes::{default_text, items};

/// ResourceClaim.
pub struct ResourceClaim;

/// ResourceClaimTemplate.
pub struct ResourceClaimTemplate;

impl Strategy for ResourceClaim {
    fn default(&self, _: &str, object: &mut Value) {
        default_requests(object.entry("spec"));
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::cluster::resource_claim(object, now)
    }
}

impl Strategy for ResourceClaimTemplate {
    fn default(&self, _: &str, object: &mut Value) {
        default_requests(object.entry("spec").entry("spec"));
    }
}

/// A request asks for a count of devices, one unless it says how many.
fn default_requests(spec: &mut Value) {
    let Some(devices) = spec.get_mut("devices") else { return };
    for request in items(devices, "requests") {
        if let Some(exactly) = request.get_mut("exactly") {
            default_count(exactly);
        }
        for alternative in items(request, "firstAvailable") {
            default_count(alternative);
        }
    }
}

fn default_count(request: &mut Value) {
    if request.as_object().is_none() {
        return;
    }
    default_text(request, "allocationMode", "ExactCount");
    if request["allocationMode"].text() == "ExactCount" && request["count"].as_i64().unwrap_or(0) == 0 {
        request.set("count", 1);
    }
}
