//! PersistentVolumeClaim.

use apimachinery::field::{Errors, Path};
use apimachinery::validation::{dns1123_label, dns1123_subdomain, qualified_name};
use apimachinery::{Value, value};
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

use super::persistent_volume::BETA_STORAGE_CLASS;
use super::pod::validation::claim_warnings;
use crate::rules::{diff, internal, resources, selector};

/// Access modes, as messages list them.
pub const ACCESS_MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

/// Modes of volumes, likewise.
pub const VOLUME_MODES: [&str; 2] = ["Block", "Filesystem"];

const SPEC_IS_IMMUTABLE: &str = "spec is immutable after creation except resources.requests and \
                                 volumeAttributesClassName for bound claims";

/// PersistentVolumeClaim.
pub struct PersistentVolumeClaim;

impl Strategy for PersistentVolumeClaim {
    fn prepare_create(&self, _: &Context<'_>, object: &mut Value) {
        object.set("status", value!({"phase": "Pending"}));
        settle_sources(object, &Value::Null);
    }

    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        settle_sources(object, old);
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

    /// What a volume's driver says of its health is a feature that is off.
    fn prepare_status(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        if old["status"]["healthStatus"].is_null()
            && let Some(status) = object.get_mut("status")
        {
            status.remove("healthStatus");
        }
    }

    fn validate_status(&self, _: &Context<'_>, object: &Value, _: &Value) -> Errors {
        validate_status(object)
    }

    fn warnings(&self, context: &Context<'_>, object: &Value, _: Option<&Value>) -> Vec<String> {
        if context.subresource.is_empty() { warnings(object) } else { Vec::new() }
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::storage::claim(object, now)
    }
}

fn warnings(object: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    if !object["metadata"]["annotations"][BETA_STORAGE_CLASS].is_null() {
        let metadata = Path::Root.child("metadata");
        let annotations = metadata.child("annotations");
        warnings.push(format!(
            "{}: deprecated since v1.8; use \"storageClassName\" attribute instead",
            annotations.key(BETA_STORAGE_CLASS)
        ));
    }
    claim_warnings(&object["spec"], &Path::Root.child("spec"), &mut warnings);
    warnings
}

/// A PersistentVolumeClaimSpec at `path`.
pub fn validate_spec(spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    let field = path.child("accessModes");
    if spec["accessModes"].items().is_empty() {
        errors.required(&field, "at least 1 access mode is required");
    }
    selector::validate(&path.child("selector"), &spec["selector"], errors);
    access_modes(&spec["accessModes"], &field, &ACCESS_MODES, errors);
    let (storage, field) = (&spec["resources"]["requests"]["storage"], path.child("resources"));
    let field = field.key("storage");
    if storage.is_null() {
        errors.required(&field, "");
    } else {
        resources::positive(&field, storage, errors);
    }
    let class = spec["storageClassName"].text();
    if !class.is_empty() {
        errors.check(&path.child("storageClassName"), class, dns1123_subdomain(class));
    }
    if let Some(mode) = spec["volumeMode"].as_str() {
        errors.one_of(&path.child("volumeMode"), mode, &VOLUME_MODES);
    }
    data_sources(spec, path, errors);
    let class = spec["volumeAttributesClassName"].text();
    if !class.is_empty() {
        errors.check(&path.child("volumeAttributesClassName"), class, dns1123_subdomain(class));
    }
}

/// Modes of access, one of which stands alone.
pub(super) fn access_modes(modes: &Value, path: &Path<'_>, known: &[&str], errors: &mut Errors) {
    for mode in modes.items() {
        errors.one_of(path, mode.text(), known);
    }
    let alone = |mode: &Value| mode.text() == "ReadWriteOncePod";
    // A mode that is unknown is none of the others.
    let other = |mode: &Value| !alone(mode) && known.contains(&mode.text());
    if modes.items().iter().any(alone) && modes.items().iter().any(other) {
        errors.forbidden(path, "may not use ReadWriteOncePod with other access modes");
    }
}

