//! Schemas: which kind each describes, what each refers to, and their form in
//! OpenAPI v2.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

pub const V3: &str = "#/components/schemas/";
pub const V2: &str = "#/definitions/";

pub fn kinds(schemas: &BTreeMap<String, Value>) -> BTreeMap<(String, String, String), String> {
    let mut kinds = BTreeMap::new();
    for (name, schema) in schemas {
        for kind in schema["x-kubernetes-group-version-kind"].as_array().into_iter().flatten() {
            let text = |member: &str| kind[member].as_str().unwrap_or_default().to_owned();
            kinds.insert((text("group"), text("version"), text("kind")), name.clone());
        }
    }
    kinds
}

/// The schemas that `value` refers to, and those that they refer to.
pub fn reachable(value: &Value, schemas: &BTreeMap<String, Value>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(members) => {
                if let Some(name) =
                    members.get("$ref").and_then(Value::as_str).and_then(|to| to.strip_prefix(V3))
                    && found.insert(name.to_owned())
                {
                    open.extend(schemas.get(name));
                }
                open.extend(members.values());
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    found
}

/// A v3 schema as v2 writes it: references bare, no default, nothing nullable,
/// types of several forms by their first.
pub fn to_v2(schema: &Value) -> Value {
    match schema {
        Value::Object(members) => {
            let mut out = Map::new();
            for (key, value) in members {
                match (key.as_str(), value) {
                    ("allOf", Value::Array(parts)) if parts.len() == 1 => {
                        if let Value::Object(inner) = to_v2(&parts[0]) {
                            out.extend(inner);
                        }
                    }
                    ("$ref", Value::String(to)) => {
                        out.insert(key.clone(), to.replace(V3, V2).into());
                    }
                    ("oneOf", _) => {
                        out.insert("type".into(), "string".into());
                    }
                    ("default" | "nullable", _) => {}
                    ("properties", Value::Object(properties)) => {
                        let properties =
                            properties.iter().map(|(name, property)| (name.clone(), to_v2(property)));
                        out.insert(key.clone(), Value::Object(properties.collect()));
                    }
                    _ => {
                        out.insert(key.clone(), to_v2(value));
                    }
                }
            }
            Value::Object(out)
        }
        Value::Array(items) => Value::Array(items.iter().map(to_v2).collect()),
        other => other.clone(),
    }
}
