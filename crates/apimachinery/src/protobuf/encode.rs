//! Canonical tree → protobuf.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::MAGIC;
use super::wire::{write_bytes, write_double, write_message, write_number};
use crate::schema::{Field, Or, ProtoTarget, Type, TypeId, Types};
use crate::value::NULL;
use crate::{Value, json, time};

/// Appends an object in its envelope; `apiVersion` and `kind` are its own.
pub fn encode_object(types: &Types, ty: TypeId, object: &Value, out: &mut Vec<u8>) {
    wrap(object, out, |out| encode(types, ty, object, out));
}

/// Appends the envelope of an object around what `body` writes.
pub fn wrap(object: &Value, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(MAGIC);
    write_message(1, out, |out| {
        write_bytes(1, object["apiVersion"].text().as_bytes(), out);
        write_bytes(2, object["kind"].text().as_bytes(), out);
    });
    write_message(2, out, body);
    write_bytes(3, b"", out);
    write_bytes(4, b"", out);
}

/// Appends a frame of a watch: four bytes of length, big-endian, and a
/// WatchEvent of type `event` (`ADDED`, …) around an enveloped object.
pub fn write_watch_event(event: &str, object: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    write_bytes(1, event.as_bytes(), out);
    write_message(2, out, |out| write_bytes(1, object, out));
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// Appends a message without an envelope.
pub fn encode(types: &Types, ty: TypeId, object: &Value, out: &mut Vec<u8>) {
    let ty = types.get(ty);
    for member in &ty.proto {
        match member.target {
            ProtoTarget::Embedded(inner) => {
                write_message(member.number, out, |out| encode(types, inner, object, out));
            }
            ProtoTarget::Field(at) => {
                let field = &ty.fields[usize::from(at)];
                write_field(types, field, member.number, object.get(field.json), out);
            }
        }
    }
}

fn write_field(types: &Types, field: &Field, number: u32, value: &Value, out: &mut Vec<u8>) {
    match (field.ty, value) {
        (_, Value::Null) if field.pointer => {}
        (Type::List(_) | Type::Map(_) | Type::Bytes, Value::Null) => {}
        (Type::List(item), Value::Array(items)) if !field.wrapped => {
            items.iter().for_each(|value| write_value(types, *item, number, value, out));
        }
        (Type::Map(item), Value::Object(object)) => {
            for (name, value) in object.iter() {
                write_message(number, out, |out| {
                    write_bytes(1, name.as_bytes(), out);
                    write_value(types, *item, 2, value, out);
                });
            }
        }
        (ty, value) => write_value(types, ty, number, value, out),
    }
}

/// One value, zero where the tree does not have it.
fn write_value(types: &Types, ty: Type, number: u32, value: &Value, out: &mut Vec<u8>) {
    match ty {
        Type::String => write_bytes(number, value.text().as_bytes(), out),
        Type::Bytes => write_bytes(number, &STANDARD.decode(value.text()).unwrap_or_default(), out),
        Type::Bool => write_number(number, value.is_true().into(), out),
        Type::Int32 | Type::Int64 => write_number(number, value.as_i64().unwrap_or(0) as u64, out),
        Type::Float => write_double(number, value.as_f64().unwrap_or(0.0), out),
        Type::Struct(id) => write_message(number, out, |out| encode(types, id, value, out)),
        Type::Quantity => write_message(number, out, |out| {
            let text = value.as_str().unwrap_or("0");
            write_bytes(1, text.as_bytes(), out);
        }),
        Type::Time | Type::MicroTime => write_message(number, out, |out| {
            if let Some((seconds, nanos)) = value.as_str().and_then(time::to_unix) {
                write_number(1, seconds as u64, out);
                write_number(2, nanos.into(), out);
            }
        }),
        Type::Duration => write_message(number, out, |out| {
            write_number(1, time::parse_duration(value.text()).unwrap_or(0) as u64, out);
        }),
        Type::IntOrString => write_message(number, out, |out| {
            write_number(1, value.as_str().is_some().into(), out);
            write_number(2, value.as_i64().unwrap_or(0) as u64, out);
            write_bytes(3, value.text().as_bytes(), out);
        }),
        Type::RawExtension | Type::FieldsV1 | Type::Json | Type::Any => {
            write_message(number, out, |out| {
                if !value.is_null() {
                    write_message(1, out, |out| json::encode(value, out));
                }
            });
        }
        Type::SchemaOr(id, or) => write_message(number, out, |out| write_either(types, id, or, value, out)),
        // A list as an item of a list or map, or wrapped: a message with `items`.
        Type::List(item) => write_message(number, out, |out| {
            value.items().iter().for_each(|value| write_value(types, *item, 1, value, out));
        }),
        Type::Map(_) => write_message(number, out, |_| {}),
    }
}

fn write_either(types: &Types, id: TypeId, or: Or, value: &Value, out: &mut Vec<u8>) {
    let schema = if value.as_object().is_some() { value } else { &NULL };
    match or {
        Or::Bool => {
            write_number(1, (value.is_true() || !schema.is_null()).into(), out);
            if !schema.is_null() {
                write_value(types, Type::Struct(id), 2, schema, out);
            }
        }
        Or::Array | Or::StringArray => {
            if !schema.is_null() {
                write_value(types, Type::Struct(id), 1, schema, out);
            }
            let item = if or == Or::Array { Type::Struct(id) } else { Type::String };
            value.items().iter().for_each(|value| write_value(types, item, 2, value, out));
        }
    }
}
