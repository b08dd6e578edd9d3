//! Trees as serde sees them, so that typed views come from trees and go to
//! them without JSON text in between.

use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{self, DeserializeOwned, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{self, SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Key, Object, Value};

/// Why a typed view and a tree do not fit.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ViewError(String);

impl de::Error for ViewError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

impl ser::Error for ViewError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

impl Value {
    /// The typed view of this tree.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, ViewError> {
        T::deserialize(self)
    }

    /// The tree that `view` would write as JSON.
    pub fn from_serialize<T: Serialize + ?Sized>(view: &T) -> Result<Value, ViewError> {
        view.serialize(Builder)
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(truth) => serializer.serialize_bool(*truth),
            Value::Int(number) => serializer.serialize_i64(*number),
            Value::Float(number) => serializer.serialize_f64(*number),
            Value::String(text) => serializer.serialize_str(text),
            Value::Array(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                items.iter().try_for_each(|item| list.serialize_element(item))?;
                list.end()
            }
            Value::Object(object) => {
                let mut map = serializer.serialize_map(Some(object.len()))?;
                object.iter().try_for_each(|(key, value)| map.serialize_entry(key, value))?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tree;

        impl<'de> Visitor<'de> for Tree {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any JSON value")
            }

            fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
                Ok(Value::Bool(truth))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
                Ok(Value::Int(number))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
                Ok(i64::try_from(number).map_or(Value::Float(number as f64), Value::Int))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
                Ok(Value::Float(number))
            }

            fn visit_str<E>(self, text: &str) -> Result<Value, E> {
                Ok(Value::String(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Value, E> {
                Ok(Value::String(text))
            }

            fn visit_none<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }

            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }

            fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Value, D::Error> {
                Value::deserialize(inner)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
                let mut items = Vec::with_capacity(list.size_hint().unwrap_or(0).min(1024));
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                Ok(Value::Array(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
                let mut members: Vec<(Key, Value)> = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    members.push((Key::Owned(key), value));
                }
                Ok(Value::Object(Object::with_last_of_each(members)))
            }
        }

        deserializer.deserialize_any(Tree)
    }
}

impl<'de> IntoDeserializer<'de, ViewError> for &'de Value {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for &'de Value {
    type Error = ViewError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ViewError> {
        match self {
            Value::Null => visitor.visit_unit(),
            Value::Bool(truth) => visitor.visit_bool(*truth),
            Value::Int(number) => visitor.visit_i64(*number),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(items) => visitor.visit_seq(SeqDeserializer::new(items.iter())),
            Value::Object(object) => visitor.visit_map(MapDeserializer::new(object.iter())),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ViewError> {
        if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ViewError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ViewError> {
        visitor.visit_enum(self.text().into_deserializer())
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// Builds a tree from whatever serializes.
struct Builder;

struct List(Vec<Value>);

struct Map {
    members: Vec<(Key, Value)>,
    key: Option<Key>,
}

impl Serializer for Builder {
    type Ok = Value;
    type Error = ViewError;
    type SerializeSeq = List;
    type SerializeTuple = List;
    type SerializeTupleStruct = List;
    type SerializeTupleVariant = ser::Impossible<Value, ViewError>;
    type SerializeMap = Map;
    type SerializeStruct = Map;
    type SerializeStructVariant = ser::Impossible<Value, ViewError>;

    fn serialize_bool(self, truth: bool) -> Result<Value, ViewError> {
        Ok(Value::Bool(truth))
    }

    fn serialize_i8(self, number: i8) -> Result<Value, ViewError> {
        Ok(Value::Int(number.into()))
    }

    fn serialize_i16(self, number: i16) -> Result<Value, ViewError> {
        Ok(Value::Int(number.into()))
    }

    fn serialize_i32(self, number: i32) -> Result<Value, ViewError> {
        Ok(Value::Int(number.into()))
    }

    fn serialize_i64(self, number: i64) -> Result<Value, ViewError> {
        Ok(Value::Int(number))
    }

    fn serialize_u8(self, number: u8) -> Result<Value, ViewError> {
        Ok(Value::Int(number.into()))
    }

    fn serialize_u16(self, number: u16) -> Result<Value, ViewError> {
        Ok(Value::Int(number.into()))
    }

    fn serialize_u32(self, number: u32) -> Result<Value, ViewError> {
        Ok(Value::Int(number.into()))
    }

    fn serialize_u64(self, number: u64) -> Result<Value, ViewError> {
        Ok(i64::try_from(number).map_or(Value::Float(number as f64), Value::Int))
    }

    fn serialize_f32(self, number: f32) -> Result<Value, ViewError> {
        Ok(Value::Float(number.into()))
    }

    fn serialize_f64(self, number: f64) -> Result<Value, ViewError> {
        Ok(Value::Float(number))
    }

    fn serialize_char(self, letter: char) -> Result<Value, ViewError> {
        Ok(Value::String(letter.into()))
    }

    fn serialize_str(self, text: &str) -> Result<Value, ViewError> {
        Ok(Value::String(text.to_owned()))
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<Value, ViewError> {
        Ok(Value::Array(bytes.iter().map(|byte| Value::Int((*byte).into())).collect()))
    }

    fn serialize_none(self) -> Result<Value, ViewError> {
        Ok(Value::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, inner: &T) -> Result<Value, ViewError> {
        inner.serialize(self)
    }

    fn serialize_unit(self) -> Result<Value, ViewError> {
        Ok(Value::Null)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Value, ViewError> {
        Ok(Value::Null)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<Value, ViewError> {
        Ok(Value::String(variant.to_owned()))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        inner: &T,
    ) -> Result<Value, ViewError> {
        inner.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        inner: &T,
    ) -> Result<Value, ViewError> {
        let mut object = Object::new();
        object.push_new(variant, inner.serialize(Builder)?);
        Ok(Value::Object(object))
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<List, ViewError> {
        Ok(List(Vec::with_capacity(length.unwrap_or(0))))
    }

    fn serialize_tuple(self, length: usize) -> Result<List, ViewError> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Result<List, ViewError> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, ViewError> {
        Err(ser::Error::custom(format_args!("the API has no form for the variant {name}::{variant}")))
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Map, ViewError> {
        Ok(Map { members: Vec::with_capacity(length.unwrap_or(0)), key: None })
    }

    fn serialize_struct(self, _: &'static str, length: usize) -> Result<Map, ViewError> {
        self.serialize_map(Some(length))
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, ViewError> {
        Err(ser::Error::custom(format_args!("the API has no form for the variant {name}::{variant}")))
    }
}

impl SerializeSeq for List {
    type Ok = Value;
    type Error = ViewError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), ViewError> {
        self.0.push(item.serialize(Builder)?);
        Ok(())
    }

    fn end(self) -> Result<Value, ViewError> {
        Ok(Value::Array(self.0))
    }
}

impl ser::SerializeTuple for List {
    type Ok = Value;
    type Error = ViewError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), ViewError> {
        SerializeSeq::serialize_element(self, item)
    }

    fn end(self) -> Result<Value, ViewError> {
        SerializeSeq::end(self)
    }
}

impl ser::SerializeTupleStruct for List {
    type Ok = Value;
    type Error = ViewError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), ViewError> {
        SerializeSeq::serialize_element(self, item)
    }

    fn end(self) -> Result<Value, ViewError> {
        SerializeSeq::end(self)
    }
}

impl SerializeMap for Map {
    type Ok = Value;
    type Error = ViewError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), ViewError> {
        match key.serialize(Builder)? {
            Value::String(text) => {
                self.key = Some(Key::Owned(text));
                Ok(())
            }
            other => Err(ser::Error::custom(format_args!("{other:?} is no name of a member"))),
        }
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ViewError> {
        let key = self.key.take().ok_or_else(|| ViewError("a value without its key".into()))?;
        self.members.push((key, value.serialize(Builder)?));
        Ok(())
    }

    fn end(self) -> Result<Value, ViewError> {
        Ok(Value::Object(Object::with_last_of_each(self.members)))
    }
}

impl ser::SerializeStruct for Map {
    type Ok = Value;
    type Error = ViewError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), ViewError> {
        self.members.push((Key::Borrowed(name), value.serialize(Builder)?));
        Ok(())
    }

    fn end(self) -> Result<Value, ViewError> {
        SerializeMap::end(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct View {
        name: String,
        replicas: Option<i32>,
        items: Vec<u8>,
    }

    #[test]
    fn views_come_from_trees_and_go_to_them() {
        let view = View { name: "a".into(), replicas: None, items: vec![1, 2] };
        let tree = Value::from_serialize(&view).unwrap();
        assert_eq!(tree, value!({"name": "a", "replicas": null, "items": [1, 2]}));
        assert_eq!(tree.decode::<View>().unwrap(), view);
        assert!(value!({"name": 1}).decode::<View>().is_err());
    }

    #[test]
    fn json_text_is_read_and_written() {
        let text = r#"{"a":[1,-2.5,true,null,"x"],"b":{}}"#;
        let tree: Value = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&tree).unwrap(), text);
    }
}
