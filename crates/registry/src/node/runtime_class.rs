//! RuntimeClass.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

/// RuntimeClass.
pub struct RuntimeClass;

impl Strategy for RuntimeClass {
    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = self.validate_create(context, object);
        if object["handler"] != old["handler"] {
            errors.invalid(&Path::Root.child("handler"), object["handler"].clone(), "field is immutable");
        }
        errors
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::config::runtime_class(object, now)
    }
}
