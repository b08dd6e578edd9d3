//! ResourceSlice: devices of a pool, as their driver publishes them.

use apimachinery::Value;
use apimachinery::field::Errors;
use apiserver::{Context, Definition, Strategy, Version};
use jiff::Timestamp;

use super::date_taint;
use super::validation::slice;
use crate::changes::{drop_unless_used, items};

/// Fields of features that are off.
const DISABLED: [&[&str]; 7] = [
    &["spec", "partitionTypeAttribute"],
    &["spec", "skipNodeOperations"],
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

    fn prepare_create(&self, context: &Context<'_>, object: &mut Value) {
        drop_disabled(object, &Value::Null);
        date_taints(context, object, None);
    }

    fn prepare_update(&self, context: &Context<'_>, object: &mut Value, old: &Value) {
        drop_disabled(object, old);
        date_taints(context, object, Some(old));
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        slice::validate(&object["spec"], None)
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        slice::validate(&object["spec"], Some(&old["spec"]))
    }

    fn returns_deleted(&self) -> bool {
        true
    }
}

/// A taint that a device had already began when it began.
fn date_taints(context: &Context<'_>, object: &mut Value, old: Option<&Value>) {
    for device in items(object.entry("spec"), "devices") {
        let name = device["name"].clone();
        let before =
            old.and_then(|old| old["spec"]["devices"].items().iter().find(|device| device["name"] == name));
        for taint in items(device, "taints") {
            let same = before.and_then(|device| {
                let fields = ["key", "value", "effect"];
                let all = device["taints"].items().iter();
                all.into_iter().find(|old| fields.iter().all(|field| old[*field] == taint[*field]))
            });
            date_taint(taint, same, context);
        }
    }
}
