//! The object tree: what every request body becomes and every strategy works on.
//!
//! It holds values and access to them; it never knows a schema.

mod object;
mod serde;

use std::borrow::Cow;
use std::ops::Index;

pub use self::object::Object;
pub use self::serde::ViewError;

/// A member's name: borrowed for ever where a schema knows it, owned where it
/// is a map's key.
pub type Key = Cow<'static, str>;

/// A JSON value. Numbers are what Go's decoder for unstructured objects
/// makes of them: 64-bit integers where they fit, floats elsewhere.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    String(String),
    Array(Vec<Value>),
    Object(Object),
}

/// What reading through a missing member gives.
pub static NULL: Value = Value::Null;

impl Value {
    pub fn object() -> Self {
        Value::Object(Object::new())
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// The member `name`, or [`NULL`] where this is no object or has none.
    pub fn get(&self, name: &str) -> &Value {
        match self {
            Value::Object(object) => object.get(name).unwrap_or(&NULL),
            _ => &NULL,
        }
    }

    /// Follows `path` through objects; [`NULL`] where it leads nowhere.
    pub fn at(&self, path: &[&str]) -> &Value {
        path.iter().fold(self, |value, name| value.get(name))
    }

    pub fn get_mut(&mut self, name: &str) -> Option<&mut Value> {
        match self {
            Value::Object(object) => object.get_mut(name),
            _ => None,
        }
    }

    /// The member `name`, made null where it is missing. A value that is no
    /// object becomes an empty one first.
    pub fn entry(&mut self, name: impl Into<Key>) -> &mut Value {
        if !matches!(self, Value::Object(_)) {
            *self = Value::object();
        }
        match self {
            Value::Object(object) => object.entry(name),
            _ => unreachable!("made an object above"),
        }
    }

    /// Follows `path`, making objects on the way.
    pub fn entry_at(&mut self, path: &[&'static str]) -> &mut Value {
        path.iter().fold(self, |value, name| value.entry(*name))
    }

    /// Sets the member `name`; see [`Value::entry`].
    pub fn set(&mut self, name: impl Into<Key>, value: impl Into<Value>) {
        *self.entry(name) = value.into();
    }

    pub fn set_at(&mut self, path: &[&'static str], value: impl Into<Value>) {
        *self.entry_at(path) = value.into();
    }

    /// Removes and returns the member `name`.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        match self {
            Value::Object(object) => object.remove(name),
            _ => None,
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The text, or "" for anything else.
    pub fn text(&self) -> &str {
        self.as_str().unwrap_or("")
    }

    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Int(number) => Some(*number),
            _ => None,
        }
    }

    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Int(number) => Some(*number as f64),
            Value::Float(number) => Some(*number),
            _ => None,
        }
    }

    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(truth) => Some(*truth),
            _ => None,
        }
    }

    /// Whether this is `true`; false for anything else.
    pub fn is_true(&self) -> bool {
        self.as_bool() == Some(true)
    }

    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Value::Object(object) => Some(object),
            _ => None,
        }
    }

    pub fn as_object_mut(&mut self) -> Option<&mut Object> {
        match self {
            Value::Object(object) => Some(object),
            _ => None,
        }
    }

    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Value::Array(items) => Some(items),
            _ => None,
        }
    }

    pub fn as_array_mut(&mut self) -> Option<&mut Vec<Value>> {
        match self {
            Value::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The items of a list; none for anything else.
    pub fn items(&self) -> &[Value] {
        self.as_array().unwrap_or(&[])
    }

    /// The items of a list to change; none for anything else.
    pub fn items_mut(&mut self) -> &mut [Value] {
        match self {
            Value::Array(items) => items,
            _ => &mut [],
        }
    }

    /// The members of an object in their order; none for anything else.
    pub fn members(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.as_object().into_iter().flat_map(Object::iter)
    }
}

impl Index<&str> for Value {
    type Output = Value;

    /// As [`Value::get`]: never panics.
    fn index(&self, name: &str) -> &Value {
        self.get(name)
    }
}

impl Index<usize> for Value {
    type Output = Value;

    /// The item, or [`NULL`]: never panics.
    fn index(&self, at: usize) -> &Value {
        self.items().get(at).unwrap_or(&NULL)
    }
}

macro_rules! from {
    ($($source:ty => |$value:ident| $made:expr),* $(,)?) => {$(
        impl From<$source> for Value {
            fn from($value: $source) -> Self {
                $made
            }
        }
    )*};
}

from! {
    bool => |value| Value::Bool(value),
    i32 => |value| Value::Int(value.into()),
    i64 => |value| Value::Int(value),
    u16 => |value| Value::Int(value.into()),
    u32 => |value| Value::Int(value.into()),
    f64 => |value| Value::Float(value),
    &str => |value| Value::String(value.to_owned()),
    &String => |value| Value::String(value.clone()),
    String => |value| Value::String(value),
    Vec<Value> => |value| Value::Array(value),
    Object => |value| Value::Object(value),
}

/// Writes a tree as JSON is written: `value!({"kind": "Pod", "spec": {"x": [1, expr]}})`.
/// Keys are string literals; values are literals, nested forms or expressions
/// that convert [`Into`] a [`Value`].
#[macro_export]
macro_rules! value {
    (null) => { $crate::Value::Null };
    ([]) => { $crate::Value::Array(::std::vec::Vec::new()) };
    ([ $($item:tt),+ $(,)? ]) => { $crate::Value::Array(::std::vec![$($crate::value!($item)),+]) };
    ({}) => { $crate::Value::object() };
    ({ $($members:tt)+ }) => {{
        let mut object = $crate::Object::new();
        $crate::value_members!(object, $($members)+);
        $crate::Value::Object(object)
    }};
    ($value:expr) => { $crate::Value::from($value) };
}

/// The members of [`value!`].
#[doc(hidden)]
#[macro_export]
macro_rules! value_members {
    ($object:ident $(,)?) => {};
    ($object:ident, $key:literal : null $(, $($rest:tt)*)?) => {
        $object.insert($key, $crate::Value::Null);
        $crate::value_members!($object $(, $($rest)*)?);
    };
    ($object:ident, $key:literal : [ $($inner:tt)* ] $(, $($rest:tt)*)?) => {
        $object.insert($key, $crate::value!([ $($inner)* ]));
        $crate::value_members!($object $(, $($rest)*)?);
    };
    ($object:ident, $key:literal : { $($inner:tt)* } $(, $($rest:tt)*)?) => {
        $object.insert($key, $crate::value!({ $($inner)* }));
        $crate::value_members!($object $(, $($rest)*)?);
    };
    ($object:ident, $key:literal : $value:expr $(, $($rest:tt)*)?) => {
        $object.insert($key, $crate::Value::from($value));
        $crate::value_members!($object $(, $($rest)*)?);
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_members_read_as_null() {
        let pod = value!({"spec": {"containers": [{"name": "a"}]}});
        assert_eq!(pod["spec"]["containers"][0]["name"].text(), "a");
        assert!(pod["spec"]["volumes"][3]["name"].is_null());
        assert_eq!(pod.at(&["spec", "nodeName"]).text(), "");
    }

    #[test]
    fn equality_disregards_order() {
        assert_eq!(value!({"a": 1, "b": [true, null]}), value!({"b": [true, null], "a": 1}));
        assert_ne!(value!({"a": 1}), value!({"a": 1, "b": null}));
    }

    #[test]
    fn entries_are_made_on_the_way() {
        let mut value = Value::Null;
        value.set_at(&["status", "phase"], "Pending");
        assert_eq!(value, value!({"status": {"phase": "Pending"}}));
    }
}
