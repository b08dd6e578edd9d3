//! JSON bytes of a known type → canonical tree, in one pass, by Go's rules.
//!
//! Values of a wrong type do not stop it: as in Go the rest is still read,
//! since a syntax error further on goes before.

use std::borrow::Cow;

use super::context::{Context, Step};
use super::normalize::{Empties, Members as Fields, assemble, finish, item_or_zero};
use super::scalar::{canonical, canonical_base64};
use super::{Or, Type, TypeId, Types};
use crate::json::{DecodeError, Lexer, Members, check_depth, kind_of, raw_value, scalar};
use crate::{Object, Value};

/// What to do about unknown and duplicate fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// Drop them without a word (`fieldValidation=Ignore`).
    Ignore,
    /// Drop them and report them in [`Decoded::problems`] (`Warn`, `Strict`).
    Report,
}

/// A decoded object.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    pub value: Value,
    /// Strict problems in upstream's texts and order: `unknown field "spec.foo"`,
    /// `duplicate field "data.k"`; at most 100, each once.
    pub problems: Vec<String>,
}

/// Decodes `bytes` as `ty`: unknown fields dropped, scalars canonical, empties
/// as Go writes them, members in Go's order.
///
/// The kind in the body is not looked at. A caller that expects `ty` decodes
/// at once, compares `kind` and `apiVersion` of the value, and asks
/// [`crate::json::type_meta`] only where they differ or decoding failed
/// (upstream reads them first, so their errors go before).
pub fn decode_json(
    types: &Types,
    ty: TypeId,
    bytes: &[u8],
    strictness: Strictness,
) -> Result<Decoded, DecodeError> {
    let text = String::from_utf8_lossy(bytes);
    let mut decoder = Decoder {
        lexer: Lexer::new(&text),
        context: Context::new(types, strictness == Strictness::Report),
        spare: Vec::new(),
    };
    let value = decoder.value(Type::Struct(ty), "", Value::Null, 0)?;
    decoder.lexer.end()?;
    let problems = decoder.context.finish()?;
    Ok(Decoded { value: item_or_zero(types, Type::Struct(ty), value), problems })
}

struct Decoder<'t, 'a> {
    lexer: Lexer<'a>,
    context: Context<'t, 'a>,
    /// Emptied lists of members, to be filled again.
    spare: Vec<Fields>,
}

type Result_<T> = std::result::Result<T, DecodeError>;

