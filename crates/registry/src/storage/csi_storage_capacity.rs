//! CSIStorageCapacity.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apimachinery::validation::dns1123_subdomain;
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

use crate::rules::{resources, selector};

/// CSIStorageCapacity.
pub struct CsiStorageCapacity;

impl Strategy for CsiStorageCapacity {
    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        validate(object)
    }

    /// What the capacity was asked for never changes.
    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = validate(object);
        for field in ["nodeTopology", "storageClassName"] {
            errors.immutable(&Path::Root.child(field), &object[field], &old[field]);
        }
        errors
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::config::created_at(object, now)
    }
}

fn validate(object: &Value) -> Errors {
    let mut errors = Errors::new();
    selector::validate(&Path::Root.child("nodeTopology"), &object["nodeTopology"], &mut errors);
    let class = object["storageClassName"].text();
    errors.check(&Path::Root.child("storageClassName"), class, dns1123_subdomain(class));
    let capacity = &object["capacity"];
    if resources::amount(capacity).is_negative() {
        let why = "must be greater than or equal to 0";
        errors.invalid(&Path::Root.child("capacity"), capacity.clone(), why);
    }
    errors
}
