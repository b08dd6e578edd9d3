//! ControllerRevision: a state of a StatefulSet or DaemonSet, kept as data
//! that never changes.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apiserver::{Context, Strategy};

/// ControllerRevision.
pub struct ControllerRevision;

impl Strategy for ControllerRevision {
    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = Errors::new();
        if object["data"] != old["data"] {
            errors.invalid(&Path::Root.child("data"), object["data"].clone(), "field is immutable");
        }
        errors
    }
}
