//! DaemonSet.

use apimachinery::Value;
use apimachinery::field::Errors;
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

use crate::changes::{default_rolling_update, default_template};
use crate::core::pod::gated::drop_from_template;

/// The annotation in which the template's generation is kept (it was a field
/// before apps/v1).
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// DaemonSet.
pub struct DaemonSet;

impl Strategy for DaemonSet {
    fn default(&self, _: &str, object: &mut Value) {
        default_rolling_update(object, "updateStrategy");
        default_template(object);
        // The annotation was a field, and so is there always.
        if object["metadata"]["annotations"][TEMPLATE_GENERATION].text().is_empty() {
            set_template_generation(object, 0);
        }
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn prepare_create(&self, _: &Context<'_>, object: &mut Value) {
        drop_from_template(object, None);
        let generation = template_generation(object).max(1);
        set_template_generation(object, generation);
    }

    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        drop_from_template(object, Some(old));
        let changed = object["spec"]["template"] != old["spec"]["template"];
        set_template_generation(object, template_generation(old) + i64::from(changed));
    }

    fn prepare_status(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        set_template_generation(object, template_generation(old));
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        super::validation::daemon_set(object)
    }

    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = Errors::new();
        super::validation::same_selector(object, old, &mut errors);
        errors.append(self.validate_create(context, object));
        errors
    }

    fn validate_status(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        super::status::daemon_set(object, old)
    }

    fn warnings(&self, _: &Context<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        crate::changes::template_warnings(object, old)
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::workloads::daemon_set(object, now)
    }
}

fn template_generation(object: &Value) -> i64 {
    object["metadata"]["annotations"][TEMPLATE_GENERATION].text().parse().unwrap_or(0)
}

fn set_template_generation(object: &mut Value, generation: i64) {
    let annotations = object.entry_at(&["metadata", "annotations"]);
    annotations.set(TEMPLATE_GENERATION, generation.to_string());
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.sort();
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn the_generation_of_the_template_is_always_said() {
        let mut object = value!({"metadata": {"annotations": {"z": "1"}}, "spec": {}});
        DaemonSet.default("v1", &mut object);
        assert_eq!(template_generation(&object), 0);
        set_template_generation(&mut object, 3);
        DaemonSet.default("v1", &mut object);
        assert_eq!(template_generation(&object), 3);
    }
}
