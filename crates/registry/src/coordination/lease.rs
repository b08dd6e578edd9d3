//! Lease.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

use crate::rules::non_negative;

/// Lease.
pub struct Lease;

impl Strategy for Lease {
    fn knows_finalizers(&self) -> bool {
        false
    }

    fn creates_on_update(&self) -> bool {
        true
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    /// Coordinated leader election is off, and so are its fields.
    fn prepare_create(&self, _: &Context<'_>, object: &mut Value) {
        if let Some(spec) = object.get_mut("spec") {
            for field in ["strategy", "preferredHolder"] {
                spec.remove(field);
            }
        }
    }

    fn prepare_update(&self, context: &Context<'_>, object: &mut Value, old: &Value) {
        if ["strategy", "preferredHolder"].iter().all(|field| old["spec"][*field].is_null()) {
            self.prepare_create(context, object);
        }
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        let mut errors = Errors::new();
        let (spec, path) = (&object["spec"], Path::Root.child("spec"));
        if let Some(seconds) = spec["leaseDurationSeconds"].as_i64().filter(|seconds| *seconds <= 0) {
            errors.invalid(&path.child("leaseDurationSeconds"), seconds, "must be greater than 0");
        }
        non_negative(&path.child("leaseTransitions"), &spec["leaseTransitions"], &mut errors);
        errors
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::config::lease(object, now)
    }
}
