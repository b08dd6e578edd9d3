//! From client-side to server-side apply: the annotation in which kubectl
//! keeps what it applied last says which fields `kubectl` may take over
//! without a conflict, and follows what it applies from then on (upstream's
//! `lastAppliedManager` and `lastAppliedUpdater`).

use super::compare::compare;
use super::fields;
use super::set::Set;
use super::shape::Shape;
use super::typed;
use crate::{Value, json};

/// The only manager to whom this applies.
pub(super) const MANAGER: &str = "kubectl";

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Annotations of one object may have this many bytes in all.
const MAX_ANNOTATIONS: usize = 256 * 1024;

fn annotation(object: &Value) -> Option<&str> {
    object["metadata"]["annotations"][ANNOTATION].as_str().filter(|text| !text.is_empty())
}

/// The fields that were applied by a client and are still as they were
/// applied; `None` where there is nothing readable to go by.
pub(super) fn untouched(shape: Shape<'_>, api_version: &str, live: &Value) -> Option<Set> {
    let last = json::parse(annotation(live)?.as_bytes()).ok()?;
    if last["apiVersion"].text() != api_version || typed::check(shape, &last).is_err() {
        return None;
    }
    let mut set = fields::of(shape, &last);
    let found = compare(shape, &last, live).ok()?;
    set.subtract(&found.changed);
    set.subtract(&found.removed);
    Some(set)
}

/// Brings the annotation of `object`, where it has one, up to what `config`
/// applies; one that would be too long goes.
pub(super) fn follow(object: &mut Value, config: &Value) {
    if annotation(object).is_none() {
        return;
    }
    let mut applied = config.clone();
    if let Some(annotations) =
        applied.get_mut("metadata").and_then(|metadata| metadata.get_mut("annotations"))
    {
        annotations.remove(ANNOTATION);
    }
    json::sort_deep(&mut applied);
    let text = json::to_string(&applied) + "\n";
    let annotations = object.entry_at(&["metadata", "annotations"]);
    annotations.set(ANNOTATION, text);
    let size: usize = annotations.members().map(|(key, value)| key.len() + value.text().len()).sum();
    if size > MAX_ANNOTATIONS {
        annotations.remove(ANNOTATION);
    }
}