fn data_sources(spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    for field in ["dataSource", "dataSourceRef"] {
        let source = &spec[field];
        if source.is_null() {
            continue;
        }
        let here = path.child(field);
        for part in ["name", "kind"] {
            crate::rules::required(&here.child(part), &source[part], errors);
        }
        let (group, kind) = (source["apiGroup"].text(), source["kind"].text());
        if group.is_empty() && kind != "PersistentVolumeClaim" {
            let why = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
            errors.invalid(&here, kind, why);
        }
        if !group.is_empty() {
            errors.check(&here.child("apiGroup"), group, dns1123_subdomain(group));
        }
        let namespace = source["namespace"].text();
        if !namespace.is_empty() {
            errors.check(&here.child("namespace"), namespace, dns1123_label(namespace));
        }
    }
    let (source, reference) = (&spec["dataSource"], &spec["dataSourceRef"]);
    if source.is_null() || reference.is_null() {
        return;
    }
    // Upstream gives the path of the field as its value, which shows nothing of itself.
    if !reference["namespace"].text().is_empty() {
        let why = "may not be specified when dataSourceRef.namespace is specified";
        errors.invalid(path, Value::object(), why);
    } else if ["apiGroup", "kind", "name"].iter().any(|part| source[*part].text() != reference[*part].text())
    {
        errors.invalid(path, Value::object(), "must match dataSourceRef");
    }
}

/// A bound claim may ask for more and for another class of attributes; nothing else changes.
fn validate_change(new: &Value, old: &Value, errors: &mut Errors) {
    let (mut munged, mut before) = (new["spec"].clone(), old["spec"].clone());
    // The binder names the volume.
    if before["volumeName"].text().is_empty() {
        crate::changes::keep(&mut before, &munged, "volumeName");
    }
    let class = |object: &Value| object["spec"]["storageClassName"].as_str().map(str::to_owned);
    let annotated =
        |object: &Value| object["metadata"]["annotations"][BETA_STORAGE_CLASS].as_str().map(str::to_owned);
    let (now, was) = (annotated(new), annotated(old));
    let from_nothing = class(old).is_none() && class(new).is_some();
    if from_nothing && was.is_some() && class(new) == was && (now.is_none() || now == was) {
        munged.remove("storageClassName");
    } else {
        if now != was {
            let metadata = Path::Root.child("metadata");
            let annotations = metadata.child("annotations");
            let told = now.unwrap_or_default();
            errors.invalid(&annotations.child(BETA_STORAGE_CLASS), told, "field is immutable");
        }
        if from_nothing && (was.is_none() || class(new) == was) {
            munged.remove("storageClassName");
        }
    }
    if new["status"]["phase"].text() == "Bound" {
        let storage = before["resources"]["requests"]["storage"].clone();
        if munged["resources"]["requests"].as_object().is_some() {
            munged.set_at(&["resources", "requests", "storage"], storage);
        }
        crate::changes::keep(&mut munged, &before, ATTRIBUTES_CLASS);
    }
    let field = Path::Root.child("spec");
    let form = |spec: &Value| internal::of("PersistentVolumeClaimSpec", spec);
    if munged != before {
        let lines = diff::unified(&form(&before), &form(&munged));
        errors.forbidden(&field, &format!("{SPEC_IS_IMMUTABLE}\n{lines}"));
    }
    let asked = |object: &Value| resources::amount(&object["spec"]["resources"]["requests"]["storage"]);
    let given = resources::amount(&old["status"]["capacity"]["storage"]);
    if asked(new) < asked(old) && asked(new) <= given {
        let parent = field.child("resources");
        let requests = parent.child("requests");
        errors.forbidden(&requests.child("storage"), "field can not be less than status.capacity");
    }
    let mode = Path::Root.child("volumeMode");
    errors.immutable(&mode, &new["spec"]["volumeMode"], &old["spec"]["volumeMode"]);
    let (now, was) = (&new["spec"][ATTRIBUTES_CLASS], &old["spec"][ATTRIBUTES_CLASS]);
    // What a volume has been given it does not lose.
    let given = !old["status"]["currentVolumeAttributesClassName"].is_null();
    let what = match now.as_str() {
        None => "nil",
        Some("") => "empty string",
        Some(_) => return,
    };
    if given && now != was {
        let why =
            format!("update to {what} is forbidden when status.currentVolumeAttributesClassName is not nil");
        errors.forbidden(&field.child(ATTRIBUTES_CLASS), &why);
    }
}

