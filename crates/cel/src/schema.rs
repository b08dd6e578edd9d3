//! Types of structural schemas (apiserver/pkg/cel/common.SchemaDeclType).

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::Value;

use crate::sizes::DATE;
use crate::types::{FieldType, ListKind, ListType, ObjectType, Type, escape};

/// The longest request that is served, in bytes: nothing in it is larger.
pub(crate) const MAX_REQUEST: u64 = 3 * 1024 * 1024;
/// What the type of a schema is called: upstream makes a new name each time.
const NAME: &str = "selfType0";

/// The type of values under `schema` (OpenAPI v3 as a tree), or None where
/// expressions cannot see them. `is_root`: of a resource, whose kind,
/// apiVersion and metadata are there whatever the schema says.
pub fn type_of(schema: &Value, is_root: bool) -> Option<Type> {
    of(schema, is_root, NAME)
}

fn of(schema: &Value, is_root: bool, name: &str) -> Option<Type> {
    if schema["x-kubernetes-int-or-string"].is_true() {
        return Some(Type::Dyn);
    }
    match schema["type"].text() {
        "array" => {
            let items = &schema["items"];
            let element = of(items, is_embedded(items), &format!("{name}.@idx"))?;
            let kind = match schema["x-kubernetes-list-type"].text() {
                "set" => ListKind::Set,
                "map" => ListKind::Map(
                    schema["x-kubernetes-list-map-keys"]
                        .items()
                        .iter()
                        .map(|key| key.text().to_owned())
                        .collect(),
                ),
                _ => ListKind::Atomic,
            };
            Some(Type::List(Arc::new(ListType { element, kind })))
        }
        "object" => {
            let values = &schema["additionalProperties"];
            if values.as_object().is_some() {
                let value = of(values, is_embedded(values), &format!("{name}.@elem"))?;
                return Some(Type::map(Type::String, value));
            }
            let mut fields = BTreeMap::new();
            for (member, property) in schema["properties"].members() {
                let Some(field) = escape(member) else { continue };
                let Some(ty) = of(property, is_embedded(property), &format!("{name}.{member}")) else {
                    continue;
                };
                fields.insert(field, FieldType { member: member.to_owned(), ty });
            }
            if (is_root || is_embedded(schema)) && !declares_resource(schema) {
                add_resource_fields(&mut fields, name);
            }
            Some(Type::Object(Arc::new(ObjectType { name: name.to_owned(), fields })))
        }
        "string" => Some(match schema["format"].text() {
            "byte" => Type::Bytes,
            "duration" => Type::Duration,
            "date" | "date-time" => Type::Timestamp,
            _ => Type::String,
        }),
        "boolean" => Some(Type::Bool),
        "number" => Some(Type::Double),
        "integer" => Some(Type::Int),
        _ => None,
    }
}

pub(crate) fn is_embedded(schema: &Value) -> bool {
    schema["x-kubernetes-embedded-resource"].is_true()
}

/// What the least value under `schema` takes in JSON, in bytes.
pub fn smallest(schema: &Value) -> u64 {
    if schema["x-kubernetes-int-or-string"].is_true() {
        return 1;
    }
    match schema["type"].text() {
        "boolean" => 4,
        "number" | "integer" => 1,
        "string" => match schema["format"].text() {
            "duration" => 3,
            "date" => DATE,
            "date-time" => 21,
            _ => 2,
        },
        "array" => 2,
        "object" => {
            let required = schema["required"].items().iter().filter_map(|name| {
                let property = schema["properties"].as_object()?.get(name.text())?;
                // Quotes, the colon and a comma; a defaulted member need not be sent.
                property["default"].is_null().then(|| name.text().len() as u64 + smallest(property) + 4)
            });
            2 + required.sum::<u64>()
        }
        _ => 2,
    }
}

/// Whether the schema itself says all that expressions see of a resource's metadata.
pub(crate) fn declares_resource(schema: &Value) -> bool {
    let properties = &schema["properties"];
    let metadata = &properties["metadata"];
    let is = |schema: &Value, kind: &str| schema["type"].text() == kind;
    is(&properties["kind"], "string")
        && is(&properties["apiVersion"], "string")
        && is(metadata, "object")
        && ["name", "generateName"].iter().all(|name| is(&metadata["properties"][*name], "string"))
}

fn add_resource_fields(fields: &mut BTreeMap<String, FieldType>, name: &str) {
    let field = |member: &str, ty: Type| FieldType { member: member.to_owned(), ty };
    fields.insert("apiVersion".into(), field("apiVersion", Type::String));
    fields.insert("kind".into(), field("kind", Type::String));
    let metadata =
        Type::object(&format!("{name}.metadata"), [("name", Type::String), ("generateName", Type::String)]);
    fields.insert("metadata".into(), field("metadata", metadata));
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn schemas_become_types() {
        let schema = value!({"type": "object", "properties": {
            "namespace": {"type": "string", "maxLength": 5},
            "when": {"type": "string", "format": "date-time"},
            "port": {"x-kubernetes-int-or-string": true},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "any": {"x-kubernetes-preserve-unknown-fields": true}
        }});
        let Some(Type::Object(object)) = type_of(&schema, true) else { panic!("an object") };
        let names: Vec<(&str, String)> =
            object.fields.iter().map(|(name, field)| (name.as_str(), field.ty.to_string())).collect();
        assert_eq!(
            names,
            [
                ("__namespace__", "string".to_owned()),
                ("apiVersion", "string".to_owned()),
                ("kind", "string".to_owned()),
                ("labels", "map(string, string)".to_owned()),
                ("metadata", "selfType0.metadata".to_owned()),
                ("port", "dyn".to_owned()),
                ("when", "timestamp".to_owned()),
            ]
        );
    }
}
