//! CSIDriver.

use apimachinery::{Value, value};
use apiserver::{Strategy, Version};
use jiff::Timestamp;

/// CSIDriver.
pub struct CsiDriver;

impl Strategy for CsiDriver {
    fn default(&self, _: &str, object: &mut Value) {
        let spec = object.entry("spec");
        if spec["volumeLifecycleModes"].items().is_empty() {
            spec.set("volumeLifecycleModes", value!(["Persistent"]));
        }
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::storage::driver(object, now)
    }
}
