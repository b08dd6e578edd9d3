//! CustomResourceDefinition. What it defines is served by `loops`.

use apimachinery::Value;
use apimachinery::field::Errors;
use apiserver::{Context, FirstDeletion, Strategy, Version};
use jiff::Timestamp;

use super::validation;
use crate::changes::{default_text, items};
use crate::conditions;

/// Held until the objects of a deleted definition are gone.
pub const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// CustomResourceDefinition.
pub struct CustomResourceDefinition;

impl Strategy for CustomResourceDefinition {
    fn repeats_errors(&self) -> bool {
        true
    }

    fn reset_fields(&self, subresource: &str) -> &'static [&'static [&'static str]] {
        crate::changes::metadata_of_status(subresource)
    }

    fn knows_finalizers(&self) -> bool {
        false
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn default(&self, _: &str, object: &mut Value) {
        let spec = object.entry("spec");
        let names = spec.entry("names");
        let kind = names["kind"].text().to_owned();
        default_text(names, "singular", &kind.to_lowercase());
        if !kind.is_empty() {
            default_text(names, "listKind", &format!("{kind}List"));
        }
        if spec["conversion"].is_null() {
            spec.entry("conversion").set("strategy", "None");
        }
        let conversion = spec.entry("conversion");
        if !conversion["webhook"]["clientConfig"]["service"].is_null() {
            let service = conversion.entry_at(&["webhook", "clientConfig", "service"]);
            if service["port"].is_null() {
                service.set("port", 443);
            }
        }
        for version in items(spec, "versions") {
            if version["storage"].is_null() {
                version.set("storage", false);
            }
        }
        if object["status"]["storedVersions"].items().is_empty() {
            store_version(object);
        }
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn prepare_create(&self, _: &Context<'_>, object: &mut Value) {
        store_version(object);
    }

    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, _: &Value) {
        store_version(object);
    }

    // Labels, annotations and finalizers that come with a status are taken, unlike those of other kinds.

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        validation::validate_create(object)
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        validation::validate_update(object, old)
    }

    fn validate_status(&self, _: &Context<'_>, object: &Value, _: &Value) -> Errors {
        validation::validate_status(object)
    }

    fn warnings(&self, context: &Context<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        if context.subresource.is_empty() { super::warnings::of(object, old) } else { Vec::new() }
    }

    fn first_deletion(&self) -> FirstDeletion {
        FirstDeletion::MarksAlone
    }

    fn mark_deleted(&self, context: &Context<'_>, object: &mut Value) {
        let metadata = object.entry("metadata");
        let mut finalizers: Vec<Value> = metadata["finalizers"].items().to_vec();
        if !finalizers.iter().any(|finalizer| finalizer.text() == CLEANUP) {
            finalizers.push(CLEANUP.into());
        }
        metadata.set("finalizers", finalizers);
        let told = conditions::Told {
            kind: "Terminating",
            status: true,
            reason: "InstanceDeletionPending",
            message: "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
        };
        conditions::set(object, told, context.now);
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::cluster::definition(object, now)
    }
}

/// The version that is stored now has been one that is stored.
fn store_version(object: &mut Value) {
    let stored = object["spec"]["versions"].items().iter().find(|version| version["storage"].is_true());
    let Some(name) = stored.map(|version| version["name"].clone()) else { return };
    let known = object["status"]["storedVersions"].items();
    if known.contains(&name) {
        return;
    }
    let mut known = known.to_vec();
    known.push(name);
    object.entry("status").set("storedVersions", known);
}
