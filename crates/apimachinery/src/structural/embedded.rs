//! The metadata of resources inside of objects.

use super::{Additional, Schema};
use crate::Value;
use crate::field::{Errors, Path};
use crate::validation::{self, dns1123_label};

/// Checks apiVersion, kind and metadata of every embedded resource, and those
/// of the root where `is_root`.
pub fn validate_embedded(
    value: &Value,
    schema: &Schema,
    is_root: bool,
    path: &Path<'_>,
    errors: &mut Errors,
) {
    match value {
        Value::Object(object) => {
            if is_root || schema.embedded {
                resource(value, path, errors);
            }
            for (name, member) in object.iter() {
                if let Some(property) = schema.property(name) {
                    validate_embedded(member, property, false, &path.child(name), errors);
                } else if let Additional::Schema(inner) = &schema.additional {
                    validate_embedded(member, inner, false, &path.key(name), errors);
                }
            }
        }
        Value::Array(items) => {
            let Some(inner) = &schema.items else { return };
            for (at, item) in items.iter().enumerate() {
                validate_embedded(item, inner, false, &path.index(at), errors);
            }
        }
        _ => {}
    }
}

fn resource(value: &Value, path: &Path<'_>, errors: &mut Errors) {
    let object = value.as_object();
    let has = |name: &str| object.is_some_and(|object| object.contains(name));
    let api_version = value["apiVersion"].text();
    if !has("apiVersion") {
        errors.required(&path.child("apiVersion"), "");
    } else if api_version.matches('/').count() > 1 {
        let why = format!("unexpected GroupVersion string: {api_version}");
        errors.invalid(&path.child("apiVersion"), api_version, &why);
    } else if api_version.is_empty() {
        errors.invalid(&path.child("apiVersion"), "", "must not be empty");
    }
    let kind = value["kind"].text();
    if !has("kind") {
        errors.required(&path.child("kind"), "");
    } else if kind.is_empty() {
        errors.invalid(&path.child("kind"), "", "must not be empty");
    } else {
        let wrong = validation::dns1035_label(&kind.to_lowercase());
        if !wrong.is_empty() {
            let why = format!("may have mixed case, but should otherwise match: {}", wrong.join(","));
            errors.invalid(&path.child("kind"), kind, &why);
        }
    }
    if has("metadata") {
        metadata(&value["metadata"], &path.child("metadata"), errors);
    }
}

/// As of a real object, but nothing is required, and any name goes.
fn metadata(metadata: &Value, path: &Path<'_>, errors: &mut Errors) {
    let namespace = metadata["namespace"].text();
    if !namespace.is_empty() {
        errors.check(&path.child("namespace"), namespace, dns1123_label(namespace));
    }
    validation::meta::labels(&metadata["labels"], &path.child("labels"), errors);
    validation::meta::annotations(&metadata["annotations"], &path.child("annotations"), errors);
    validation::meta::owner_references(&metadata["ownerReferences"], &path.child("ownerReferences"), errors);
}
