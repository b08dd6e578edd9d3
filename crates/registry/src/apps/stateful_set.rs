//! StatefulSet.

use apimachinery::Value;
use apimachinery::field::Errors;
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

use crate::changes::{default_rolling_update, default_struct, default_template, items};

/// StatefulSet.
pub struct StatefulSet;

impl Strategy for StatefulSet {
    fn default(&self, _: &str, object: &mut Value) {
        default_rolling_update(object, "updateStrategy");
        default_template(object);
        let spec = object.entry("spec");
        default_struct(spec, "persistentVolumeClaimRetentionPolicy");
        for claim in items(spec, "volumeClaimTemplates") {
            claim.set("kind", "PersistentVolumeClaim");
            claim.set("apiVersion", "v1");
            default_struct(claim, "status");
        }
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        super::validation::stateful_set(object)
    }

    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = self.validate_create(context, object);
        super::validation::stateful_set_update(object, old, &mut errors);
        errors
    }

    fn warnings(&self, _: &Context<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        crate::changes::template_warnings(object, old)
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::workloads::stateful_set(object, now)
    }
}
