//! Ownership through the scale subresource: a Scale has no managedFields of
//! its own, so that who owns its replicas is kept with the object that it
//! scales (upstream's `ScaleHandler`).

use super::entries::{Entries, Identity, distinct};
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
    let mut made: Vec<Value> = Vec::new();
    for entry in distinct(parent["metadata"]["managedFields"].items()) {
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
    for entry in distinct(parent["metadata"]["managedFields"].items()) {
        if versions.shape(entry["apiVersion"].text()).is_none() {
            continue;
        }
        let mut set = owned(entry);
        if !set.intersects(&at) {
            entries.push(entry.clone());
        } else if let Some(found) = left.iter().position(|other| Identity::of(other) == Identity::of(entry)) {
            // Only appliers are the same in both versions.
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

#[cfg(test)]
mod tests {
    use super::super::{Shape, Single};
    use super::*;
    use crate::value;

    const REPLICAS: [&str; 2] = ["spec", "replicas"];
    const WORKLOADS: Single<'static> = Single { api_version: "g/v1", shape: Shape::Deduced };

    fn entry(manager: &str, operation: &str, api_version: &str, fields: Value) -> Value {
        value!({"manager": (manager), "operation": (operation), "apiVersion": (api_version), "time": "t",
            "fieldsType": "FieldsV1", "fieldsV1": (fields)})
    }

    fn told(entries: &Value) -> Vec<String> {
        let entries = entries.items().iter();
        entries
            .map(|entry| {
                let mark = if entry["time"].is_null() { "~" } else { "" };
                let fields = crate::json::to_string(&entry["fieldsV1"]);
                let (manager, version) = (entry["manager"].text(), entry["apiVersion"].text());
                format!("{manager}{mark} {version} {fields}")
            })
            .collect()
    }

    /// An applier is the same in both versions and keeps its entry; who updates
    /// is another one there, so that the replicas part from the rest.
    #[test]
    fn replicas_go_there_and_back() {
        let both = value!({"f:spec": {"f:replicas": {}, "f:template": {}}});
        let mut parent = value!({"metadata": {"managedFields": [
            (entry("ann", "Apply", "g/v1", both.clone())), (entry("bob", "Update", "g/v1", both))]}});
        let scale = to_scale(&WORKLOADS, &parent, &REPLICAS);
        let replicas = r#"{"f:spec":{"f:replicas":{}}}"#;
        assert_eq!(told(&scale), ["ann", "bob"].map(|name| format!("{name} autoscaling/v1 {replicas}")));
        to_parent(&WORKLOADS, &mut parent, &scale, "g/v1", &REPLICAS);
        let after = told(&parent["metadata"]["managedFields"]);
        assert_eq!(
            after,
            [
                r#"ann g/v1 {"f:spec":{"f:replicas":{},"f:template":{}}}"#.to_owned(),
                format!("bob~ g/v1 {replicas}"),
                r#"bob g/v1 {"f:spec":{"f:template":{}}}"#.to_owned(),
            ]
        );
        // Of two entries of one owner the last counts, here and in any other write.
        assert_eq!(
            told(&to_scale(&WORKLOADS, &parent, &REPLICAS)),
            [format!("ann autoscaling/v1 {replicas}")]
        );
    }
}