const ATTRIBUTES_CLASS: &str = "volumeAttributesClassName";

/// How far the growth of a volume is, as messages list it.
const GROWTH: [&str; 5] = [
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
    "NodeResizePending",
];

fn validate_status(object: &Value) -> Errors {
    let mut errors = Errors::new();
    let (status, path) = (&object["status"], Path::Root.child("status"));
    let field = path.child("capacity");
    for (name, amount) in status["capacity"].members() {
        resources::basic(&field.key(name), amount, &mut errors);
    }
    let field = path.child("allocatedResourceStatuses");
    for (name, state) in status["allocatedResourceStatuses"].members() {
        is_claimed(&field, name, &mut errors);
        if !GROWTH.contains(&state.text()) {
            // Upstream shows whose state it is.
            errors.not_supported(&field, name, &GROWTH);
        }
    }
    let field = path.child("allocatedResources");
    for (name, amount) in status["allocatedResources"].members() {
        if !is_claimed(&field, name, &mut errors) {
            continue;
        }
        let before = errors.len();
        resources::basic(&field.key(name), amount, &mut errors);
        if errors.len() == before {
            resources::value(&field.key(name), "storage", amount, &mut errors);
        }
    }
    errors
}

/// A resource that a claim may have more of: storage, or one of somebody else's domain.
fn is_claimed(path: &Path<'_>, name: &str, errors: &mut Errors) -> bool {
    let wrong = qualified_name(name);
    if !wrong.is_empty() {
        errors.check(path, name, wrong);
        return false;
    }
    let known = name == "storage" || !resources::is_native(name);
    if !known {
        errors.text_not_supported(path, name, &["storage"]);
    }
    known
}

/// Whether `dataSource` can say it: a claim or a snapshot.
fn is_known_source(source: &Value) -> bool {
    matches!(
        (source["apiGroup"].text(), source["kind"].text()),
        ("", "PersistentVolumeClaim") | ("snapshot.storage.k8s.io", "VolumeSnapshot")
    )
}

/// Drops sources that are not served, and makes both fields agree.
fn settle_sources(object: &mut Value, old: &Value) {
    let before = &old["spec"];
    let spec = object.entry("spec");
    // Sources in other namespaces are a feature that is off.
    let namespace = |spec: &Value| !spec["dataSourceRef"]["namespace"].text().is_empty();
    if namespace(spec) && !namespace(before) {
        spec.remove("dataSourceRef");
    }
    let source = &spec["dataSource"];
    if !source.is_null()
        && spec["dataSourceRef"].is_null()
        && before["dataSource"].is_null()
        && !is_known_source(source)
    {
        spec.remove("dataSource");
    }
    share_data_source(object);
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

    #[test]
    fn a_bound_claim_grows_and_stays_what_it_is() {
        let claim = |storage: &str, mode: &str| {
            value!({"metadata": {}, "spec": {
                "accessModes": ["ReadWriteOnce"], "volumeMode": mode, "resources": {"requests": {"storage": storage}}
            }, "status": {"phase": "Bound", "capacity": {"storage": "2Gi"}}})
        };
        let old = claim("4Gi", "Filesystem");
        for (new, count) in [
            (claim("5Gi", "Filesystem"), 0),
            (claim("3Gi", "Filesystem"), 0),
            (claim("2Gi", "Filesystem"), 1),
            (claim("4Gi", "Block"), 2),
        ] {
            let mut errors = Errors::new();
            validate_change(&new, &old, &mut errors);
            assert_eq!(errors.len(), count, "{errors}");
        }
    }

    #[test]
    fn sources_of_a_claim_agree() {
        for (spec, count) in [
            (value!({"dataSource": {"kind": "PersistentVolumeClaim", "name": "a"}}), 0),
            (value!({"dataSource": {"kind": "Other", "name": "a"}}), 1),
            (
                value!({"dataSource": {"kind": "PersistentVolumeClaim", "name": "a"},
                        "dataSourceRef": {"kind": "PersistentVolumeClaim", "name": "b"}}),
                1,
            ),
        ] {
            let mut errors = Errors::new();
            data_sources(&spec, &Path::Root.child("spec"), &mut errors);
            assert_eq!(errors.len(), count, "{errors}");
        }
    }
}
