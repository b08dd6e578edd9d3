//! Strategic merge patch: lists merge by the keys that the types declare, and
//! directives in the patch (`$patch`, `$retainKeys`, `$setElementOrder/…`,
//! `$deleteFromPrimitiveList/…`) say what JSON alone cannot.
//!
//! Built-in types only: without a type there is no key to merge by.

mod lists;
mod order;

use std::collections::HashSet;

use super::{Error, go_shape};
use crate::json::Parsed;
use crate::schema::{Field, Type, TypeId, Types};
use crate::{Object, Value, go};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM_PRIMITIVE_LIST: &str = "$deleteFromPrimitiveList";
const SET_ELEMENT_ORDER: &str = "$setElementOrder";

/// Reads the body of an `application/strategic-merge-patch+json` request.
pub fn parse(bytes: &[u8]) -> Result<Parsed, Error> {
    let Parsed { value, problems } = super::parse(bytes)?;
    match value {
        value @ Value::Object(_) => Ok(Parsed { value, problems }),
        Value::Null => Ok(Parsed { value: Value::object(), problems }),
        other => Err(Error::Malformed(format!(
            "json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
            go_shape(&other)
        ))),
    }
}

/// Merges `patch` into `object`, which is canonical and of type `kind`.
pub fn apply(types: &Types, kind: TypeId, object: Value, patch: Value) -> Result<Value, Error> {
    let patch = match patch {
        Value::Object(patch) => patch,
        _ => return Ok(object),
    };
    let object = match object {
        Value::Object(object) => object,
        _ => Object::new(),
    };
    merge_map(Scope { types, at: At::Struct(kind) }, object, patch).map(Value::Object)
}

/// Where in the types a merge is.
#[derive(Clone, Copy)]
struct Scope<'a> {
    types: &'a Types,
    at: At,
}

#[derive(Clone, Copy)]
enum At {
    Struct(TypeId),
    /// A map, whose members have no patch metadata.
    Map,
    /// A type without fields of its own, named as Go names it.
    Opaque(&'static str),
}

/// What a field declares about patches.
#[derive(Clone, Copy)]
struct Meta<'a> {
    scope: Scope<'a>,
    merge: bool,
    replace: bool,
    merge_key: &'static str,
}

impl<'a> Scope<'a> {
    fn name(self) -> &'static str {
        match self.at {
            At::Struct(id) => self.types.get(id).short_name(),
            At::Map => "map",
            At::Opaque(name) => name,
        }
    }

    /// As [`Self::field`], for a field that has to be a list.
    fn list(self, name: &str) -> Result<Meta<'a>, Error> {
        let meta = self.field(name)?;
        let At::Struct(id) = self.at else { return Ok(meta) };
        let field = self.types.get(id).field(name);
        let fits = field.is_none_or(|field| field.pointer || matches!(field.ty, Type::List(_) | Type::Bytes));
        // Upstream names the kind of what the field lies in, which is always this one.
        let refused = || Error::Unmergeable("expected slice or array type, but got: struct".into());
        if fits { Ok(meta) } else { Err(refused()) }
    }

    fn field(self, name: &str) -> Result<Meta<'a>, Error> {
        let field: &Field = match self.at {
            At::Struct(id) => self.types.get(id).field(name),
            At::Map => {
                return Err(Error::Unmergeable(
                    "merging an object in json but data type is not struct, instead is: map".into(),
                ));
            }
            At::Opaque(_) => None,
        }
        .ok_or_else(|| {
            Error::Unmergeable(format!(
                "unable to find api field in struct {} for the json field {name:?}",
                self.name()
            ))
        })?;
        let at = match field.ty {
            Type::Struct(id) | Type::SchemaOr(id, _) => At::Struct(id),
            Type::List(item) => match item.item_struct() {
                Some(id) => At::Struct(id),
                None => At::Opaque(field.json),
            },
            Type::Map(_) => At::Map,
            Type::RawExtension => At::Opaque("RawExtension"),
            Type::FieldsV1 => At::Opaque("FieldsV1"),
            _ => At::Opaque(field.json),
        };
        Ok(Meta {
            scope: Scope { types: self.types, at },
            merge: field.patch_merge,
            replace: field.patch_replace,
            merge_key: field.patch_merge_key,
        })
    }
}

fn merge_map(scope: Scope<'_>, mut object: Object, mut patch: Object) -> Result<Object, Error> {
    if let Some(directive) = patch.get(DIRECTIVE).cloned() {
        return match directive.as_str() {
            Some("replace") => {
                patch.remove(DIRECTIVE);
                Ok(patch)
            }
            Some("delete") => Ok(Object::new()),
            _ => Err(bad_directive(&directive, &patch)),
        };
    }
    retain_keys(&mut object, &mut patch)?;
    order::apply(scope, &mut object, &mut patch)?;
    let mut gone = HashSet::new();
    for (name, change) in patch {
        merge_member(scope, &mut object, &name, change, &mut gone)?;
    }
    if !gone.is_empty() {
        object.retain(|name, _| !gone.contains(name));
    }
    Ok(object)
}

