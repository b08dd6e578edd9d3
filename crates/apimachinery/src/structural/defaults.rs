//! Defaults of structural schemas.

use super::{Additional, Schema, prune};
use crate::Value;

/// Fills in what is absent, or null where null is not allowed. Idempotent.
pub fn default(value: &mut Value, schema: &Schema) {
    match value {
        Value::Object(object) => {
            for (name, property) in &schema.properties {
                let Some(default) = &property.default else { continue };
                let is_absent = match object.get(name) {
                    None => true,
                    Some(member) => member.is_null() && !property.nullable,
                };
                if is_absent {
                    object.insert(name.to_string(), default.clone());
                    object.sort();
                }
            }
            for (name, member) in object.iter_mut() {
                if let Some(property) = schema.property(name) {
                    default(member, property);
                } else if let Additional::Schema(inner) = &schema.additional {
                    fill_null(member, inner);
                    default(member, inner);
                }
            }
        }
        Value::Array(items) => {
            let Some(inner) = &schema.items else { return };
            for item in items {
                fill_null(item, inner);
                default(item, inner);
            }
        }
        _ => {}
    }
}

fn fill_null(value: &mut Value, schema: &Schema) {
    if value.is_null()
        && !schema.nullable
        && let Some(default) = &schema.default
    {
        *value = default.clone();
    }
}

/// Drops from the schema's own defaults what the schema does not know.
pub fn prune_defaults(schema: &mut Schema) {
    if let Some(mut default) = schema.default.take() {
        prune(&mut default, schema, schema.embedded);
        schema.default = Some(default);
    }
    schema.properties.iter_mut().for_each(|(_, property)| prune_defaults(property));
    if let Some(items) = &mut schema.items {
        prune_defaults(items);
    }
    if let Additional::Schema(inner) = &mut schema.additional {
        prune_defaults(inner);
    }
}
