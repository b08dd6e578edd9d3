//! Lists that are sets or maps: no item twice.

use std::collections::HashMap;

use super::{Additional, ListType, Schema};
use crate::field::{Errors, Path};
use crate::{Object, Value};

/// Checks every list below `value` whose type is `set` or `map`.
pub fn validate_lists(value: &Value, schema: &Schema, path: &Path<'_>, errors: &mut Errors) {
    match value {
        Value::Object(object) => {
            for (name, member) in object.iter() {
                if let Some(property) = schema.property(name) {
                    validate_lists(member, property, &path.child(name), errors);
                } else if let Additional::Schema(inner) = &schema.additional {
                    validate_lists(member, inner, &path.key(name), errors);
                }
            }
        }
        Value::Array(items) => {
            match schema.list_type {
                Some(ListType::Set) => {
                    for at in repeated(items) {
                        errors.duplicate(&path.index(at), items[at].clone());
                    }
                }
                Some(ListType::Map) => keyed(items, &schema.list_keys, path, errors),
                _ => {}
            }
            let Some(inner) = &schema.items else { return };
            for (at, item) in items.iter().enumerate() {
                validate_lists(item, inner, &path.index(at), errors);
            }
        }
        _ => {}
    }
}

fn keyed(items: &[Value], names: &[Box<str>], path: &Path<'_>, errors: &mut Errors) {
    for (at, item) in items.iter().enumerate() {
        if !item.is_null() && item.as_object().is_none() {
            errors.invalid(&path.index(at), item.clone(), "must be an object for an array of list-type map");
            return;
        }
    }
    if items.len() < 2 {
        return;
    }
    let keys: Vec<Value> = items.iter().map(|item| Value::Object(key_of(item, names))).collect();
    for at in repeated(&keys) {
        errors.duplicate(&path.index(at), keys[at].clone());
    }
}

/// The items of an old list by what tells them apart: only maps have that.
pub struct OldItems<'a> {
    keys: &'a [Box<str>],
    by_key: HashMap<String, &'a Value>,
}

impl<'a> OldItems<'a> {
    pub fn of(old: Option<&'a Value>, schema: &'a Schema) -> Self {
        let is_map = schema.list_type == Some(ListType::Map);
        let items = old.filter(|_| is_map).map_or(&[][..], Value::items);
        let mut by_key = HashMap::with_capacity(items.len());
        for item in items {
            by_key.entry(key_text(item, &schema.list_keys)).or_insert(item);
        }
        Self { keys: &schema.list_keys, by_key }
    }

    /// What `item` was.
    pub fn of_item(&self, item: &Value) -> Option<&'a Value> {
        if self.by_key.is_empty() {
            return None;
        }
        self.by_key.get(&key_text(item, self.keys)).copied()
    }
}

fn key_text(item: &Value, names: &[Box<str>]) -> String {
    crate::json::to_string(&Value::Object(key_of(item, names)))
}

/// The members of an item that tell it apart, sorted.
fn key_of(item: &Value, names: &[Box<str>]) -> Object {
    let mut key = Object::new();
    for name in names {
        if let Some(value) = item.as_object().and_then(|object| object.get(name)) {
            key.insert(name.to_string(), value.clone());
        }
    }
    key.sort();
    key
}

/// Where an item stands for the second time; further repetitions are not told.
fn repeated(items: &[Value]) -> Vec<usize> {
    if items.len() < 2 {
        return Vec::new();
    }
    let mut texts: Vec<(String, usize)> =
        items.iter().enumerate().map(|(at, item)| (crate::json::to_string(item), at)).collect();
    texts.sort();
    let mut found: Vec<usize> =
        texts.chunk_by(|(a, _), (b, _)| a == b).filter_map(|same| same.get(1).map(|(_, at)| *at)).collect();
    found.sort_unstable();
    found
}
