//! Taking owned paths out of an object (structured-merge-diff's
//! `TypedValue.RemoveItems` and `Set.EnsureNamedFieldsAreMembers`).

use super::element;
use super::set::{self, Set};
use super::shape::{Atomic, Form, Shape};
use crate::schema::ListType;
use crate::{Object, Value};

/// `value` without the paths of `set` and what lies below them. A map or list
/// that loses everything is null.
pub(super) fn without(shape: Shape<'_>, value: &Value, set: &Set) -> Value {
    if set.is_empty() { value.clone() } else { cut(shape, value, set.tree()) }
}

fn cut(shape: Shape<'_>, value: &Value, set: &Object) -> Value {
    match (shape.form(), value) {
        (Form::Scalar(_), _) => value.clone(),
        (Form::Object(Atomic::No) | Form::Deduced, Value::Object(object)) => {
            let mut kept = Object::with_capacity(object.len());
            for (name, value) in object.raw() {
                let shape = shape.member(name).unwrap_or(Shape::Whole);
                match set::child(set, &element::field(name)) {
                    None => kept.push_new(name.clone(), value.clone()),
                    Some(node) if set::is_member(node) => {}
                    Some(node) => kept.push_new(name.clone(), cut(shape, value, node)),
                }
            }
            if kept.is_empty() { Value::Null } else { Value::Object(kept) }
        }
        (Form::List(ListType::Set | ListType::Map), Value::Array(items)) => {
            let mut kept = Vec::with_capacity(items.len());
            for item in items {
                let node = element::of_item(shape, item).ok().and_then(|name| set::child(set, &name));
                match node {
                    None => kept.push(item.clone()),
                    Some(node) if set::is_member(node) => {}
                    Some(node) => kept.push(cut(shape.item(), item, node)),
                }
            }
            if kept.is_empty() { Value::Null } else { Value::Array(kept) }
        }
        (Form::Deduced, Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_)) => value.clone(),
        _ => Value::Null,
    }
}

/// `set` with the structs and maps on the way to its paths, where the schema
/// names them.
pub(super) fn with_named(shape: Shape<'_>, set: &Set) -> Set {
    Set::trusted(named(Some(shape), set.tree()))
}

fn named(shape: Option<Shape<'_>>, set: &Object) -> Object {
    let mut made = Object::with_capacity(set.len());
    for (name, node) in set.raw() {
        let Some(node) = node.as_object() else { continue };
        if name == element::SELF {
            continue;
        }
        let (below, is_named) = match (shape, name.strip_prefix("f:")) {
            (Some(shape), Some(field)) => (shape.member(field), shape.names(field)),
            (Some(shape), None) if name.starts_with("k:") => (Some(shape.item()), false),
            _ => (None, false),
        };
        if let Some(node) = set::node(set::is_member(node) || is_named, named(below, node)) {
            made.push_new(name.clone(), node);
        }
    }
    made
}
