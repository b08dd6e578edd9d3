//! ReplicationController.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apimachinery::validation::{dns1123_subdomain, in_bytes};
use apiserver::{Context, NameRule, Orphaning, Strategy, Version};
use jiff::Timestamp;

use crate::changes::default_template;
use crate::core::pod::gated::drop_from_template;

/// ReplicationController.
pub struct ReplicationController;

impl Strategy for ReplicationController {
    /// Selector and labels are those of the template where it has none of its own.
    fn default(&self, _: &str, object: &mut Value) {
        let labels = object["spec"]["template"]["metadata"]["labels"].clone();
        if labels.members().next().is_some() && object["spec"]["selector"].members().next().is_none() {
            object.entry("spec").set("selector", labels);
        }
        default_labels(object);
        default_template(object);
    }

    /// Kubernetes defaults again what comes from its store, so that labels
    /// which a status has not come back.
    fn prepare_status(&self, _: &Context<'_>, object: &mut Value, _: &Value) {
        default_labels(object);
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn orphaning(&self) -> Orphaning {
        Orphaning::Orphan
    }

    fn prepare_create(&self, _: &Context<'_>, object: &mut Value) {
        drop_from_template(object, None);
    }

    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        drop_from_template(object, Some(old));
    }

    /// A declaration says how controllers are called, and its errors come last.
    fn name_rule(&self) -> NameRule {
        |_| Vec::new()
    }

    fn validate_create(&self, context: &Context<'_>, object: &Value) -> Errors {
        let mut errors = crate::apps::validation::replication_controller(object);
        if !context.name.is_empty() {
            let place = Path::Root.child("metadata");
            let wrong = in_bytes(dns1123_subdomain(context.name));
            errors.check(&place.child("name"), context.name, wrong);
        }
        errors
    }

    fn validate_status(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        crate::apps::status::replica_set(object, old)
    }

    fn warnings(&self, _: &Context<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        crate::changes::workload_warnings(object, old)
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::workloads::replication_controller(object, now)
    }
}

/// The labels are the template's where there are none.
fn default_labels(object: &mut Value) {
    let labels = &object["spec"]["template"]["metadata"]["labels"];
    if labels.members().next().is_some() && object["metadata"]["labels"].members().next().is_none() {
        let labels = labels.clone();
        object.entry("metadata").set("labels", labels);
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn the_template_gives_selector_and_labels() {
        let mut object = value!({"spec": {"template": {"metadata": {"labels": {"a": "b"}}, "spec": {}}}});
        ReplicationController.default("v1", &mut object);
        assert_eq!(object["spec"]["selector"], value!({"a": "b"}));
        assert_eq!(object["metadata"]["labels"], value!({"a": "b"}));
        let mut own = value!({"metadata": {"labels": {"x": "y"}}, "spec": {"selector": {"a": "c"},
            "template": {"metadata": {"labels": {"a": "b"}}}}});
        ReplicationController.default("v1", &mut own);
        assert_eq!(own["spec"]["selector"], value!({"a": "c"}));
        assert_eq!(own["metadata"]["labels"], value!({"x": "y"}));
    }
}
