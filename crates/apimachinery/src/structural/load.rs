//! From a definition's schema (apiextensions/v1 JSONSchemaProps) to nodes.

use super::{Additional, Kind, Limits, ListType, Pattern, Schema, formats};
use crate::Value;

/// Reads a schema that has been checked, or a part of one. What is not
/// structural in it is passed over.
pub fn load(source: &Value) -> Schema {
    let mut properties: Vec<(Box<str>, Schema)> =
        source["properties"].members().map(|(name, schema)| (name.into(), load(schema))).collect();
    properties.sort_by(|(a, _), (b, _)| a.cmp(b));
    Schema {
        kind: Kind::parse(source["type"].text()).unwrap_or_default(),
        nullable: source["nullable"].is_true(),
        int_or_string: source["x-kubernetes-int-or-string"].is_true(),
        preserves_unknown: source["x-kubernetes-preserve-unknown-fields"].is_true(),
        embedded: source["x-kubernetes-embedded-resource"].is_true(),
        properties,
        additional: match &source["additionalProperties"] {
            Value::Bool(allowed) => Additional::Allowed(*allowed),
            Value::Object(_) => Additional::Schema(Box::new(load(&source["additionalProperties"]))),
            _ => Additional::Unsaid,
        },
        items: source["items"].as_object().map(|_| Box::new(load(&source["items"]))),
        default: Some(source["default"].clone()).filter(|default| !default.is_null()),
        list_type: match source["x-kubernetes-list-type"].text() {
            "map" => Some(ListType::Map),
            "set" => Some(ListType::Set),
            "atomic" => Some(ListType::Atomic),
            _ => None,
        },
        list_keys: texts(&source["x-kubernetes-list-map-keys"]),
        atomic: source["x-kubernetes-map-type"].text() == "atomic",
        rules: source["x-kubernetes-validations"].items().to_vec(),
        limits: limits(source).map(Box::new),
    }
}

fn texts(list: &Value) -> Vec<Box<str>> {
    list.items().iter().map(|item| item.text().into()).collect()
}

/// The members that are value validations.
const LIMITS: [&str; 17] = [
    "format",
    "maximum",
    "minimum",
    "multipleOf",
    "maxLength",
    "minLength",
    "pattern",
    "maxItems",
    "minItems",
    "uniqueItems",
    "maxProperties",
    "minProperties",
    "required",
    "enum",
    "allOf",
    "anyOf",
    "oneOf",
];

fn limits(source: &Value) -> Option<Limits> {
    if source["not"].is_null() && LIMITS.iter().all(|name| source[*name].is_null()) {
        return None;
    }
    let all = |name: &str| source[name].items().iter().map(load).collect();
    Some(Limits {
        format: source["format"]
            .as_str()
            .filter(|format| formats::knows_format(source["type"].text(), format))
            .map(Into::into),
        maximum: source["maximum"].as_f64(),
        exclusive_maximum: source["exclusiveMaximum"].is_true(),
        minimum: source["minimum"].as_f64(),
        exclusive_minimum: source["exclusiveMinimum"].is_true(),
        multiple_of: source["multipleOf"].as_f64(),
        max_length: source["maxLength"].as_i64(),
        min_length: source["minLength"].as_i64(),
        pattern: source["pattern"].as_str().filter(|text| !text.is_empty()).map(Pattern::new),
        max_items: source["maxItems"].as_i64(),
        min_items: source["minItems"].as_i64(),
        unique_items: source["uniqueItems"].is_true(),
        max_properties: source["maxProperties"].as_i64(),
        min_properties: source["minProperties"].as_i64(),
        required: texts(&source["required"]),
        values: source["enum"].items().to_vec(),
        all_of: all("allOf"),
        any_of: all("anyOf"),
        one_of: all("oneOf"),
        not: source["not"].as_object().map(|_| Box::new(load(&source["not"]))),
    })
}
