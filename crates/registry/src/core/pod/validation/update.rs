//! What may change in the spec of a pod that is there.

use std::collections::HashSet;

use apimachinery::Value;
use apimachinery::field::{Errors, Path, quote};
use apimachinery::validation::in_range;

use super::annotations::{self, MIRROR};
use crate::rules::{diff, internal};

pub use super::resize::resize;

const FORBIDDEN: &str = "pod updates may not change fields other than `spec.containers[*].image`,\
                         `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only \
                         additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be \
                         set to 1 if it was previously negative)";

/// Everything of a changed pod but its metadata.
pub fn update(pod: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    super::pod::metadata_and_spec(pod, &mut errors);
    unchanged_annotations(pod, old, &mut errors);
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
        let field = path.child("affinity");
        node_affinity(&field.child("nodeAffinity"), &spec["affinity"], &before["affinity"], &mut errors);
        take_node_affinity(&mut munged, before);
    }
    if munged != *before {
        let lines = diff::unified(&internal::of("PodSpec", before), &internal::of("PodSpec", &munged));
        errors.forbidden(&path, &format!("{FORBIDDEN}\n{lines}"));
    }
    errors
}

fn unchanged_annotations(pod: &Value, old: &Value, errors: &mut Errors) {
    let metadata = Path::Root.child("metadata");
    let (own, before) = (&pod["metadata"]["annotations"], &old["metadata"]["annotations"]);
    annotations::unchanged(own, before, &metadata.child("annotations"), errors);
}

/// A pod whose ephemeral containers alone differ: they are valid, and none that
/// was there is gone or another.
pub fn ephemeral_containers(pod: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    if !old["metadata"]["annotations"][MIRROR].is_null() {
        errors.forbidden(&Path::Root.key(""), "static pods do not support ephemeral containers");
        return errors;
    }
    super::pod::metadata_and_spec(pod, &mut errors);
    unchanged_annotations(pod, old, &mut errors);
    let path = Path::Root.child("spec");
    let path = path.child("ephemeralContainers");
    let now = pod["spec"]["ephemeralContainers"].items();
    for before in old["spec"]["ephemeralContainers"].items() {
        let name = before["name"].text();
        let quoted = quote(name);
        match now.iter().find(|container| container["name"].text() == name) {
            None => {
                errors.forbidden(
                    &path,
                    &format!("existing ephemeral containers {quoted} may not be removed\n"),
                );
            }
            Some(container) if container != before => {
                let form = |container: &Value| internal::of("EphemeralContainer", container);
                let lines = diff::unified(&form(before), &form(container));
                let why = format!("existing ephemeral containers {quoted} may not be changed\n{lines}");
                errors.forbidden(&path, &why);
            }
            Some(_) => {}
        }
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
    for field in ["activeDeadlineSeconds", "tolerations", "schedulingGates"] {
        take(&mut munged, before, field);
    }
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
    fn all(spec: &Value) -> HashSet<[&str; 4]> {
        let list = spec["tolerations"].items().iter();
        list.map(|each| ["key", "operator", "value", "effect"].map(|part| each[part].text())).collect()
    }
    if !all(old).is_subset(&all(new)) {
        errors.forbidden(path, "existing toleration can not be modified except its tolerationSeconds");
    }
}

/// Gates may only go.
fn gates(path: &Path<'_>, new: &Value, old: &Value, errors: &mut Errors) {
    let before: HashSet<&str> =
        old["schedulingGates"].items().iter().map(|gate| gate["name"].text()).collect();
    for (at, gate) in new["schedulingGates"].items().iter().enumerate() {
        if !before.contains(gate["name"].text()) {
            let why =
                format!("only deletion is allowed, but found new scheduling gate '{}'", gate["name"].text());
            errors.forbidden(&path.index(at).child("name"), &why);
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

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";

/// A gated pod's affinity to nodes may only become narrower, too.
fn node_affinity(path: &Path<'_>, new: &Value, old: &Value, errors: &mut Errors) {
    let terms = |affinity: &Value| affinity["nodeAffinity"][REQUIRED]["nodeSelectorTerms"].clone();
    let (now, before) = (terms(new), terms(old));
    if before.items().is_empty() {
        return;
    }
    let parent = path.child(REQUIRED);
    let field = parent.child("nodeSelectorTerms");
    let told = |term: &Value| internal::of("NodeSelectorTerm", term);
    if before.items().len() != now.items().len() {
        let shown = match &now {
            Value::Array(terms) => Value::Array(terms.iter().map(told).collect()),
            _ => Value::Null,
        };
        let why = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        errors.invalid(&field, shown, why);
        return;
    }
    for (at, (now, before)) in now.items().iter().zip(before.items()).enumerate() {
        if !only_adds(now, before) {
            let why = "only additions are allowed (no mutations or deletions)";
            errors.invalid(&field.index(at), told(now), why);
        }
    }
}

fn only_adds(now: &Value, before: &Value) -> bool {
    let lists = ["matchExpressions", "matchFields"];
    let empty = |term: &Value| lists.iter().all(|list| term[*list].items().is_empty());
    // A term without requirements matches nothing, and goes on to.
    if empty(before) {
        return empty(now);
    }
    lists.iter().all(|list| now[*list].items().starts_with(before[*list].items()))
}

/// Sets the affinity to nodes to what it was, and leaves no empty shell.
pub fn take_node_affinity(munged: &mut Value, before: &Value) {
    let was = &before["affinity"]["nodeAffinity"];
    match (was.is_null(), munged["affinity"].is_null()) {
        (true, true) => {}
        (true, false) => {
            if let Some(affinity) = munged.get_mut("affinity") {
                affinity.remove("nodeAffinity");
            }
            if before["affinity"].is_null() && crate::rules::is_empty(&munged["affinity"]) {
                munged.remove("affinity");
            }
        }
        (false, _) => munged.set_at(&["affinity", "nodeAffinity"], was.clone()),
    }
}
