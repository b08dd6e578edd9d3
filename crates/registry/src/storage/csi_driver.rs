//! CSIDriver.

use apimachinery::{Value, value};
use apiserver::Strategy;

/// CSIDriver.
pub struct CsiDriver;

impl Strategy for CsiDriver {
    fn default(&self, _: &str, object: &mut Value) {
        let spec = object.entry("spec");
        if spec["volumeLifecycleModes"].items().is_empty() {
            spec.set("volumeLifecycleModes", value!(["Persistent"]));
        }
    }
}
