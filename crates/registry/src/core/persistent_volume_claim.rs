//! PersistentVolumeClaim.

use apimachinery::field::{Errors, Path};
use apimachinery::validation::dns1123_subdomain;
use apimachinery::{Value, value};
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

use crate::rules::{diff, internal, resources, selector};

/// Access modes, as messages list them.
pub const ACCESS_MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

const SPEC_IS_IMMUTABLE: &str = "spec is immutable after creation except resources.requests and \
                                 volumeAttributesClassName for bound claims";

/// PersistentVolumeClaim.
pub struct PersistentVolumeClaim;

impl Strategy for PersistentVolumeClaim {
    fn prepare_create(&self, _: &Context<'_>, object: &mut Value) {
        object.set("status", value!({"phase": "Pending"}));
        if !is_known_source(&object["spec"]["dataSource"]) {
            object.entry("spec").remove("dataSource");
        }
        share_data_source(object);
    }

    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, _: &Value) {
        share_data_source(object);
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        let mut errors = Errors::new();
        validate_spec(&object["spec"], &Path::Root.child("spec"), &mut errors);
        errors
    }

    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = self.validate_create(context, object);
        validate_change(object, old, &mut errors);
        errors
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::storage::claim(object, now)
    }
}

/// A PersistentVolumeClaimSpec at `path`.
pub fn validate_spec(spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    let modes = spec["accessModes"].items();
    let field = path.child("accessModes");
    if modes.is_empty() {
        errors.required(&field, "at least 1 access mode is required");
    }
    selector::validate(&path.child("selector"), &spec["selector"], errors);
    for mode in modes {
        errors.one_of(&field, mode.text(), &ACCESS_MODES);
    }
    let alone = |mode: &&Value| mode.text() == "ReadWriteOncePod";
    if modes.iter().any(|mode| alone(&mode)) && !modes.iter().all(|mode| alone(&mode)) {
        errors.forbidden(&field, "may not use ReadWriteOncePod with other access modes");
    }
    let (storage, field) = (&spec["resources"]["requests"]["storage"], path.child("resources"));
    let field = field.key("storage");
    if storage.is_null() {
        errors.required(&field, "");
    } else if resources::amount(storage) <= apimachinery::quantity::Quantity::ZERO {
        errors.invalid(&field, storage.clone(), "must be greater than zero");
    }
    let class = spec["storageClassName"].text();
    if !class.is_empty() {
        errors.check(&path.child("storageClassName"), class, dns1123_subdomain(class));
    }
    if let Some(mode) = spec["volumeMode"].as_str() {
        errors.one_of(&path.child("volumeMode"), mode, &["Block", "Filesystem"]);
    }
    for source in ["dataSource", "dataSourceRef"] {
        if spec[source].is_null() {
            continue;
        }
        let here = path.child(source);
        for field in ["name", "kind"] {
            crate::rules::required(&here.child(field), &spec[source][field], errors);
        }
    }
    let class = spec["volumeAttributesClassName"].text();
    if !class.is_empty() {
        errors.check(&path.child("volumeAttributesClassName"), class, dns1123_subdomain(class));
    }
}

/// A bound claim may ask for more and for another class of attributes; nothing else changes.
fn validate_change(new: &Value, old: &Value, errors: &mut Errors) {
    let mut munged = new["spec"].clone();
    let before = &old["spec"];
    // The binder names the volume.
    if before["volumeName"].text().is_empty() {
        crate::changes::keep(&mut munged, before, "volumeName");
    }
    let field = Path::Root.child("spec");
    if old["status"]["phase"].text() == "Bound" {
        let asked = resources::amount(&munged["resources"]["requests"]["storage"]);
        let had = resources::amount(&before["resources"]["requests"]["storage"]);
        let given = resources::amount(&old["status"]["capacity"]["storage"]);
        if asked < had && asked < given {
            let parent = field.child("resources");
            let requests = parent.child("requests");
            errors.forbidden(&requests.child("storage"), "field can not be less than status.capacity");
        }
        crate::changes::keep_in(&mut munged, before, "resources", "requests");
        crate::changes::keep(&mut munged, before, "volumeAttributesClassName");
    }
    if munged != *before {
        let form = |spec: &Value| internal::of("PersistentVolumeClaimSpec", spec);
        errors.forbidden(
            &field,
            &format!("{SPEC_IS_IMMUTABLE}\n{}", diff::unified(&form(before), &form(&munged))),
        );
    }
}

/// Whether `dataSource` can say it: a claim or a snapshot.
fn is_known_source(source: &Value) -> bool {
    matches!(
        (source["apiGroup"].text(), source["kind"].text()),
        ("", "PersistentVolumeClaim") | ("snapshot.storage.k8s.io", "VolumeSnapshot")
    )
}

/// `dataSource` and `dataSourceRef` say the same, where one of them is left
/// out and no other namespace is meant.
fn share_data_source(object: &mut Value) {
    let spec = object.entry("spec");
    let (source, reference) = (spec["dataSource"].clone(), spec["dataSourceRef"].clone());
    match (source.is_null(), reference.is_null()) {
        (false, true) => spec.set("dataSourceRef", source),
        (true, false) if reference["namespace"].text().is_empty() => {
            let mut source = reference;
            source.remove("namespace");
            spec.set("dataSource", source);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_sources_agree_within_the_namespace() {
        let claim = value!({"kind": "PersistentVolumeClaim", "name": "a"});
        let mut object = value!({"spec": {"dataSource": claim.clone()}});
        share_data_source(&mut object);
        assert_eq!(object["spec"]["dataSourceRef"], claim);
        let mut object = value!({"spec": {"dataSourceRef": claim.clone()}});
        share_data_source(&mut object);
        assert_eq!(object["spec"]["dataSource"], claim);
        let mut object = value!({"spec": {"dataSourceRef": {"name": "a", "namespace": "other"}}});
        share_data_source(&mut object);
        assert!(object["spec"]["dataSource"].is_null());
    }
}
