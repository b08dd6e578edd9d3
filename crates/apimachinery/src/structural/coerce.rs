//! What a tree loses on its way in: unknown fields, nulls that mean nothing,
//! and what object metadata does not have.

use super::{Additional, Schema, is_meta};
use crate::field::{Errors, Path};
use crate::json::{DecodeError, sort_deep};
use crate::schema::{self, Strictness, TypeId, Types};
use crate::{Object, Value};

/// Brings a whole object of the schema into its form: metadata and the
/// metadata of embedded resources as Go would decode them, unknown fields
/// and meaningless nulls gone. Gives `unknown field "spec.a"` for each field
/// that went, where `strictness` asks for it, in upstream's order.
///
/// # Errors
/// Metadata of a wrong type.
pub fn coerce(
    types: &Types,
    schema: &Schema,
    object: &mut Value,
    strictness: Strictness,
) -> Result<Vec<String>, DecodeError> {
    let Some(meta) = types.object_meta() else {
        return Err(DecodeError::Type("the facts have no ObjectMeta".into()));
    };
    let mut coercer = Coercer { types, meta, strictness, problems: Vec::new() };
    coercer.metadata(object, &Path::Root)?;
    let mut unknown = (strictness == Strictness::Report).then(Vec::new);
    prune_root(object, schema, &mut unknown);
    coercer.problems.extend(unknown.unwrap_or_default());
    drop_nulls(object, Some(schema));
    if schema.any(&|node| node.embedded) {
        let told = |errors: Errors| DecodeError::Type(errors.to_string());
        coercer.embedded(object, schema, schema.embedded, &Path::Root).map_err(told)?;
    }
    Ok(coercer.problems)
}

struct Coercer<'a> {
    types: &'a Types,
    meta: TypeId,
    strictness: Strictness,
    problems: Vec<String>,
}

