//! What may change in the spec of a pod that is there.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apimachinery::validation::in_range;

use crate::rules::{diff, internal};

const FORBIDDEN: &str = "pod updates may not change fields other than `spec.containers[*].image`,\
                         `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only \
                         additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be \
                         set to 1 if it was previously negative)";

/// Everything of a changed pod but its metadata.
pub fn update(pod: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    super::pod::metadata_and_spec(pod, &mut errors);
    let path = Path::Root.child("spec");
    let (spec, before) = (&pod["spec"], &old["spec"]);
    for list in ["containers", "initContainers"] {
        if !images(&path.child(list), &spec[list], &before[list], &mut errors) {
            return errors;
        }
    }
    if !deadline(&path.child("activeDeadlineSeconds"), spec, before, &mut errors) {
        return errors;
    }
    only_added_tolerations(&path.child("tolerations"), spec, before, &mut errors);
    gates(&path.child("schedulingGates"), spec, before, &mut errors);
    if spec == before {
        return errors;
    }
    let mut munged = munge(spec, before);
    if super::super::is_gated(old) {
        node_selector(&path.child("nodeSelector"), spec, before, &mut errors);
        take(&mut munged, before, "nodeSelector");
        take(&mut munged, before, "affinity");
        take(&mut munged, before, "schedulingGates");
    }
    if munged != *before {
        let lines = diff::unified(&internal::of("PodSpec", before), &internal::of("PodSpec", &munged));
        errors.forbidden(&path, &format!("{FORBIDDEN}\n{lines}"));
    }
    errors
}

/// Sets a field to what it was.
fn take(spec: &mut Value, before: &Value, field: &'static str) {
    crate::changes::keep(spec, before, field);
}

/// The new spec with everything that may change as it was.
fn munge(spec: &Value, before: &Value) -> Value {
    let mut munged = spec.clone();
    for list in ["containers", "initContainers"] {
        for (container, old) in crate::changes::items(&mut munged, list).iter_mut().zip(before[list].items())
        {
            take(container, old, "image");
        }
    }
    take(&mut munged, before, "activeDeadlineSeconds");
    take(&mut munged, before, "tolerations");
    let grace = |spec: &Value| spec["terminationGracePeriodSeconds"].as_i64();
    if grace(before).is_some_and(|seconds| seconds < 0) && grace(&munged) == Some(1) {
        take(&mut munged, before, "terminationGracePeriodSeconds");
    }
    munged
}

/// Images of containers; false where there are other containers than before.
fn images(path: &Path<'_>, new: &Value, old: &Value, errors: &mut Errors) -> bool {
    if new.items().len() != old.items().len() {
        errors.forbidden(path, "pod updates may not add or remove containers");
        return false;
    }
    for (at, container) in new.items().iter().enumerate() {
        let image = container["image"].text();
        let here = path.index(at);
        if image.is_empty() {
            errors.required(&here.child("image"), "");
        }
        if image.trim() != image {
            errors.invalid(&here.child("image"), image, "must not have leading or trailing whitespace");
        }
    }
    true
}

/// A deadline may come, or come closer. False where it did otherwise.
fn deadline(path: &Path<'_>, new: &Value, old: &Value, errors: &mut Errors) -> bool {
    let of = |spec: &Value| spec["activeDeadlineSeconds"].as_i64();
    match (of(new), of(old)) {
        (Some(new), old) => {
            let wrong = in_range(new, 0, i32::MAX.into());
            for why in &wrong {
                errors.invalid(path, new, why);
            }
            if !wrong.is_empty() {
                return false;
            }
            if old.is_some_and(|old| old < new) {
                errors.invalid(path, new, "must be less than or equal to previous value");
                return false;
            }
        }
        (None, Some(_)) => {
            errors.invalid(path, Value::Null, "must not update from a positive integer to nil value");
        }
        (None, None) => {}
    }
    true
}

/// Tolerations may come, and their seconds change; none may go.
fn only_added_tolerations(path: &Path<'_>, new: &Value, old: &Value, errors: &mut Errors) {
    let without_seconds = |toleration: &Value| {
        let mut toleration = toleration.clone();
        toleration.remove("tolerationSeconds");
        toleration
    };
    for before in old["tolerations"].items() {
        let kept = new["tolerations"]
            .items()
            .iter()
            .any(|toleration| without_seconds(toleration) == without_seconds(before));
        if !kept {
            errors.forbidden(path, "existing toleration can not be modified except its tolerationSeconds");
            return;
        }
    }
}

/// Gates may only go.
fn gates(path: &Path<'_>, new: &Value, old: &Value, errors: &mut Errors) {
    let before = old["schedulingGates"].items();
    for (at, gate) in new["schedulingGates"].items().iter().enumerate() {
        if !before.contains(gate) {
            let why =
                format!("only deletion is allowed, but found new scheduling gate '{}'", gate["name"].text());
            errors.forbidden(&path.index(at), &why);
        }
    }
}

/// A gated pod's node selector may only become narrower.
fn node_selector(path: &Path<'_>, new: &Value, old: &Value, errors: &mut Errors) {
    let kept = old["nodeSelector"].members().all(|(key, value)| new["nodeSelector"][key] == *value);
    if !kept {
        let why = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
        errors.invalid(path, new["nodeSelector"].clone(), why);
    }
}
