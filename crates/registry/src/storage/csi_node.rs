//! CSINode: the drivers of a node.

use std::collections::HashSet;

use apimachinery::field::{Errors, Path};
use apimachinery::validation::qualified_name;
use apimachinery::{Value, value};
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

use crate::changes::drop_unless_used;
use crate::names;

/// The longest name that a driver may give a node, in bytes.
const NODE_ID_MAX: usize = 256;

/// The health of volumes (CSIVolumeHealth) is off.
const HEALTH: &[&str] = &["status", "storageHealth"];

/// CSINode.
pub struct CsiNode;

impl Strategy for CsiNode {
    fn reset_fields(&self, subresource: &str) -> &'static [&'static [&'static str]] {
        crate::changes::metadata_of_status(subresource)
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn prepare_create(&self, _: &Context<'_>, object: &mut Value) {
        drop_unless_used(object, &Value::Null, HEALTH);
    }

    fn prepare_status(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        crate::changes::keep_metadata(object, old);
        drop_unless_used(object, old, HEALTH);
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        validate(object)
    }

    /// Of a driver that stays, only what can be allocated may change.
    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = validate(object);
        let spec = Path::Root.child("spec");
        for before in old["spec"]["drivers"].items() {
            for now in object["spec"]["drivers"].items() {
                if now["name"] == before["name"] && told(now) != told(before) {
                    errors.invalid(&spec.child("drivers"), told(now), "field is immutable");
                }
            }
        }
        errors
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::storage::csi_node(object, now)
    }
}

/// A driver without what may change, as upstream's internal type writes it.
fn told(driver: &Value) -> Value {
    let keys = &driver["topologyKeys"];
    value!({
        "Name": driver["name"].text(),
        "NodeID": driver["nodeID"].text(),
        "TopologyKeys": if keys.items().is_empty() { Value::Null } else { keys.clone() },
        "Allocatable": Value::Null
    })
}

fn validate(object: &Value) -> Errors {
    let mut errors = Errors::new();
    let spec = Path::Root.child("spec");
    let drivers = spec.child("drivers");
    let mut names: Vec<&str> = Vec::new();
    for (at, each) in object["spec"]["drivers"].items().iter().enumerate() {
        driver(each, &mut names, &drivers.index(at), &mut errors);
    }
    errors
}

fn driver<'a>(driver: &'a Value, names: &mut Vec<&'a str>, path: &Path<'_>, errors: &mut Errors) {
    let name = driver["name"].text();
    names::driver(&path.child("name"), name, errors);
    let id = driver["nodeID"].text();
    if id.is_empty() {
        errors.required(&path.child("nodeID"), "");
    }
    if id.len() > NODE_ID_MAX {
        errors.invalid(&path.child("nodeID"), id, &format!("must be {NODE_ID_MAX} characters or less"));
    }
    let count = &driver["allocatable"]["count"];
    crate::rules::non_negative(&path.child("allocatable").child("count"), count, errors);
    if names.contains(&name) {
        errors.duplicate(&path.child("name"), name);
    }
    names.push(name);
    let mut keys: HashSet<&str> = HashSet::new();
    for key in driver["topologyKeys"].items().iter().map(Value::text) {
        if key.is_empty() {
            errors.required(path, "");
        }
        if keys.contains(&key) {
            errors.duplicate(path, key);
        }
        keys.insert(key);
        errors.check(path, key, qualified_name(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_are_named_once_and_know_their_node() {
        let node = |drivers: Value| validate(&value!({"spec": {"drivers": drivers}}));
        for (drivers, expected) in [
            (value!([{"name": "a", "nodeID": "x", "topologyKeys": ["zone"]}]), ""),
            (
                value!([{"name": "a", "nodeID": "x", "topologyKeys": ["z", "z"]}]),
                "spec.drivers[0]: Duplicate value: \"z\"",
            ),
            (value!([{"name": "a"}]), "spec.drivers[0].nodeID: Required value"),
        ] {
            assert_eq!(node(drivers).iter().map(ToString::to_string).collect::<String>(), expected);
        }
    }
}
