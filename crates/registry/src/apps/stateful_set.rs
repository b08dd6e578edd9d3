//! StatefulSet.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apimachinery::validation::meta::NameRule;
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

use crate::changes::{default_rolling_update, default_struct, default_template, items};
use crate::core::pod::gated::drop_from_template;
use crate::core::pod::validation::claim_warnings;

/// StatefulSet.
pub struct StatefulSet;

impl Strategy for StatefulSet {
    fn default(&self, _: &str, object: &mut Value) {
        // A strategy that is said keeps to what it says.
        if object["spec"]["updateStrategy"]["type"].text().is_empty() {
            default_rolling_update(object, "updateStrategy");
        }
        default_template(object);
        let spec = object.entry("spec");
        default_struct(spec, "persistentVolumeClaimRetentionPolicy");
        for claim in items(spec, "volumeClaimTemplates") {
            claim.set("kind", "PersistentVolumeClaim");
            claim.set("apiVersion", "v1");
            default_struct(claim, "status");
        }
    }

    /// Its pods are called after it.
    fn name_rule(&self) -> NameRule {
        apimachinery::validation::dns1123_label
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn prepare_create(&self, _: &Context<'_>, object: &mut Value) {
        drop_from_template(object, None);
    }

    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        drop_from_template(object, Some(old));
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        super::validation::stateful_set(object, true)
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = super::validation::stateful_set(object, false);
        super::validation::stateful_set_update(object, old, &mut errors);
        errors
    }

    fn validate_status(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        super::status::stateful_set(object, old)
    }

    fn warnings(&self, _: &Context<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        let mut warnings = crate::changes::template_warnings(object, old);
        let spec = Path::Root.child("spec");
        let field = spec.child("volumeClaimTemplates");
        for (at, claim) in object["spec"]["volumeClaimTemplates"].items().iter().enumerate() {
            claim_warnings(&claim["spec"], &field.index(at), &mut warnings);
        }
        if object["spec"]["revisionHistoryLimit"].as_i64().is_some_and(|limit| limit < 0) {
            warnings.push(
                "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is \
                 recommended"
                    .to_owned(),
            );
        }
        warnings
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::workloads::stateful_set(object, now)
    }
}
