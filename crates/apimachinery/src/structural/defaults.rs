//! Defaults of structural schemas.

use super::coerce::coerce_embedded;
use super::{Additional, Schema, prune};
use crate::Value;
use crate::field::Path;
use crate::schema::Types;

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

/// Drops from a root schema's own defaults what the schema does not know, and what
/// object metadata does not have.
pub fn prune_defaults(types: &Types, schema: &mut Schema) {
    let root = schema.any(&|node| node.embedded).then(|| schema.clone());
    Pruner { types, root: root.as_ref() }.prune(schema, &mut Vec::new());
}

struct Pruner<'a> {
    types: &'a Types,
    /// The whole, where it has embedded resources.
    root: Option<&'a Schema>,
}

impl Pruner<'_> {
    fn prune(&self, schema: &mut Schema, way: &mut Vec<Step>) {
        if let Some(mut default) = schema.default.take() {
            schema.default = match self.root {
                Some(root) => self.coerced(root, default, way),
                None => {
                    prune(&mut default, schema, false);
                    Some(default)
                }
            };
        }
        for (name, property) in &mut schema.properties {
            way.push(Step::Member(name.clone()));
            self.prune(property, way);
            way.pop();
        }
        if let Some(items) = &mut schema.items {
            way.push(Step::Item);
            self.prune(items, way);
            way.pop();
        }
        if let Additional::Schema(inner) = &mut schema.additional {
            way.push(Step::Member("*".into()));
            self.prune(inner, way);
            way.pop();
        }
    }

    /// A default as it is within an object that holds nothing else; None where metadata
    /// has no such member. One that cannot be decoded stays.
    fn coerced(&self, root: &Schema, default: Value, way: &[Step]) -> Option<Value> {
        let mut whole = wrapped(default.clone(), way);
        if coerce_embedded(self.types, root, &mut whole, root.embedded, &Path::Root).is_err() {
            return Some(default);
        }
        // What lies in the metadata of a resource is not the schema's to prune.
        prune(&mut whole, root, true);
        way.iter().try_fold(whole, |outer, step| match (step, outer) {
            (Step::Member(name), Value::Object(mut object)) => object.remove(name),
            (Step::Item, Value::Array(items)) => items.into_iter().next(),
            _ => None,
        })
    }
}

/// One step down from a value.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Member(Box<str>),
    Item,
}

/// A value that holds `value` at the end of `way` and nothing else.
pub(super) fn wrapped(value: Value, way: &[Step]) -> Value {
    way.iter().rev().fold(value, |inner, step| match step {
        Step::Member(name) => {
            let mut object = Value::object();
            object.set(name.to_string(), inner);
            object
        }
        Step::Item => Value::Array(vec![inner]),
    })
}
