//! Protobuf → canonical tree.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::wire::{BYTES, Entry, FIXED64, Reader, VARINT};
use super::{MAGIC, ProtobufError};
use crate::json::MAX_DEPTH;
use crate::quantity::Quantity;
use crate::schema::{
    Empties, Field, Members, Or, ProtoTarget, Struct, Type, TypeId, Types, assemble, finish, item_or_zero,
};
use crate::{Key, Object, Value, json, time};

/// What the envelope (runtime.Unknown) says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    pub api_version: String,
    pub kind: String,
    /// The message of the object itself.
    pub raw: &'a [u8],
    /// Of `raw`; "" is protobuf.
    pub content_type: String,
}

/// Opens the envelope of an object.
pub fn open(bytes: &[u8]) -> Result<Envelope<'_>, ProtobufError> {
    if bytes.is_empty() {
        return Err(ProtobufError::Empty);
    }
    let message = bytes.strip_prefix(MAGIC).ok_or(ProtobufError::Prefix)?;
    let mut envelope =
        Envelope { api_version: String::new(), kind: String::new(), raw: &[], content_type: String::new() };
    let mut reader = Reader::new(message);
    while let Some(entry) = reader.next()? {
        match entry.number {
            1 => {
                let mut meta = Reader::new(entry.bytes);
                while let Some(entry) = meta.next()? {
                    match entry.number {
                        1 => envelope.api_version = lossy(entry.bytes),
                        2 => envelope.kind = lossy(entry.bytes),
                        _ => {}
                    }
                }
            }
            2 => envelope.raw = entry.bytes,
            4 => envelope.content_type = lossy(entry.bytes),
            _ => {}
        }
    }
    Ok(envelope)
}

/// Decodes an enveloped object by the kind that its envelope names.
pub fn decode_object(types: &Types, bytes: &[u8]) -> Result<Value, ProtobufError> {
    let envelope = open(bytes)?;
    let Some(ty) = types.kind_of(&envelope.api_version, &envelope.kind) else {
        return Err(ProtobufError::UnknownKind { api_version: envelope.api_version, kind: envelope.kind });
    };
    let mut value = decode(types, ty, envelope.raw)?;
    if let Value::Object(object) = &mut value {
        let mut named: Vec<(Key, Value)> = Vec::with_capacity(object.len() + 2);
        named.push(("kind".into(), envelope.kind.into()));
        named.push(("apiVersion".into(), envelope.api_version.into()));
        named.append(object.raw_mut());
        *object = named.into();
    }
    Ok(value)
}

/// Decodes a message without an envelope into a canonical tree, which has
/// neither `kind` nor `apiVersion`.
pub fn decode(types: &Types, ty: TypeId, bytes: &[u8]) -> Result<Value, ProtobufError> {
    Ok(Value::Object(message(types, ty, bytes, 0)?))
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn message(types: &Types, id: TypeId, bytes: &[u8], depth: usize) -> Result<Object, ProtobufError> {
    if depth >= MAX_DEPTH {
        return Err(ProtobufError::Depth);
    }
    let ty = types.get(id);
    let mut members = Members::new();
    read_into(types, ty, ty, bytes, &mut members, depth)?;
    let mut finished = members
        .into_iter()
        .filter_map(|(at, value)| {
            let field = &ty.fields[usize::from(at)];
            let mut value = value;
            if let (Type::Map(_), Value::Object(object)) = (field.ty, &mut value) {
                sort_entries(object);
            }
            finish(field, value, Empties::AsSent).map(|value| (at, value))
        })
        .collect();
    Ok(assemble(types, ty, &mut finished))
}

/// Sorts the entries of a map; of entries with one key the last stays.
fn sort_entries(object: &mut Object) {
    let members = object.raw_mut();
    if members.is_sorted_by(|(a, _), (b, _)| a < b) {
        return;
    }
    members.reverse();
    members.sort_by(|(a, _), (b, _)| a.cmp(b));
    members.dedup_by(|(later, _), (earlier, _)| later == earlier);
}

/// Reads the fields of `inner`, whose members lie in an object of `outer`.
fn read_into(
    types: &Types,
    outer: &Struct,
    inner: &Struct,
    bytes: &[u8],
    members: &mut Members,
    depth: usize,
) -> Result<(), ProtobufError> {
    let mut reader = Reader::new(bytes);
    let mut expected = 0;
    while let Some(entry) = reader.next()? {
        // Numbers mostly come in order.
        let found = match inner.proto.get(expected) {
            Some(member) if member.number == entry.number => Some(expected),
            _ => inner.proto.binary_search_by_key(&entry.number, |member| member.number).ok(),
        };
        let Some(found) = found else { continue };
        expected = found;
        match inner.proto[found].target {
            ProtoTarget::Embedded(embedded) => {
                let bytes = length_of(entry, "embedded")?;
                if depth >= MAX_DEPTH {
                    return Err(ProtobufError::Depth);
                }
                read_into(types, outer, types.get(embedded), bytes, members, depth + 1)?;
            }
            ProtoTarget::Field(at) => {
                let field = &inner.fields[usize::from(at)];
                let at =
                    if std::ptr::eq(outer, inner) { Some(usize::from(at)) } else { outer.index(field.json) };
                let Some(at) = at else { continue };
                let slot = match members.iter().position(|(other, _)| usize::from(*other) == at) {
                    Some(slot) => slot,
                    None => {
                        members.push((at as u16, Value::Null));
                        members.len() - 1
                    }
                };
                read_field(types, field, entry, &mut members[slot].1, depth)?;
            }
        }
    }
    Ok(())
}

fn length_of<'a>(entry: Entry<'a>, field: &str) -> Result<&'a [u8], ProtobufError> {
    if entry.wire == BYTES {
        return Ok(entry.bytes);
    }
    Err(ProtobufError::WireType { wire: entry.wire, field: field.to_owned() })
}

