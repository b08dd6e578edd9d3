//! RuntimeClass.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apiserver::{Context, Strategy};

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
}
