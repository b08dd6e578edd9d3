//! The fields that a configuration names (structured-merge-diff's
//! `TypedValue.ToFieldSet`): leaves, items and keys, but not the structs and
//! maps on the way to them.

use std::collections::BTreeMap;

use super::element;
use super::set::{self, Set};
use super::shape::{Atomic, Form, Shape};
use crate::schema::ListType;
use crate::{Key, Object, Value};

/// Every leaf, item and key of `object`, those that nobody owns included.
/// Items that cannot be told apart are left out.
pub(super) fn of(shape: Shape<'_>, object: &Value) -> Set {
    let mut set = node(shape, object).below;
    set::order(&mut set);
    Set::trusted(set)
}

/// What a value adds to a set: itself, and paths below it.
struct Node {
    member: bool,
    below: Object,
}

impl Node {
    fn leaf() -> Self {
        Node { member: true, below: Object::new() }
    }

    fn way(below: Object) -> Self {
        Node { member: false, below }
    }
}

fn node(shape: Shape<'_>, value: &Value) -> Node {
    match (shape.form(), value) {
        (Form::Whole | Form::Scalar(_) | Form::Object(Atomic::Yes) | Form::List(ListType::Atomic), _) => {
            Node::leaf()
        }
        (Form::Object(Atomic::No) | Form::Deduced, Value::Object(object)) => {
            Node::way(of_members(shape, object))
        }
        (Form::List(_), Value::Array(list)) => Node::way(of_items(shape, list)),
        (Form::Deduced, Value::Null) | (Form::Object(_) | Form::List(_), _) => Node::way(Object::new()),
        (Form::Deduced, _) => Node::leaf(),
    }
}

fn of_members(shape: Shape<'_>, object: &Object) -> Object {
    let mut made = Object::with_capacity(object.len());
    for (name, value) in object.iter() {
        let Node { mut member, below } = node(shape.member(name).unwrap_or(Shape::Whole), value);
        // An empty value is all that there is to own; a key of a map is owned
        // beside what lies below it.
        member |= match value {
            Value::Null => true,
            Value::Object(object) => object.is_empty(),
            _ => false,
        };
        member |= !shape.names(name);
        if let Some(node) = set::node(member, below) {
            made.push_new(element::field(name), node);
        }
    }
    made
}

fn of_items(shape: Shape<'_>, list: &[Value]) -> Object {
    let mut items: BTreeMap<Key, (usize, &Value)> = BTreeMap::new();
    for item in list {
        if let Ok(name) = element::of_item(shape, item) {
            items.entry(name).or_insert((0, item)).0 += 1;
        }
    }
    let mut made = Object::with_capacity(items.len());
    for (name, (count, item)) in items {
        // Items that occur several times are owned together.
        let below = if count > 1 { Object::new() } else { node(shape.item(), item).below };
        if let Some(node) = set::node(true, below) {
            made.push_new(name, node);
        }
    }
    made
}
