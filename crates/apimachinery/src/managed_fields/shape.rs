//! What ownership must know of a type: how its values split into fields that
//! can be owned apart.
//!
//! A view on the schema, never a copy of it.

use crate::Value;
use crate::schema::{Field, ListType, Type, TypeId, Types};

/// How a value divides into owned paths.
#[derive(Clone, Copy, Debug)]
pub enum Shape<'a> {
    /// Owned whole: scalars, atomic lists, maps and structs.
    Whole,
    /// A struct: each field by its own shape.
    Struct(&'a Types, TypeId),
    /// A map: each value apart.
    Map(&'a Types, Type),
    /// A list of scalars without order: each item apart.
    Set,
    /// A list of objects told apart by keys.
    Keyed(&'a Types, Type, &'a [&'static str]),
    /// No schema: objects divide, everything else is whole (structured-merge-diff's
    /// deduced type).
    Deduced,
}

impl<'a> Shape<'a> {
    /// The shape of a built-in kind.
    pub fn of(types: &'a Types, kind: TypeId) -> Self {
        Shape::Struct(types, kind)
    }

    /// The shape of the member `name`; `None` where a struct has no such field.
    pub(super) fn member(self, name: &str) -> Option<Shape<'a>> {
        match self {
            Shape::Struct(types, id) => types.get(id).field(name).map(|field| of_field(types, field)),
            Shape::Map(types, value) => Some(of_type(types, value)),
            Shape::Deduced => Some(Shape::Deduced),
            _ => Some(Shape::Whole),
        }
    }

    /// The shape of a list's items.
    pub(super) fn item(self) -> Shape<'a> {
        match self {
            Shape::Keyed(types, item, _) => of_type(types, item),
            _ => Shape::Whole,
        }
    }
}

fn of_field<'a>(types: &'a Types, field: &'a Field) -> Shape<'a> {
    match field.ty {
        _ if field.atomic => Shape::Whole,
        Type::List(item) => match field.list_type {
            ListType::Atomic => Shape::Whole,
            ListType::Set => Shape::Set,
            ListType::Map => Shape::Keyed(types, *item, field.list_keys),
        },
        other => of_type(types, other),
    }
}

fn of_type(types: &Types, ty: Type) -> Shape<'_> {
    match ty {
        Type::Struct(id) if types.get(id).atomic => Shape::Whole,
        Type::Struct(id) => Shape::Struct(types, id),
        Type::Map(value) => Shape::Map(types, *value),
        _ => Shape::Whole,
    }
}

/// The value that a list's key has where an item leaves it out.
///
/// OpenAPI gives a default to one key of built-in lists only: the protocol of
/// a port.
pub(super) fn key_default(key: &str) -> Option<Value> {
    (key == "protocol").then(|| Value::from("TCP"))
}