impl<'a> Decoder<'_, 'a> {
    /// One value; null where it is null, of a wrong type, or Go's nil.
    /// `before` is what a duplicate field held, into which structs are read.
    fn value(&mut self, ty: Type, go_type: &'static str, before: Value, depth: usize) -> Result_<Value> {
        let first = self.lexer.peek();
        if first == b'n' && !matches!(ty, Type::Duration | Type::SchemaOr(..)) {
            self.lexer.literal("null")?;
            return Ok(Value::Null);
        }
        match (ty, first) {
            (Type::String, b'"') => Ok(Value::String(self.lexer.string()?.into_owned())),
            (Type::Struct(id), b'{') => {
                let before = match before {
                    Value::Object(object) => object,
                    _ => Object::new(),
                };
                Ok(Value::Object(self.structure(id, before, depth)?))
            }
            (Type::List(item), b'[') => self.list(*item, item_type(go_type), depth),
            (Type::Map(item), b'{') => self.map(*item, item_type(go_type), depth),
            (Type::Int32 | Type::Int64, b'-' | b'0'..=b'9') => self.integer(ty, go_type),
            (Type::Bool, b't' | b'f') => scalar(&mut self.lexer),
            (Type::Float, b'-' | b'0'..=b'9') => self.float(),
            (Type::Bytes, b'"') => self.base64(),
            (Type::Bytes, b'[') => self.bytes(depth),
            (Type::Time | Type::MicroTime | Type::Duration, _) => self.text(ty, first),
            (Type::Quantity, _) => self.quantity(first),
            (Type::IntOrString, b'"') => Ok(Value::String(self.lexer.string()?.into_owned())),
            (Type::IntOrString, _) => self.int_or_string(first),
            (Type::RawExtension | Type::FieldsV1 | Type::Json | Type::Any, _) => {
                let mut value = raw_value(&mut self.lexer, depth)?;
                if ty == Type::Any {
                    crate::json::sort_deep(&mut value);
                }
                Ok(value)
            }
            (Type::SchemaOr(id, or), _) => self.schema_or(id, or, first, depth),
            _ => self.wrong(ty, go_type, first),
        }
    }

    #[cold]
    fn wrong(&mut self, ty: Type, go_type: &'static str, first: u8) -> Result_<Value> {
        self.lexer.skip()?;
        if let Some(kind) = kind_of(first) {
            self.context.mismatch(kind, ty, go_type);
        }
        Ok(Value::Null)
    }

    fn structure(&mut self, id: TypeId, before: Object, depth: usize) -> Result_<Object> {
        check_depth(depth)?;
        let ty = self.context.types.get(id);
        let mut seen = 0u128;
        let mut members = self.spare.pop().unwrap_or_default();
        for (name, value) in before {
            if let Some(at) = ty.index(&name) {
                members.push((at as u16, value));
            }
        }
        self.lexer.bump();
        let mut first = true;
        let mut expected = 0;
        while let Some(name) = self.lexer.member(first)? {
            first = false;
            // Bodies mostly come in Go's order: look at the next field first.
            let found = match ty.fields.get(expected) {
                Some(field) if field.json == name => Some(expected),
                _ => ty.index(&name),
            };
            match found {
                None => {
                    self.context.unknown(&name);
                    self.lexer.peek();
                    self.lexer.skip()?;
                }
                Some(at) => {
                    expected = at + 1;
                    if seen >> at & 1 == 1 {
                        self.context.duplicate(&name);
                    }
                    seen |= 1 << at;
                    self.field(id, at, &mut members, depth)?;
                }
            }
            if !self.lexer.more_members()? {
                break;
            }
        }
        let object = assemble(self.context.types, ty, &mut members);
        self.spare.push(members);
        Ok(object)
    }

    /// The value of a field, put among `members`.
    fn field(&mut self, id: TypeId, at: usize, members: &mut Fields, depth: usize) -> Result_<()> {
        let field = &self.context.types.get(id).fields[at];
        let slot = match members.last() {
            Some((last, _)) if usize::from(*last) < at && members.len() < 2 => None,
            _ => members.iter().position(|(other, _)| usize::from(*other) == at),
        };
        let before = slot.map_or(Value::Null, |slot| std::mem::take(&mut members[slot].1));
        let keeps_null = !field.pointer && !matches!(field.ty, Type::List(_) | Type::Map(_) | Type::Bytes);
        let kept = if slot.is_some() && keeps_null { before.clone() } else { Value::Null };
        self.context.enter(Step::Field(id, field.json));
        let mut value = match (field.pointer, self.lexer.peek()) {
            // Null is a nil pointer, whatever it would point to.
            (true, b'n') => self.lexer.literal("null").map(|()| Value::Null)?,
            _ => self.value(field.ty, field.go_type, before, depth + 1)?,
        };
        self.context.leave();
        if value.is_null() {
            // Go leaves a scalar that is not a pointer as a duplicate set it.
            value = kept;
        }
        match (slot, finish(field, value, Empties::AsSent)) {
            (None, Some(value)) => members.push((at as u16, value)),
            (None, None) => {}
            (Some(slot), Some(value)) => members[slot].1 = value,
            (Some(slot), None) => drop(members.remove(slot)),
        }
        Ok(())
    }

    fn list(&mut self, item: Type, go_type: &'static str, depth: usize) -> Result_<Value> {
        check_depth(depth)?;
        self.lexer.bump();
        let mut items = Vec::new();
        if !self.lexer.first_item() {
            return Ok(Value::Array(items));
        }
        loop {
            self.context.enter(Step::Index(items.len()));
            let value = self.value(item, go_type, Value::Null, depth + 1)?;
            self.context.leave();
            items.push(item_or_zero(self.context.types, item, value));
            if !self.lexer.more_items()? {
                return Ok(Value::Array(items));
            }
        }
    }

    fn map(&mut self, item: Type, go_type: &'static str, depth: usize) -> Result_<Value> {
        check_depth(depth)?;
        self.lexer.bump();
        let mut members = Members::default();
        let mut first = true;
        while let Some(name) = self.lexer.member(first)? {
            first = false;
            let slot = members.slot(&name);
            if slot.is_some() {
                self.context.duplicate(&name);
            }
            self.context.enter(Step::Key(name));
            let value = self.value(item, go_type, Value::Null, depth + 1)?;
            let value = item_or_zero(self.context.types, item, value);
            if let Some(Step::Key(name)) = self.context.leave() {
                members.put(slot, name, value);
            }
            if !self.lexer.more_members()? {
                break;
            }
        }
        let mut object = members.finish();
        if !object.raw().is_sorted_by(|(a, _), (b, _)| a <= b) {
            object.sort();
        }
        Ok(Value::Object(object))
    }

    fn integer(&mut self, ty: Type, go_type: &'static str) -> Result_<Value> {
        let number = self.lexer.number()?;
        match number.as_i64() {
            Some(whole) if ty == Type::Int64 || i32::try_from(whole).is_ok() => Ok(Value::Int(whole)),
            _ => {
                self.context.mismatch(format!("number {}", number.text), ty, go_type);
                Ok(Value::Null)
            }
        }
    }

    fn float(&mut self) -> Result_<Value> {
        let number = self.lexer.number()?;
        match number.as_f64() {
            Some(float) => Ok(Value::Float(float)),
            None => {
                self.context.mismatch(format!("number {}", number.text), Type::Float, "");
                Ok(Value::Null)
            }
        }
    }

    fn base64(&mut self) -> Result_<Value> {
        let text = self.lexer.string()?;
        match canonical_base64(&text) {
            Ok(None) => Ok(Value::String(text.into_owned())),
            Ok(Some(canonical)) => Ok(Value::String(canonical)),
            Err(error) => {
                self.context.save(error.to_string());
                Ok(Value::Null)
            }
        }
    }

    /// Go takes a list of small numbers for bytes too.
    fn bytes(&mut self, depth: usize) -> Result_<Value> {
        use base64::Engine as _;
        let Value::Array(items) = raw_value(&mut self.lexer, depth)? else {
            return Ok(Value::Null);
        };
        let mut bytes = Vec::with_capacity(items.len());
        for item in &items {
            match item {
                Value::Int(number) if (0..256).contains(number) => bytes.push(*number as u8),
                Value::Null => bytes.push(0),
                other => {
                    self.context.mismatch(describe(other), Type::Bytes, "uint8");
                    return Ok(Value::Null);
                }
            }
        }
        Ok(Value::String(base64::engine::general_purpose::STANDARD.encode(bytes)))
    }

    /// A time or a duration.
    fn text(&mut self, ty: Type, first: u8) -> Result_<Value> {
        let text = match first {
            b'"' => self.lexer.string()?,
            // Reached by a duration alone, which null leaves as "".
            b'n' => {
                self.lexer.literal("null")?;
                Cow::Borrowed("")
            }
            _ => {
                self.lexer.skip()?;
                if let Some(kind) = kind_of(first) {
                    self.context.refuse_kind(kind, "string");
                }
                return Ok(Value::Null);
            }
        };
        Ok(self.canonical(ty, &text))
    }

    fn canonical(&mut self, ty: Type, text: &str) -> Value {
        canonical(ty, text).unwrap_or_else(|error| {
            self.context.refuse(DecodeError::Scalar(error.to_string()));
            Value::Null
        })
    }

    /// A quantity may be a number too; what is neither has no digits first.
    fn quantity(&mut self, first: u8) -> Result_<Value> {
        let text = match first {
            b'"' => self.lexer.string()?,
            b'-' | b'0'..=b'9' => Cow::Borrowed(self.lexer.number()?.text),
            _ => {
                self.lexer.skip()?;
                Cow::Borrowed("x")
            }
        };
        Ok(self.canonical(Type::Quantity, &text))
    }

    fn int_or_string(&mut self, first: u8) -> Result_<Value> {
        if !matches!(first, b'-' | b'0'..=b'9') {
            self.lexer.skip()?;
            if let Some(kind) = kind_of(first) {
                self.context.refuse_kind(kind, "int32");
            }
            return Ok(Value::Null);
        }
        let number = self.lexer.number()?;
        match number.as_i64().filter(|whole| i32::try_from(*whole).is_ok()) {
            Some(whole) => Ok(Value::Int(whole)),
            None => {
                self.context.refuse_kind(&format!("number {}", number.text), "int32");
                Ok(Value::Null)
            }
        }
    }

    fn schema_or(&mut self, id: TypeId, or: Or, first: u8, depth: usize) -> Result_<Value> {
        let ty = match (or, first) {
            (_, b'{') => Type::Struct(id),
            (Or::Bool, b't' | b'f') => return scalar(&mut self.lexer),
            (Or::Array, b'[') => Type::List(&Type::Any),
            (Or::StringArray, b'[') => Type::List(&Type::String),
            _ => {
                self.lexer.skip()?;
                if or == Or::Bool {
                    self.context.refuse(DecodeError::Scalar("boolean or JSON schema expected".into()));
                }
                return Ok(Value::Null);
            }
        };
        let before = self.context.begin_own();
        let value = match (or, ty) {
            (Or::Array, Type::List(_)) => self.list(Type::Struct(id), "", depth),
            _ => self.value(ty, "", Value::Null, depth),
        };
        self.context.end_own(before);
        Ok(match value? {
            Value::Array(items) if items.is_empty() => Value::Null,
            value => value,
        })
    }
}

/// Go's name for the items of a list or map type with a name for them.
pub(super) fn item_type(go_type: &'static str) -> &'static str {
    match go_type.strip_prefix("map[") {
        Some(map) => map.split_once(']').map_or("", |(_, item)| item),
        None => go_type.strip_prefix("[]").unwrap_or(""),
    }
}

/// What decode errors call a value.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(_) => "bool".into(),
        Value::Int(_) | Value::Float(_) => format!("number {}", crate::json::to_string(value)),
        Value::String(_) => "string".into(),
        Value::Array(_) => "array".into(),
        Value::Object(_) => "object".into(),
    }
}