/// `gone` are members that shall be removed in the end, all at once.
fn merge_member(
    scope: Scope<'_>,
    object: &mut Object,
    name: &str,
    change: Value,
    gone: &mut HashSet<String>,
) -> Result<(), Error> {
    let deletes = name.starts_with(DELETE_FROM_PRIMITIVE_LIST);
    let name = if deletes {
        target_of(name, DELETE_FROM_PRIMITIVE_LIST)
            .ok_or_else(|| Error::Malformed("invalid patch format of primitive list".into()))?
    } else {
        name
    };
    if change.is_null() {
        gone.insert(name.to_owned());
        return Ok(());
    }
    if gone.remove(name) {
        object.remove(name);
    }
    let merged = match (object.get_mut(name), change) {
        (Some(Value::Object(before)), Value::Object(change)) => {
            let meta = scope.field(name)?;
            if meta.replace {
                Value::Object(change)
            } else {
                Value::Object(merge_map(meta.scope, std::mem::take(before), change)?)
            }
        }
        (Some(Value::Array(before)), Value::Array(change)) => {
            let meta = scope.list(name)?;
            Value::Array(lists::merge_or_replace(meta, std::mem::take(before), change, deletes)?)
        }
        // Nothing there, or something else: the patch's value stands for itself.
        (_, _) if deletes => return Ok(()),
        (Some(before), change) if std::mem::discriminant(before) == std::mem::discriminant(&change) => change,
        (_, change) => match without_directives(change, Nulls::Go) {
            Some(change) => change,
            None => {
                gone.insert(name.to_owned());
                return Ok(());
            }
        },
    };
    object.insert(name.to_owned(), merged);
    Ok(())
}

/// The field behind `$directive/field`.
fn target_of<'a>(name: &'a str, directive: &str) -> Option<&'a str> {
    name.strip_prefix(directive)?.strip_prefix('/')
}

/// `$retainKeys`: the members that the object may keep.
fn retain_keys(object: &mut Object, patch: &mut Object) -> Result<(), Error> {
    let Some(keys) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let malformed = || Error::Malformed("invalid patch format of retainKeys".into());
    let keys = keys.as_array().ok_or_else(malformed)?;
    let keys: HashSet<&str> = keys.iter().filter_map(Value::as_str).collect();
    let kept = |name: &str| keys.contains(name);
    for (name, value) in patch.iter() {
        let directive = name.starts_with(DELETE_FROM_PRIMITIVE_LIST) || name.starts_with(SET_ELEMENT_ORDER);
        if !value.is_null() && !directive && !kept(name) {
            return Err(malformed());
        }
    }
    object.retain(|name, _| kept(name));
    Ok(())
}

/// What becomes of nulls in objects that meet nothing to merge with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Nulls {
    Go,
    Stay,
}

/// A value that meets nothing to merge with: without the objects that hold a
/// `$patch`, of whatever sort; nothing where it is one itself. Other directives
/// stay and are unknown fields later.
fn without_directives(value: Value, nulls: Nulls) -> Option<Value> {
    match value {
        Value::Object(members) => {
            if members.contains(DIRECTIVE) {
                return None;
            }
            let mut kept = Object::with_capacity(members.len());
            for (name, value) in members {
                if value.is_null() && nulls == Nulls::Go {
                    continue;
                }
                if let Some(value) = without_directives(value, nulls) {
                    kept.push_new(name, value);
                }
            }
            Some(Value::Object(kept))
        }
        Value::Array(items) => {
            let kept = items.into_iter().filter_map(|item| without_directives(item, nulls));
            Some(Value::Array(kept.collect()))
        }
        other => Some(other),
    }
}

fn bad_directive(directive: &Value, patch: &Object) -> Error {
    Error::Unmergeable(format!("unknown patch type: {} in map: {}", go::text(directive), go_print_map(patch)))
}

/// The refusal of a value whose Go type is not `expected`.
fn bad_type(expected: &str, value: &Value) -> Error {
    let found = match value {
        Value::Null => "%!s(<nil>)",
        other => go::type_of(other),
    };
    Error::Unmergeable(format!("expected a {expected}, but received a {found}"))
}

const LIST: &str = "[]interface {}";

fn no_merge_key(item: &Object, key: &str) -> Error {
    Error::Unmergeable(format!("map: {} does not contain declared merge key: {key}", go_print_map(item)))
}

fn go_print_map(members: &Object) -> String {
    go::plain(&Value::Object(members.clone()))
}

#[cfg(test)]
mod tests;
