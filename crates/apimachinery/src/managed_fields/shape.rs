//! What ownership must know of a type: how its values split into fields that
//! can be owned apart, and what a value of it may be.
//!
//! A view on a schema, never a copy of it: on the types of the facts, or on the
//! [`Structure`] of a custom resource.

use super::structure::{Members, Structure};
use crate::Value;
use crate::schema::{Field, ListType, Type, TypeId, Types};

/// The type of a value that does not divide (structured-merge-diff's `Scalar`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    String,
    /// Whole or not.
    Number,
    Bool,
    /// Any of them: times, quantities.
    Any,
}

/// How a value divides into owned paths.
#[derive(Clone, Copy, Debug)]
pub enum Shape<'a> {
    /// Any value, owned whole (`__untyped_atomic_`).
    Whole,
    Scalar(Scalar),
    /// A struct: each field by its own shape, or owned whole.
    Struct(&'a Types, TypeId, Atomic),
    /// A map: each value apart, or owned whole.
    Map(&'a Types, Type, Atomic),
    /// A list and, where its type is map, the keys of its items.
    List(&'a Types, Type, ListType, &'a [&'static str]),
    /// No schema: objects divide, everything else is whole
    /// (`__untyped_deduced_`).
    Deduced,
    /// By the structural schema of a custom resource.
    Custom(&'a Types, &'a Structure),
}

/// Whether a struct or map is owned whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Atomic {
    Yes,
    No,
}

/// A shape by what is to be done with its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Whole,
    Deduced,
    Scalar(Scalar),
    Object(Atomic),
    List(ListType),
}

impl<'a> Shape<'a> {
    /// The shape of a built-in kind.
    pub fn of(types: &'a Types, kind: TypeId) -> Self {
        of_type(types, Type::Struct(kind))
    }

    pub(super) fn form(self) -> Form {
        match self {
            Shape::Whole => Form::Whole,
            Shape::Deduced => Form::Deduced,
            Shape::Scalar(scalar) => Form::Scalar(scalar),
            Shape::Struct(_, _, atomic) | Shape::Map(_, _, atomic) => Form::Object(atomic),
            Shape::List(_, _, kind, _) => Form::List(kind),
            Shape::Custom(types, structure) => match structure {
                Structure::Deduced => Form::Deduced,
                Structure::Scalar(scalar) => Form::Scalar(*scalar),
                Structure::BuiltIn(ty) => of_type(types, *ty).form(),
                Structure::List { kind, .. } => Form::List(*kind),
                Structure::Object { atomic, .. } => Form::Object(*atomic),
            },
        }
    }

    /// The shape of the member `name`; `None` where the schema does not allow
    /// such a member.
    pub(super) fn member(self, name: &str) -> Option<Shape<'a>> {
        match self {
            Shape::Struct(types, id, _) => types.get(id).field(name).map(|field| of_field(types, field)),
            Shape::Map(types, value, _) => Some(of_type(types, value)),
            Shape::Deduced => Some(Shape::Deduced),
            Shape::Custom(types, structure) => match structure {
                Structure::BuiltIn(ty) => of_type(types, *ty).member(name),
                Structure::Deduced => Some(Shape::Deduced),
                Structure::Object { fields, members, .. } => match fields.get(name) {
                    Some(field) => Some(Shape::Custom(types, &field.structure)),
                    None => match members {
                        Members::None => None,
                        Members::Any => Some(Shape::Deduced),
                        Members::Of(structure) => Some(Shape::Custom(types, structure)),
                    },
                },
                _ => Some(Shape::Whole),
            },
            _ => Some(Shape::Whole),
        }
    }

    /// Whether a member is written: Go leaves an empty list out where the field
    /// says so, though the object that it decoded may have one.
    pub(super) fn writes(self, name: &str, value: &Value) -> bool {
        match self {
            Shape::Struct(types, id, _) if value.as_array().is_some_and(<[Value]>::is_empty) => {
                types.get(id).field(name).is_none_or(|field| !field.omit_empty)
            }
            _ => true,
        }
    }

    /// Whether the schema names the member, as fields of structs are named and
    /// keys of maps are not.
    pub(super) fn names(self, name: &str) -> bool {
        match self {
            Shape::Struct(types, id, _) => types.get(id).field(name).is_some(),
            Shape::Custom(types, structure) => match structure {
                Structure::BuiltIn(ty) => of_type(types, *ty).names(name),
                Structure::Object { fields, .. } => fields.contains_key(name),
                _ => false,
            },
            _ => false,
        }
    }

    /// The shape of a list's items.
    pub(super) fn item(self) -> Shape<'a> {
        match self {
            Shape::List(types, item, ..) => of_type(types, item),
            Shape::Custom(types, structure) => match structure {
                Structure::BuiltIn(ty) => of_type(types, *ty).item(),
                Structure::List { item, .. } => Shape::Custom(types, item),
                _ => Shape::Whole,
            },
            _ => Shape::Whole,
        }
    }

    /// The keys that tell a list's items apart, in the schema's order.
    pub(super) fn keys(self) -> impl Iterator<Item = &'a str> + Clone {
        let (of_facts, of_structure): (&'a [&'static str], &'a [String]) = match self {
            Shape::List(_, _, _, keys) => (keys, &[]),
            Shape::Custom(_, Structure::List { keys, .. }) => (&[], keys),
            _ => (&[], &[]),
        };
        of_facts.iter().copied().chain(of_structure.iter().map(String::as_str))
    }

    /// The value that a key has where an item of this list leaves it out: the
    /// default that the schema gives to the field.
    pub(super) fn key_default(self, key: &str) -> Option<Value> {
        match self {
            Shape::List(types, Type::Struct(id), ..) => field_default(types, id, key),
            Shape::Custom(_, Structure::List { item, .. }) => match &**item {
                Structure::Object { fields, .. } => fields.get(key).and_then(|field| field.default.clone()),
                _ => None,
            },
            _ => None,
        }
    }
}

