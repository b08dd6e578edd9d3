//! Structural schemas as OpenAPI documents show them.

use crate::Value;

const API_VERSION: &str = "APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized schemas to the latest internal value, and may reject unrecognized values. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources";
const KIND: &str = "Kind is a string value representing the REST resource this object represents. Servers may infer this from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds";
const METADATA: &str = "Standard object's metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";
const OBJECT_META: &str = "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// The schema of a kind for OpenAPI v3: as the definition has it, with kind,
/// apiVersion and metadata, at the root and in embedded resources. References
/// are those of v3 documents.
pub fn published_v3(source: &Value) -> Value {
    let mut schema = unfolded(source);
    schema.set("type", "object");
    with_meta(&mut schema);
    sorted(&mut schema);
    schema
}

/// The same for OpenAPI v2, whose clients know neither null, alternatives nor
/// unknown fields: what uses them is left open.
pub fn published_v2(source: &Value) -> Value {
    if source["x-kubernetes-preserve-unknown-fields"].is_true() {
        let mut open = Value::object();
        open.set("type", "object");
        return open;
    }
    let mut schema = unfolded(source);
    plain(&mut schema);
    schema.set("type", "object");
    with_meta(&mut schema);
    sorted(&mut schema);
    schema
}

/// A copy in which integers-or-texts and embedded resources are spelled out.
fn unfolded(source: &Value) -> Value {
    let mut schema = source.clone();
    each_schema(&mut schema, &mut |schema| {
        if schema["x-kubernetes-int-or-string"].is_true() && schema["anyOf"].is_null() {
            let typed = |kind: &str| {
                let mut schema = Value::object();
                schema.set("type", kind);
                schema
            };
            schema.remove("type");
            schema.set("anyOf", vec![typed("integer"), typed("string")]);
        }
        if schema["x-kubernetes-embedded-resource"].is_true() {
            with_meta(schema);
        }
    });
    schema
}

/// Without what OpenAPI v2 does not know.
fn plain(schema: &mut Value) {
    each_schema(schema, &mut |schema| {
        for name in ["allOf", "anyOf", "oneOf", "not"] {
            schema.remove(name);
        }
        let is_open = schema["x-kubernetes-preserve-unknown-fields"].is_true();
        if is_open || schema["nullable"].is_true() {
            for name in ["type", "nullable", "properties", "items", "additionalProperties"] {
                schema.remove(name);
            }
        }
        if schema["x-kubernetes-int-or-string"].is_true() {
            schema.remove("type");
        }
    });
}

fn with_meta(schema: &mut Value) {
    let text = |description: &str| {
        let mut property = Value::object();
        property.set("description", description);
        property.set("type", "string");
        property
    };
    let mut reference = Value::object();
    reference.set("$ref", OBJECT_META);
    let mut metadata = Value::object();
    metadata.set("description", METADATA);
    metadata.set("allOf", vec![reference]);
    let properties = schema.entry("properties");
    if properties.is_null() {
        *properties = Value::object();
    }
    properties.set("apiVersion", text(API_VERSION));
    properties.set("kind", text(KIND));
    properties.set("metadata", metadata);
}

/// Properties in the order of their names.
fn sorted(schema: &mut Value) {
    each_schema(schema, &mut |schema| {
        if let Some(Value::Object(properties)) = schema.get_mut("properties") {
            properties.sort();
        }
    });
}

/// Calls `change` with the schema and every structural one below it, those
/// below first.
fn each_schema(schema: &mut Value, change: &mut dyn FnMut(&mut Value)) {
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.iter_mut().for_each(|(_, property)| each_schema(property, change));
    }
    for name in ["items", "additionalProperties"] {
        if let Some(inner @ Value::Object(_)) = schema.get_mut(name) {
            each_schema(inner, change);
        }
    }
    change(schema);
}