fn read_field(
    types: &Types,
    field: &Field,
    entry: Entry<'_>,
    value: &mut Value,
    depth: usize,
) -> Result<(), ProtobufError> {
    match field.ty {
        Type::List(item) if !field.wrapped => {
            if !matches!(value, Value::Array(_)) {
                *value = Value::Array(Vec::new());
            }
            let Value::Array(items) = value else { return Ok(()) };
            if entry.wire == BYTES && matches!(item, Type::Int32 | Type::Int64 | Type::Bool) {
                // Packed, which upstream reads and does not write.
                let mut packed = Reader::new(entry.bytes);
                while !packed.is_empty() {
                    let entry = Entry { wire: VARINT, number_value: packed.varint()?, ..entry };
                    items.push(read_value(types, *item, field.json, entry, depth)?);
                }
                return Ok(());
            }
            let item_value = read_value(types, *item, field.json, entry, depth)?;
            items.push(item_or_zero(types, *item, item_value));
        }
        Type::Map(item) => {
            if !matches!(value, Value::Object(_)) {
                *value = Value::object();
            }
            let Value::Object(object) = value else { return Ok(()) };
            let mut name = String::new();
            let mut member = Value::Null;
            let mut reader = Reader::new(length_of(entry, field.json)?);
            while let Some(entry) = reader.next()? {
                match entry.number {
                    1 => name = lossy(length_of(entry, field.json)?),
                    2 => member = read_value(types, *item, field.json, entry, depth)?,
                    _ => {}
                }
            }
            object.push_new(name, item_or_zero(types, *item, member));
        }
        ty => *value = read_value(types, ty, field.json, entry, depth)?,
    }
    Ok(())
}

