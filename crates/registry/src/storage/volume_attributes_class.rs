//! VolumeAttributesClass.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

use super::parameters;
use crate::rules::same;

/// VolumeAttributesClass.
pub struct VolumeAttributesClass;

impl Strategy for VolumeAttributesClass {
    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        validate(object)
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = Errors::new();
        for field in ["driverName", "parameters"] {
            if !same(&object[field], &old[field]) {
                errors.forbidden(&Path::Root.child(field), &format!("updates to {field} are forbidden."));
            }
        }
        errors.append(validate(object));
        errors
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::storage::attributes_class(object, now)
    }
}

fn validate(object: &Value) -> Errors {
    let mut errors = Errors::new();
    let driver = Path::Root.child("driverName");
    if crate::rules::required(&driver, &object["driverName"], &mut errors) {
        parameters::driver(&driver, object["driverName"].text(), &mut errors);
    }
    let path = Path::Root.child("parameters");
    parameters::parameters(&path, &object["parameters"], &mut errors);
    if object["parameters"].members().next().is_none() {
        errors.required(&path, "must contain at least one key/value pair");
    }
    errors
}
