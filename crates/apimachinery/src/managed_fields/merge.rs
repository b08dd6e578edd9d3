//! A configuration laid over an object (structured-merge-diff's
//! `TypedValue.Merge`): nothing goes, and where both say something the
//! configuration's word counts.

use std::collections::{BTreeMap, BTreeSet};

use super::element;
use super::shape::{Atomic, Form, Shape};
use crate::schema::ListType;
use crate::{Key, Object, Value};

/// What `config` makes of `live`; both are of one type, and `config` fits it.
///
/// # Errors
/// Why an item of a list has no name.
pub(super) fn merge(shape: Shape<'_>, live: &Value, config: &Value) -> Result<Value, String> {
    match (shape.form(), live, config) {
        (Form::Object(Atomic::No) | Form::Deduced, Value::Object(live), Value::Object(config))
            if !(live.is_empty() && config.is_empty()) =>
        {
            members(shape, live, config).map(Value::Object)
        }
        (Form::List(ListType::Set | ListType::Map), Value::Array(live), Value::Array(config))
            if !(live.is_empty() && config.is_empty()) =>
        {
            items(shape, live, config).map(Value::Array)
        }
        // Null and empty say nothing about what is in a map or list.
        (Form::Object(Atomic::No) | Form::Deduced, Value::Object(object), Value::Null)
            if !object.is_empty() =>
        {
            Ok(live.clone())
        }
        (Form::List(ListType::Set | ListType::Map), Value::Array(list), Value::Null) if !list.is_empty() => {
            Ok(live.clone())
        }
        _ => Ok(config.clone()),
    }
}

fn members(shape: Shape<'_>, live: &Object, config: &Object) -> Result<Object, String> {
    let mut made = Object::with_capacity(live.len().max(config.len()));
    for (name, value) in live.raw() {
        let merged = match config.get(name) {
            Some(wanted) => merge(shape.member(name).unwrap_or(Shape::Whole), value, wanted)?,
            None => value.clone(),
        };
        made.push_new(name.clone(), merged);
    }
    for (name, wanted) in config.raw() {
        if !live.contains(name) {
            made.push_new(name.clone(), wanted.clone());
        }
    }
    Ok(made)
}

/// Items of both lists: those of the configuration in its order, the others
/// where they stood before the next one that both have.
fn items(shape: Shape<'_>, live: &[Value], config: &[Value]) -> Result<Vec<Value>, String> {
    let theirs = names(shape, live)?;
    let ours = names(shape, config)?;
    let wanted: BTreeMap<&Key, &Value> = ours.iter().zip(config).collect();
    // An item that occurs several times is not merged with what is wanted.
    let mut present: BTreeMap<&Key, Option<&Value>> = BTreeMap::new();
    for (name, item) in theirs.iter().zip(live) {
        present.entry(name).and_modify(|item| *item = None).or_insert(Some(item));
    }
    let merged_with = |name: &Key| -> Result<Value, String> {
        let wanted = wanted[name];
        match present.get(name) {
            None => Ok(wanted.clone()),
            Some(item) => merge(shape.item(), item.unwrap_or(&Value::Null), wanted),
        }
    };

    let mut made = Vec::with_capacity(live.len().max(config.len()));
    let mut done: BTreeSet<&Key> = BTreeSet::new();
    let mut shared = ours.iter().filter(|name| present.contains_key(name));
    let mut next_shared = shared.next();
    let (mut left, mut right) = (0, 0);
    while left < theirs.len() || right < ours.len() {
        if let (Some(their), Some(our)) = (theirs.get(left), ours.get(right)) {
            if their == our {
                done.insert(our);
                made.push(merged_with(our)?);
                (left, right) = (left + 1, right + 1);
                next_shared = shared.next();
                continue;
            }
            // Wanted, but not the next of those that both have.
            if wanted.contains_key(their) && next_shared.is_some_and(|next| next != their) {
                left += 1;
                continue;
            }
        }
        if let Some(their) = theirs.get(left) {
            if !wanted.contains_key(their) {
                made.push(live[left].clone());
                left += 1;
                continue;
            }
            if done.contains(their) {
                left += 1;
            }
        }
        if let Some(our) = ours.get(right) {
            done.insert(our);
            made.push(merged_with(our)?);
            right += 1;
            if next_shared == Some(our) {
                next_shared = shared.next();
            }
        }
    }
    Ok(made)
}

fn names(shape: Shape<'_>, list: &[Value]) -> Result<Vec<Key>, String> {
    let name = |(at, item)| element::of_item(shape, item).map_err(|why| format!("element {at}: {why}"));
    list.iter().enumerate().map(name).collect()
}
