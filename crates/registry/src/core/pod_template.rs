//! PodTemplate.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

use super::pod::{defaults, gated, validation};
use crate::changes::is_new_generation;

/// PodTemplate.
pub struct PodTemplate;

impl Strategy for PodTemplate {
    fn default(&self, _: &str, object: &mut Value) {
        if let Some(template) = object.get_mut("template") {
            defaults::template(template);
        }
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn prepare_create(&self, _: &Context<'_>, object: &mut Value) {
        drop_disabled(object, &Value::Null);
    }

    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        drop_disabled(object, old);
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        let mut errors = Errors::new();
        validation::template(&object["template"], &Path::Root.child("template"), &mut errors);
        errors
    }

    fn warnings(&self, _: &Context<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        if is_new_generation(object, old) {
            validation::template_warnings(&object["template"], &Path::Root.child("template"))
        } else {
            Vec::new()
        }
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::pod::template(object, now)
    }
}

fn drop_disabled(object: &mut Value, old: &Value) {
    if let Some(spec) = object.get_mut("template").and_then(|template| template.get_mut("spec")) {
        gated::drop_from(spec, &old["template"]["spec"]);
    }
}
