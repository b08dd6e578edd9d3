//! The metadata of resources inside of objects.

use super::{Additional, Schema};
use crate::Value;
use crate::field::{Errors, Path};
use crate::validation;

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
    let Some(object) = value.as_object() else { return };
    for name in ["apiVersion", "kind"] {
        if !object.contains(name) {
            errors.required(&path.child(name), "");
        }
    }
    for (name, member) in object.iter().filter(|(name, _)| super::is_meta(name)) {
        let here = path.child(name);
        match (name, member) {
            ("metadata", metadata) => self::metadata(metadata, &here, errors),
            (_, Value::String(text)) if text.is_empty() => errors.invalid(&here, "", "must not be empty"),
            ("apiVersion", Value::String(version)) if version.matches('/').count() > 1 => {
                let why = format!("unexpected GroupVersion string: {version}");
                errors.invalid(&here, version.as_str(), &why);
            }
            ("kind", Value::String(kind)) => {
                let wrong = validation::dns1035_label(&kind.to_lowercase());
                if !wrong.is_empty() {
                    let why = format!("may have mixed case, but should otherwise match: {}", wrong.join(","));
                    errors.invalid(&here, kind.as_str(), &why);
                }
            }
            (_, Value::String(_)) => {}
            (_, other) => errors.invalid(&here, other.clone(), "must be a string"),
        }
    }
}

/// As of a real object, but a name is not required, and any that a path can hold goes.
fn metadata(metadata: &Value, path: &Path<'_>, errors: &mut Errors) {
    let rules = validation::meta::Rules {
        namespaced: !metadata["namespace"].text().is_empty(),
        name: validation::path_segment_name,
        known_finalizers: false,
    };
    if !metadata["name"].text().is_empty() {
        validation::meta::validate(metadata, &rules, path, errors);
        return;
    }
    let mut named = metadata.clone();
    named.set("name", "named");
    validation::meta::validate(&named, &rules, path, errors);
}
