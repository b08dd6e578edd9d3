//! VolumeAttributesClass.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

/// VolumeAttributesClass.
pub struct VolumeAttributesClass;

impl Strategy for VolumeAttributesClass {
    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = self.validate_create(context, object);
        if object["driverName"] != old["driverName"] {
            errors.forbidden(&Path::Root.child("driverName"), "updates to driverName are forbidden.");
        }
        if object["parameters"] != old["parameters"] {
            errors.forbidden(&Path::Root.child("parameters"), "updates to parameters are forbidden.");
        }
        errors
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::storage::attributes_class(object, now)
    }
}
