//! Reading and writing `metadata` (meta/v1 ObjectMeta) on a tree.
//!
//! Accessors only: what may be set when is the registry's matter.

use crate::Value;

/// `metadata.name`, or "".
pub fn name(object: &Value) -> &str {
    object["metadata"]["name"].text()
}

/// `metadata.namespace`, or "".
pub fn namespace(object: &Value) -> &str {
    object["metadata"]["namespace"].text()
}

/// `metadata.uid`, or "".
pub fn uid(object: &Value) -> &str {
    object["metadata"]["uid"].text()
}

/// `metadata.resourceVersion`, or "".
pub fn resource_version(object: &Value) -> &str {
    object["metadata"]["resourceVersion"].text()
}

/// `metadata.generation`, or 0.
pub fn generation(object: &Value) -> i64 {
    object["metadata"]["generation"].as_i64().unwrap_or(0)
}

/// Whether deletion was asked for (`metadata.deletionTimestamp` is set).
pub fn is_terminating(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

/// `metadata.labels` as pairs, in their order.
pub fn labels(object: &Value) -> impl Iterator<Item = (&str, &str)> {
    object["metadata"]["labels"].members().map(|(key, value)| (key, value.text()))
}

/// The label `key`, where there is one.
pub fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object["metadata"]["labels"][key].as_str()
}

/// The annotation `key`, where there is one.
pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object["metadata"]["annotations"][key].as_str()
}

/// `metadata.finalizers`.
pub fn finalizers(object: &Value) -> impl Iterator<Item = &str> {
    object["metadata"]["finalizers"].items().iter().map(Value::text)
}

/// The owner reference with `controller: true`, where there is one.
pub fn controller(object: &Value) -> Option<&Value> {
    object["metadata"]["ownerReferences"].items().iter().find(|owner| owner["controller"].is_true())
}
