//! StorageClass.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

/// StorageClass.
pub struct StorageClass;

impl Strategy for StorageClass {
    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        let mut errors = Errors::new();
        if object["provisioner"].text().is_empty() {
            errors.required(&Path::Root.child("provisioner"), "");
        }
        errors
    }

    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = self.validate_create(context, object);
        if object["parameters"] != old["parameters"] {
            errors.forbidden(&Path::Root.child("parameters"), "updates to parameters are forbidden.");
        }
        if object["provisioner"] != old["provisioner"] {
            errors.forbidden(&Path::Root.child("provisioner"), "updates to provisioner are forbidden.");
        }
        if object["reclaimPolicy"] != old["reclaimPolicy"] {
            errors.forbidden(&Path::Root.child("reclaimPolicy"), "updates to reclaimPolicy are forbidden.");
        }
        errors
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::storage::storage_class(object, now)
    }
}
