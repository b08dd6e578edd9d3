//! The engine's rules on a tree: what Go's decode and encode would make of it.
//!
//! [`normalize`] is idempotent, and leaves alone what `decode_json` made.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::context::{Context, Step};
use super::decode::{describe, item_type};
use super::scalar::{canonical, canonical_base64};
use super::{Field, Or, Strictness, Struct, Type, TypeId, Types};
use crate::json::DecodeError;
use crate::{Key, Object, Value};

/// Brings a tree into the form that `decode_json` makes of its JSON: after a
/// patch, and after code has set members. Returns the strict problems
/// (unknown fields) where they are asked for.
pub fn normalize(
    types: &Types,
    ty: TypeId,
    value: &mut Value,
    strictness: Strictness,
) -> Result<Vec<String>, DecodeError> {
    walk(types, ty, value, strictness, Empties::AsSent)
}

/// Brings a tree into the form in which it comes back from the store: as
/// [`normalize`], with every empty list nil.
pub fn normalize_stored(types: &Types, ty: TypeId, value: &mut Value) -> Result<(), DecodeError> {
    walk(types, ty, value, Strictness::Ignore, Empties::Nil).map(drop)
}

/// Takes back empty lists of `object` where `old`, which was stored, has none:
/// that is no change, since Kubernetes compares the two as equal.
pub fn forget_empties(types: &Types, ty: TypeId, object: &mut Value, old: &Value) {
    let (Value::Object(object), Value::Object(old)) = (object, old) else { return };
    let ty = types.get(ty);
    object.raw_mut().retain_mut(|(name, member)| {
        let Some(field) = ty.field(name) else { return true };
        let before = old.get(name);
        let is_empty = member.as_array().is_some_and(<[Value]>::is_empty);
        if is_empty && field.keeps_empty && before.is_none_or(Value::is_null) {
            *member = Value::Null;
            return before.is_some();
        }
        let (Some(item), Some(before)) = (field.item_struct(), before) else { return true };
        match (member, before) {
            (Value::Array(items), Value::Array(before)) => {
                let pairs = items.iter_mut().zip(before);
                pairs.for_each(|(member, before)| forget_empties(types, item, member, before));
            }
            (Value::Object(members), Value::Object(before)) if matches!(field.ty, Type::Map(_)) => {
                for (name, member) in members.raw_mut() {
                    forget_empties(types, item, member, before.get(name).unwrap_or(&Value::Null));
                }
            }
            (member, before) => forget_empties(types, item, member, before),
        }
        true
    });
}

fn walk(
    types: &Types,
    ty: TypeId,
    value: &mut Value,
    strictness: Strictness,
    empties: Empties,
) -> Result<Vec<String>, DecodeError> {
    let mut walker = Walker { context: Context::new(types, strictness == Strictness::Report), empties };
    walker.value(Type::Struct(ty), "", value);
    let problems = walker.context.finish()?;
    let made = item_or_zero(types, Type::Struct(ty), std::mem::take(value));
    *value = made;
    Ok(problems)
}

/// What becomes of `[]` in a field that tells it from nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Empties {
    /// It stays, as in an object that Go decoded.
    AsSent,
    /// It is nil, as in an object that was stored.
    Nil,
}

/// Go's zero value of a type, as it is written.
pub fn zero(types: &Types, ty: Type) -> Value {
    match ty {
        Type::String => Value::String(String::new()),
        Type::Bool | Type::SchemaOr(_, Or::Bool) => Value::Bool(false),
        Type::Int32 | Type::Int64 | Type::IntOrString => Value::Int(0),
        Type::Float => Value::Float(0.0),
        Type::Quantity => Value::String("0".into()),
        Type::Duration => Value::String("0s".into()),
        Type::Struct(id) => Value::Object(assemble(types, types.get(id), &mut Members::new())),
        _ => Value::Null,
    }
}

/// Whether a field is left out where it has its zero value.
pub(super) fn omitted_when_zero(field: &Field) -> bool {
    // Go's omitempty knows no empty struct.
    let structure = matches!(
        field.ty,
        Type::Quantity
            | Type::Time
            | Type::MicroTime
            | Type::Duration
            | Type::IntOrString
            | Type::RawExtension
            | Type::FieldsV1
            | Type::Json
            | Type::SchemaOr(..)
            | Type::Struct(_)
    );
    field.omit_zero || (field.omit_empty && (field.pointer || !structure))
}

