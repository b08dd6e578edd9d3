//! Ownership through the scale subresource: a Scale has no managedFields of
//! its own, so that who owns its replicas is kept with the object that it
//! scales (upstream's `ScaleHandler`).

use super::entries::{Entries, Identity};
use super::set::Set;
use super::versions::Versions;
use crate::Value;

/// The version in which everybody sees a Scale.
const SCALE: &str = "autoscaling/v1";

fn owned(entry: &Value) -> Set {
    Set::from_fields_v1(&entry["fieldsV1"]).unwrap_or_default()
}

fn replicas_of_scale() -> Set {
    Set::of_fields(&[&["spec", "replicas"]])
}

/// Who owns the replicas of `parent`, at `replicas`, as managedFields of its
/// Scale.
pub fn to_scale(versions: &dyn Versions, parent: &Value, replicas: &[&str]) -> Value {
    let at = Set::of_fields(&[replicas]);
    let entries = parent["metadata"]["managedFields"].items().iter();
    let mut made: Vec<Value> = Vec::new();
    for entry in entries {
        if versions.shape(entry["apiVersion"].text()).is_none() || !owned(entry).intersects(&at) {
            continue;
        }
        let mut entry = entry.clone();
        entry.set("apiVersion", SCALE);
        entry.set("fieldsV1", replicas_of_scale().into_fields_v1());
        made.push(entry);
    }
    if made.is_empty() { Value::Null } else { Value::Array(made) }
}

/// Gives the managedFields of a Scale after a write back to its `parent`, as
/// ones of `api_version`.
pub fn to_parent(
    versions: &dyn Versions,
    parent: &mut Value,
    scale: &Value,
    api_version: &str,
    replicas: &[&str],
) {
    let at = Set::of_fields(&[replicas]);
    let mut left: Vec<&Value> = scale.items().iter().collect();
    let mut entries: Vec<Value> = Vec::new();
    let owner = |entry: &Value| {
        let Identity { manager, operation, api_version: _, subresource } = Identity::of(entry);
        [manager, operation, subresource].map(str::to_owned)
    };
    for entry in parent["metadata"]["managedFields"].items() {
        if versions.shape(entry["apiVersion"].text()).is_none() {
            continue;
        }
        let mut set = owned(entry);
        if !set.intersects(&at) {
            entries.push(entry.clone());
        } else if let Some(found) = left.iter().position(|other| owner(other) == owner(entry)) {
            left.remove(found);
            entries.push(entry.clone());
        } else {
            set.subtract(&at);
            if !set.is_empty() {
                let mut entry = entry.clone();
                entry.set("fieldsV1", set.into_fields_v1());
                entries.push(entry);
            }
        }
    }
    for entry in left {
        if owned(entry).intersects(&replicas_of_scale()) {
            let owner = Identity::of(entry);
            // Upstream forgets the time on the way.
            entries.push(super::entries::new_entry(&owner, api_version, "", at.clone()));
        }
    }
    let mut entries = Entries(entries);
    entries.sort();
    entries.store(parent);
}