fn of_field<'a>(types: &'a Types, field: &'a Field) -> Shape<'a> {
    match field.ty {
        Type::List(item) => {
            let kind = if field.atomic { ListType::Atomic } else { field.list_type };
            Shape::List(types, *item, kind, field.list_keys)
        }
        Type::Struct(id) if field.granular => Shape::Struct(types, id, Atomic::No),
        other if field.atomic => match of_type(types, other) {
            Shape::Struct(types, id, _) => Shape::Struct(types, id, Atomic::Yes),
            Shape::Map(types, value, _) => Shape::Map(types, value, Atomic::Yes),
            other => other,
        },
        other => of_type(types, other),
    }
}

/// As kube-openapi's `schemaconv` makes types of the published schemas: one
/// without a type (quantities, numbers or texts, JSON) is deduced.
fn of_type(types: &Types, ty: Type) -> Shape<'_> {
    match ty {
        Type::String | Type::Bytes | Type::Duration => Shape::Scalar(Scalar::String),
        Type::Bool => Shape::Scalar(Scalar::Bool),
        Type::Int32 | Type::Int64 | Type::Float => Shape::Scalar(Scalar::Number),
        Type::Time | Type::MicroTime | Type::Quantity => Shape::Scalar(Scalar::Any),
        Type::RawExtension => Shape::Whole,
        Type::FieldsV1 | Type::Json | Type::Any | Type::IntOrString | Type::SchemaOr(..) => Shape::Deduced,
        // Nothing is said of its members.
        Type::Struct(id) if types.get(id).fields.is_empty() => Shape::Deduced,
        Type::Struct(id) => {
            Shape::Struct(types, id, if types.get(id).atomic { Atomic::Yes } else { Atomic::No })
        }
        Type::Map(value) => Shape::Map(types, *value, Atomic::No),
        Type::List(item) => Shape::List(types, *item, ListType::Atomic, &[]),
    }
}

/// The `default` that the schema gives to a key: Go's zero value where the
/// field is always written, and what the types say by a marker: `TCP` for the
/// protocol of a port, no name for a reference to an object of the namespace.
fn field_default(types: &Types, item: TypeId, key: &str) -> Option<Value> {
    let item = types.get(item);
    let field = item.field(key)?;
    if key == "protocol" {
        return Some("TCP".into());
    }
    let marked = item.short_name() == "LocalObjectReference";
    if field.pointer || ((field.omit_empty || field.omit_zero) && !marked) {
        return None;
    }
    match field.ty {
        Type::String => Some("".into()),
        Type::Int32 | Type::Int64 => Some(0.into()),
        _ => None,
    }
}