/// What of a field's value is kept: nothing where Go would leave it out, or
/// where it is zero (what is written nevertheless is added by [`assemble`]).
pub(crate) fn finish(field: &Field, value: Value, empties: Empties) -> Option<Value> {
    if value.is_null() {
        return None;
    }
    if field.pointer {
        return Some(value);
    }
    let empty = match &value {
        // A list that is a message of its own is there even where it is empty.
        Value::Array(items) => {
            items.is_empty() && !field.wrapped && !(field.keeps_empty && empties == Empties::AsSent)
        }
        // An empty map is nil; an empty struct stays.
        Value::Object(object) => object.is_empty() && matches!(field.ty, Type::Map(_)),
        Value::String(text) => {
            field.omit_empty && text.is_empty() && matches!(field.ty, Type::String | Type::Bytes)
        }
        Value::Bool(truth) => field.omit_empty && !truth && field.ty == Type::Bool,
        Value::Int(number) => field.omit_empty && *number == 0 && field.ty != Type::IntOrString,
        Value::Float(number) => field.omit_empty && *number == 0.0,
        Value::Null => true,
    };
    (!empty).then_some(value)
}

/// An item of a list or map: null is the zero value.
pub(crate) fn item_or_zero(types: &Types, ty: Type, value: Value) -> Value {
    match value {
        // Storage knows no bytes that are not there.
        Value::Null if ty == Type::Bytes => Value::String(String::new()),
        Value::Null => zero(types, ty),
        Value::Array(items) if items.is_empty() && matches!(ty, Type::List(_)) => Value::Null,
        Value::Object(object) if object.is_empty() && matches!(ty, Type::Map(_)) => Value::Null,
        value => value,
    }
}

/// The members of a struct that is being read, by index into its fields.
pub(crate) type Members = Vec<(u16, Value)>;

/// An object of a struct's members in Go's order, with those that are always
/// written; empties `members`.
pub(crate) fn assemble(types: &Types, ty: &Struct, members: &mut Members) -> Object {
    for &at in &ty.always {
        if !members.iter().any(|(other, _)| *other == at) {
            let field = &ty.fields[at as usize];
            let value = if field.pointer { Value::Null } else { zero(types, field.ty) };
            members.push((at, value));
        }
    }
    if !members.is_sorted_by_key(|(at, _)| *at) {
        members.sort_unstable_by_key(|(at, _)| *at);
    }
    let mut object = Object::with_capacity(members.len());
    for (at, value) in members.drain(..) {
        object.push_new(ty.fields[at as usize].json, value);
    }
    object
}

struct Walker<'t> {
    context: Context<'t, 'static>,
    empties: Empties,
}

