//! Deployment.

use apimachinery::Value;
use apimachinery::field::Errors;
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

use crate::changes::{default_rolling_update, default_template, keep_in};
use crate::core::pod::gated::drop_from_template;
use crate::rules::same;

/// Deployment.
pub struct Deployment;

impl Strategy for Deployment {
    fn reset_fields(&self, subresource: &str) -> &'static [&'static [&'static str]] {
        if subresource == "status" { &[&["metadata", "labels"]] } else { &[] }
    }

    fn default(&self, _: &str, object: &mut Value) {
        default_rolling_update(object, "strategy");
        default_template(object);
    }

    fn has_generation(&self) -> bool {
        true
    }

    /// Annotations count, too: they are copied to the replica sets.
    fn changes_generation(&self, object: &Value, old: &Value) -> bool {
        !same(&object["spec"], &old["spec"])
            || !same(&object["metadata"]["annotations"], &old["metadata"]["annotations"])
    }

    fn prepare_status(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        keep_in(object, old, "metadata", "labels");
    }

    fn prepare_create(&self, _: &Context<'_>, object: &mut Value) {
        drop_from_template(object, None);
    }

    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        drop_from_template(object, Some(old));
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        super::validation::deployment(object)
    }

    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = self.validate_create(context, object);
        super::validation::same_selector(object, old, &mut errors);
        errors
    }

    fn validate_status(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        super::status::deployment(object, old)
    }

    fn warnings(&self, _: &Context<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        crate::changes::workload_warnings(object, old)
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::workloads::deployment(object, now)
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn only_rolling_strategies_have_parameters() {
        for (strategy, expected) in [
            (value!({}), value!({"type": "RollingUpdate", "rollingUpdate": {}})),
            (value!({"type": "Recreate"}), value!({"type": "Recreate"})),
            (
                value!({"rollingUpdate": {"maxSurge": 1}}),
                value!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}),
            ),
        ] {
            let mut object = value!({"spec": {"strategy": strategy}});
            Deployment.default("v1", &mut object);
            assert_eq!(object["spec"]["strategy"], expected);
        }
    }

    #[test]
    fn annotations_count_as_generations() {
        let old = value!({"metadata": {"annotations": {"a": "b"}}, "spec": {"replicas": 1}});
        for (object, expected) in [
            (old.clone(), false),
            (
                value!({"metadata": {"labels": {"a": "b"}, "annotations": {"a": "b"}}, "spec": {"replicas": 1}}),
                false,
            ),
            (value!({"metadata": {"annotations": {"a": "c"}}, "spec": {"replicas": 1}}), true),
            (value!({"metadata": {"annotations": {"a": "b"}}, "spec": {"replicas": 2}}), true),
        ] {
            assert_eq!(Deployment.changes_generation(&object, &old), expected, "{object:?}");
        }
    }
}