impl Coercer<'_> {
    /// Decodes the metadata below `object` as Go does.
    fn metadata(&mut self, object: &mut Value, path: &Path<'_>) -> Result<(), DecodeError> {
        let Some(metadata) = object.get_mut("metadata") else { return Ok(()) };
        let found = schema::normalize(self.types, self.meta, metadata, self.strictness)?;
        let place = path.child("metadata");
        for problem in found {
            self.problems.push(match problem.split_once('"') {
                Some((what, field)) => format!("{what}\"{place}.{field}"),
                None => problem,
            });
        }
        if let Value::Object(metadata) = metadata
            && metadata.get("creationTimestamp").is_some_and(Value::is_null)
        {
            metadata.remove("creationTimestamp");
        }
        sort_deep(metadata);
        Ok(())
    }

    /// The same for every embedded resource, and for `value` where `is_resource`.
    fn embedded(
        &mut self,
        value: &mut Value,
        schema: &Schema,
        is_resource: bool,
        path: &Path<'_>,
    ) -> Result<(), Errors> {
        match value {
            Value::Object(_) => {
                if is_resource {
                    for name in ["apiVersion", "kind"] {
                        let member = value.get(name);
                        if !member.is_null() && member.as_str().is_none() {
                            let mut errors = Errors::new();
                            errors.invalid(&path.child(name), member.clone(), "must be a string");
                            return Err(errors);
                        }
                    }
                    let sent = value["metadata"].clone();
                    if let Err(error) = self.metadata(value, path) {
                        let mut errors = Errors::new();
                        errors.invalid(&path.child("metadata"), sent, &error.to_string());
                        return Err(errors);
                    }
                }
                let Value::Object(object) = value else { return Ok(()) };
                for (name, member) in object.iter_mut() {
                    let Some(inner) = schema.member(name) else { continue };
                    let place = match schema.property(name) {
                        Some(_) => path.child(name),
                        None => path.key(name),
                    };
                    self.embedded(member, inner, inner.embedded, &place)?;
                }
            }
            Value::Array(items) => {
                let Some(inner) = &schema.items else { return Ok(()) };
                for (at, item) in items.iter_mut().enumerate() {
                    self.embedded(item, inner, inner.embedded, &path.index(at))?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Decodes the metadata of every embedded resource in `value`, and its own where
/// `is_resource`, as Go does: what it does not know goes. `path` is that of `value`.
///
/// # Errors
/// What is of a wrong type, and where.
pub(super) fn coerce_embedded(
    types: &Types,
    schema: &Schema,
    value: &mut Value,
    is_resource: bool,
    path: &Path<'_>,
) -> Result<(), Errors> {
    let Some(meta) = types.object_meta() else { return Ok(()) };
    let mut coercer = Coercer { types, meta, strictness: Strictness::Ignore, problems: Vec::new() };
    coercer.embedded(value, schema, is_resource, path)
}

/// Removes what the schema does not know; `is_root` leaves apiVersion, kind
/// and metadata alone.
pub fn prune(value: &mut Value, schema: &Schema, is_root: bool) {
    if is_root {
        prune_root(value, schema, &mut None);
    } else {
        prune_value(value, Some(schema), &Path::Root, &mut None);
    }
}

fn prune_root(value: &mut Value, schema: &Schema, unknown: &mut Option<Vec<String>>) {
    if let Value::Object(object) = value {
        prune_members(object, schema, true, &Path::Root, unknown);
    }
    if let Some(unknown) = unknown {
        unknown.sort();
        unknown.dedup();
        for path in unknown.iter_mut() {
            *path = format!("unknown field {path:?}");
        }
    }
}

fn prune_value(
    value: &mut Value,
    schema: Option<&Schema>,
    path: &Path<'_>,
    unknown: &mut Option<Vec<String>>,
) {
    match value {
        Value::Object(object) => match schema {
            Some(schema) => prune_members(object, schema, schema.embedded, path, unknown),
            None => object.retain(|name, _| {
                note(&path.child(name), unknown);
                false
            }),
        },
        Value::Array(items) => {
            let inner = schema.and_then(|schema| schema.items.as_deref());
            // What keeps unknown fields keeps those of its items, too.
            if inner.is_none() && schema.is_some_and(|schema| schema.preserves_unknown) {
                return;
            }
            for (at, item) in items.iter_mut().enumerate() {
                prune_value(item, inner, &path.index(at), unknown);
            }
        }
        _ => {}
    }
}

fn prune_members(
    object: &mut Object,
    schema: &Schema,
    has_meta: bool,
    path: &Path<'_>,
    unknown: &mut Option<Vec<String>>,
) {
    object.retain(|name, member| {
        if has_meta && is_meta(name) {
            return true;
        }
        if let Some(property) = schema.property(name) {
            prune_value(member, Some(property), &path.child(name), unknown);
            return true;
        }
        match &schema.additional {
            Additional::Schema(inner) => {
                prune_value(member, Some(inner), &path.child(name), unknown);
                true
            }
            _ if schema.preserves_unknown => true,
            Additional::Allowed(_) => {
                prune_value(member, None, &path.child(name), unknown);
                true
            }
            Additional::Unsaid => {
                note(&path.child(name), unknown);
                false
            }
        }
    });
}

fn note(path: &Path<'_>, unknown: &mut Option<Vec<String>>) {
    if let Some(unknown) = unknown {
        unknown.push(path.to_string());
    }
}

/// Removes nulls where the schema allows none.
fn drop_nulls(value: &mut Value, schema: Option<&Schema>) {
    match value {
        Value::Object(object) => object.retain(|name, member| {
            let inner = schema.and_then(|schema| schema.member(name));
            if member.is_null() {
                return inner.is_none_or(|inner| inner.nullable);
            }
            if inner.is_some() {
                drop_nulls(member, inner);
            }
            true
        }),
        Value::Array(items) => {
            let inner = schema.and_then(|schema| schema.items.as_deref());
            if inner.is_some() {
                items.iter_mut().for_each(|item| drop_nulls(item, inner));
            }
        }
        _ => {}
    }
}