fn read_value(
    types: &Types,
    ty: Type,
    name: &str,
    entry: Entry<'_>,
    depth: usize,
) -> Result<Value, ProtobufError> {
    let wanted = match ty {
        Type::Bool | Type::Int32 | Type::Int64 => VARINT,
        Type::Float => FIXED64,
        _ => BYTES,
    };
    if entry.wire != wanted {
        return Err(ProtobufError::WireType { wire: entry.wire, field: name.to_owned() });
    }
    let bytes = entry.bytes;
    Ok(match ty {
        Type::Bool => Value::Bool(entry.number_value != 0),
        Type::Int32 => Value::Int((entry.number_value as i32).into()),
        Type::Int64 => Value::Int(entry.number_value as i64),
        Type::Float => {
            let float = f64::from_bits(entry.number_value);
            // JSON has neither infinities nor NaN.
            Value::Float(if float.is_finite() { float } else { 0.0 })
        }
        Type::String => Value::String(lossy(bytes)),
        Type::Bytes => Value::String(STANDARD.encode(bytes)),
        Type::Struct(id) => Value::Object(message(types, id, bytes, depth + 1)?),
        Type::Quantity => {
            let text = field_of(bytes, 1)?.map_or_else(|| "0".to_owned(), |entry| lossy(entry.bytes));
            Value::String(
                Quantity::canonical(&text).map_err(|error| ProtobufError::Scalar(error.to_string()))?,
            )
        }
        Type::Time | Type::MicroTime if bytes.is_empty() => Value::Null,
        Type::Time | Type::MicroTime => {
            let seconds = field_of(bytes, 1)?.map_or(0, |entry| entry.number_value) as i64;
            let micro = ty == Type::MicroTime;
            let nanos = field_of(bytes, 2)?.map_or(0, |entry| entry.number_value) as u32;
            let nanos = if micro { nanos.min(999_999_999) } else { 0 };
            time::from_unix(seconds, nanos, micro).map_or(Value::Null, Value::String)
        }
        Type::Duration => {
            let nanos = field_of(bytes, 1)?.map_or(0, |entry| entry.number_value) as i64;
            Value::String(time::format_duration(nanos))
        }
        Type::IntOrString => match field_of(bytes, 1)?.map_or(0, |entry| entry.number_value) {
            0 => Value::Int((field_of(bytes, 2)?.map_or(0, |entry| entry.number_value) as i32).into()),
            _ => Value::String(field_of(bytes, 3)?.map_or_else(String::new, |entry| lossy(entry.bytes))),
        },
        Type::RawExtension | Type::FieldsV1 | Type::Json | Type::Any => match field_of(bytes, 1)? {
            None => Value::Null,
            Some(entry) if entry.bytes.is_empty() => Value::Null,
            Some(entry) if entry.bytes.starts_with(MAGIC) => decode_object(types, entry.bytes)?,
            Some(entry) => {
                json::parse_ordered(entry.bytes).map_err(|error| ProtobufError::Scalar(error.to_string()))?
            }
        },
        Type::SchemaOr(id, or) => either(types, id, or, name, bytes, depth)?,
        // A list as an item of a list or map, or wrapped: a message with `items`.
        Type::List(item) => {
            let mut items = Vec::new();
            let mut reader = Reader::new(bytes);
            while let Some(entry) = reader.next()? {
                if entry.number == 1 {
                    items.push(read_value(types, *item, name, entry, depth + 1)?);
                }
            }
            Value::Array(items)
        }
        Type::Map(_) => Value::Null,
    })
}

/// The last field of this number in a message.
fn field_of(bytes: &[u8], number: u32) -> Result<Option<Entry<'_>>, ProtobufError> {
    let mut found = None;
    let mut reader = Reader::new(bytes);
    while let Some(entry) = reader.next()? {
        if entry.number == number {
            found = Some(entry);
        }
    }
    Ok(found)
}

fn either(
    types: &Types,
    id: TypeId,
    or: Or,
    name: &str,
    bytes: &[u8],
    depth: usize,
) -> Result<Value, ProtobufError> {
    if depth >= MAX_DEPTH {
        return Err(ProtobufError::Depth);
    }
    let mut items = Vec::new();
    let mut schema = Value::Null;
    let mut allows = false;
    let mut reader = Reader::new(bytes);
    while let Some(entry) = reader.next()? {
        match (or, entry.number) {
            (Or::Bool, 1) => allows = entry.number_value != 0,
            (Or::Bool, 2) | (Or::Array | Or::StringArray, 1) => {
                schema = read_value(types, Type::Struct(id), name, entry, depth + 1)?;
            }
            (Or::Array, 2) => items.push(read_value(types, Type::Struct(id), name, entry, depth + 1)?),
            (Or::StringArray, 2) => items.push(read_value(types, Type::String, name, entry, depth + 1)?),
            _ => {}
        }
    }
    Ok(match or {
        Or::Bool if schema.is_null() => Value::Bool(allows),
        Or::Array | Or::StringArray if !items.is_empty() => Value::Array(items),
        _ => schema,
    })
}
