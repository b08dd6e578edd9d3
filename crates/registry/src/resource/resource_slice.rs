//! ResourceSlice: devices of a pool, as their driver publishes them.

use apimachinery::Value;
use apimachinery::field::{Errors, quote};
use apiserver::{Context, Definition, Strategy, Version};
use jiff::Timestamp;

use super::date_taint;
use super::validation::slice;
use crate::changes::{drop_unless_used, items};

/// Fields of features that are off.
const DISABLED: [&[&str]; 8] = [
    &["spec", "partitionTypeAttribute"],
    &["spec", "skipNodeOperations"],
    &["spec", "devices", "*", "consumesCounters", "*", "compatibilityGroups"],
    &["spec", "devices", "*", "nodeAllocatableResources"],
    &["spec", "devices", "*", "attributes", "*", "ints"],
    &["spec", "devices", "*", "attributes", "*", "bools"],
    &["spec", "devices", "*", "attributes", "*", "strings"],
    &["spec", "devices", "*", "attributes", "*", "versions"],
];

fn drop_disabled(object: &mut Value, old: &Value) {
    for path in DISABLED {
        drop_unless_used(object, old, path);
    }
}

/// ResourceSlice.
pub struct ResourceSlice;

impl Strategy for ResourceSlice {
    fn has_generation(&self) -> bool {
        true
    }

    fn unselectable(&self, definition: &Definition, version: &Version, field: &str) -> String {
        let (group, kind) = (&definition.group, &definition.kind);
        format!("field label not supported for {group}/{}, Kind={kind}: {field}", version.name)
    }

    fn default_times(&self, version: &str, object: &mut Value, now: Timestamp) {
        for device in items(object.entry("spec"), "devices") {
            // The oldest version keeps them a level further down.
            let holder = match version {
                "v1beta1" => device.get_mut("basic"),
                _ => Some(device),
            };
            holder
                .into_iter()
                .flat_map(|holder| items(holder, "taints"))
                .for_each(|taint| date_taint(taint, now));
        }
    }

    fn prepare_create(&self, _: &Context<'_>, object: &mut Value) {
        drop_disabled(object, &Value::Null);
    }

    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        drop_disabled(object, old);
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        slice::validate(&object["spec"], None)
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        slice::validate(&object["spec"], Some(&old["spec"]))
    }

    fn warnings(&self, _: &Context<'_>, object: &Value, _: Option<&Value>) -> Vec<String> {
        let driver = object["spec"]["driver"].text();
        if driver == driver.to_lowercase() {
            return Vec::new();
        }
        let driver = quote(driver);
        vec![format!("spec.driver: driver names should be lowercase; {driver} contains uppercase characters")]
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::cluster::resource_slice(object, now)
    }
}