impl Walker<'_> {
    /// Makes `value` canonical, or null where it is nil or of a wrong type.
    fn value(&mut self, ty: Type, go_type: &'static str, value: &mut Value) {
        if value.is_null() && !matches!(ty, Type::Duration | Type::SchemaOr(_, Or::Bool)) {
            return;
        }
        match (ty, &mut *value) {
            (Type::String, Value::String(_))
            | (Type::Bool, Value::Bool(_))
            | (Type::Int64, Value::Int(_))
            | (Type::Float, Value::Float(_))
            | (Type::IntOrString, Value::String(_))
            | (Type::SchemaOr(_, Or::Bool), Value::Bool(_))
            | (Type::RawExtension | Type::FieldsV1 | Type::Json, _) => {}
            (Type::Any, _) => crate::json::sort_deep(value),
            (Type::Struct(id), Value::Object(object)) => self.structure(id, object),
            (Type::List(item), Value::Array(items)) => self.list(*item, item_type(go_type), items),
            (Type::Map(item), Value::Object(object)) => self.map(*item, item_type(go_type), object),
            (Type::Int32, Value::Int(number)) if i32::try_from(*number).is_ok() => {}
            (Type::Int32 | Type::Int64, Value::Float(number))
                if number.fract() == 0.0 && number.abs() < 9e15 =>
            {
                *value = Value::Int(*number as i64);
                self.value(ty, go_type, value);
            }
            (Type::Float, Value::Int(number)) => *value = Value::Float(*number as f64),
            (Type::Bytes, Value::String(text)) => match canonical_base64(text) {
                Ok(None) => {}
                Ok(Some(canonical)) => *text = canonical,
                Err(error) => {
                    self.context.save(error.to_string());
                    *value = Value::Null;
                }
            },
            (Type::Time | Type::MicroTime | Type::Duration | Type::Quantity, _) => self.text(ty, value),
            (Type::IntOrString, other) => match other {
                Value::Int(number) if i32::try_from(*number).is_ok() => {}
                _ => {
                    self.context.refuse_kind(&describe(value), "int32");
                    *value = Value::Null;
                }
            },
            (Type::SchemaOr(id, or), _) => self.schema_or(id, or, value),
            (Type::Int32 | Type::Int64, Value::Int(_) | Value::Float(_)) => {
                self.context.mismatch(describe(value), ty, go_type);
                *value = Value::Null;
            }
            _ => {
                self.context.mismatch(describe_literal(value), ty, go_type);
                *value = Value::Null;
            }
        }
    }

    fn structure(&mut self, id: TypeId, object: &mut Object) {
        let ty = self.context.types.get(id);
        let mut order: SmallVec<[u16; 32]> = SmallVec::new();
        object.raw_mut().retain_mut(|(name, value)| {
            let Some(at) = ty.index(name) else {
                self.context.unknown(name);
                return false;
            };
            let field = &ty.fields[at];
            if !(field.pointer && value.is_null()) {
                self.context.enter(Step::Field(id, field.json));
                self.value(field.ty, field.go_type, value);
                self.context.leave();
            }
            match finish(field, std::mem::take(value), self.empties) {
                None => false,
                Some(kept) => {
                    *value = kept;
                    *name = Cow::Borrowed(field.json);
                    order.push(at as u16);
                    true
                }
            }
        });
        let complete = ty.always.iter().all(|at| order.contains(at));
        if complete && order.is_sorted() {
            return;
        }
        let values = std::mem::take(object.raw_mut()).into_iter().map(|(_, value)| value);
        *object = assemble(self.context.types, ty, &mut order.into_iter().zip(values).collect());
    }

    fn list(&mut self, item: Type, go_type: &'static str, items: &mut [Value]) {
        for (at, value) in items.iter_mut().enumerate() {
            self.context.enter(Step::Index(at));
            self.value(item, go_type, value);
            self.context.leave();
            if value.is_null() || matches!(item, Type::List(_) | Type::Map(_)) {
                *value = item_or_zero(self.context.types, item, std::mem::take(value));
            }
        }
    }

    fn map(&mut self, item: Type, go_type: &'static str, object: &mut Object) {
        for (name, value) in object.raw_mut() {
            // Texts need no path; only what holds more does.
            let scalar = matches!((item, &*value), (Type::String, Value::String(_)));
            if !scalar {
                self.context.enter(Step::Key(Key::Owned(name.to_string())));
                self.value(item, go_type, value);
                self.context.leave();
            }
            if value.is_null() || matches!(item, Type::List(_) | Type::Map(_)) {
                *value = item_or_zero(self.context.types, item, std::mem::take(value));
            }
        }
        if !object.raw().is_sorted_by(|(a, _), (b, _)| a <= b) {
            object.sort();
        }
    }

    fn text(&mut self, ty: Type, value: &mut Value) {
        let text = match (ty, &*value) {
            (_, Value::String(text)) => Cow::Borrowed(text.as_str()),
            (Type::Duration, Value::Null) => Cow::Borrowed(""),
            (Type::Quantity, Value::Int(_) | Value::Float(_)) => Cow::Owned(crate::json::to_string(value)),
            (Type::Quantity, _) => Cow::Borrowed("x"),
            _ => {
                self.context.refuse_kind(&describe_literal(value), "string");
                *value = Value::Null;
                return;
            }
        };
        match canonical(ty, &text) {
            Ok(canonical) => *value = canonical,
            Err(error) => {
                self.context.refuse(DecodeError::Scalar(error.to_string()));
                *value = Value::Null;
            }
        }
    }

    fn schema_or(&mut self, id: TypeId, or: Or, value: &mut Value) {
        let before = self.context.begin_own();
        match (or, &mut *value) {
            (_, Value::Object(object)) => self.structure(id, object),
            (Or::Array, Value::Array(items)) => self.list(Type::Struct(id), "", items),
            (Or::StringArray, Value::Array(items)) => self.list(Type::String, "", items),
            (Or::Bool, _) => {
                self.context.refuse(DecodeError::Scalar("boolean or JSON schema expected".into()));
                *value = Value::Null;
            }
            _ => *value = Value::Null,
        }
        self.context.end_own(before);
        if value.as_array().is_some_and(<[Value]>::is_empty) {
            *value = Value::Null;
        }
    }
}

/// What Go calls a value where it does not name the number.
fn describe_literal(value: &Value) -> String {
    match value {
        Value::Int(_) | Value::Float(_) => "number".into(),
        other => describe(other),
    }
}
