//! Sets of field paths, as FieldsV1 writes them.
//!
//! A set *is* its FieldsV1 tree: members named by path elements, kept sorted,
//! `{}` for a path without longer ones and `.` for a path that has them. So
//! reading and writing `fieldsV1` costs nothing, and every operation works on
//! stored ownership in place.

use super::element::{self, SELF};
use crate::{Key, Object, Value};

/// A set of field paths (`fieldpath.Set`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Set(Object);

impl Set {
    pub const fn new() -> Self {
        Set(Object::new())
    }

    /// The set of paths of field names alone, such as `[&["status"]]`: what a
    /// strategy gives as the fields that a (sub)resource resets.
    pub fn of_fields(paths: &[&[&str]]) -> Self {
        let mut set = Set::new();
        for path in paths {
            let elements: Vec<Key> = path.iter().map(|name| element::field(name)).collect();
            set.insert(&elements);
        }
        set
    }

    /// Reads `fieldsV1`; `None` where it is not one.
    pub fn from_fields_v1(value: &Value) -> Option<Self> {
        let mut root = read_node(value.as_object()?)?;
        // The path that leads nowhere is no field.
        root.raw_mut().retain(|(name, _)| name != SELF);
        Some(Set(root))
    }

    /// `fieldsV1` of this set.
    pub fn into_fields_v1(self) -> Value {
        Value::Object(self.0)
    }

    /// Takes a tree that is known to be canonical (one of our own).
    pub(super) fn trusted(object: Object) -> Self {
        Set(object)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The set as the tree that it is.
    pub(super) fn tree(&self) -> &Object {
        &self.0
    }

    /// Adds one path of canonical elements.
    pub(super) fn insert(&mut self, path: &[Key]) {
        let Some((first, rest)) = path.split_first() else { return };
        let mut single = Object::new();
        for name in rest.iter().rev() {
            let mut outer = Object::new();
            outer.push_new(name.clone(), single);
            single = outer;
        }
        let mut other = Object::new();
        other.push_new(first.clone(), single);
        self.unite(&Set(other));
    }

    /// Whether the path of canonical elements belongs to the set.
    pub fn contains(&self, path: &[&str]) -> bool {
        let mut at = &self.0;
        for name in path {
            match child(at, name) {
                Some(node) => at = node,
                None => return false,
            }
        }
        !path.is_empty() && is_member(at)
    }

    /// Adds what `other` has.
    pub fn unite(&mut self, other: &Set) {
        unite(&mut self.0, &other.0, true);
    }

    /// Takes away the paths that `other` has; longer ones stay.
    pub fn subtract(&mut self, other: &Set) {
        subtract(&mut self.0, &other.0);
    }

    /// Takes away the paths that `other` has and everything below them.
    pub fn subtract_below(&mut self, other: &Set) {
        subtract_below(&mut self.0, &other.0);
    }

    /// The paths in both.
    pub fn intersection(&self, other: &Set) -> Set {
        Set(intersection(&self.0, &other.0, true))
    }

    /// Whether any path is in both.
    pub fn intersects(&self, other: &Set) -> bool {
        intersects(&self.0, &other.0)
    }

    /// The paths as upstream lists them: at each level first those that end
    /// there, then the longer ones.
    pub(super) fn listed(&self) -> Vec<Vec<&str>> {
        let mut found = Vec::new();
        list(&self.0, &mut Vec::new(), &mut found);
        found
    }

    /// The paths, each as its elements, in order.
    pub fn paths(&self) -> Vec<Vec<String>> {
        let mut found = Vec::new();
        collect(&self.0, &mut Vec::new(), &mut found);
        found
    }
}

/// Whether the path that leads to `node` belongs to its set.
pub(super) fn is_member(node: &Object) -> bool {
    node.is_empty() || node.raw()[0].0 == SELF
}

/// The node below `name`.
pub(super) fn child<'a>(node: &'a Object, name: &str) -> Option<&'a Object> {
    find(node, name).ok().and_then(|at| node.raw()[at].1.as_object())
}

/// A node for a path that belongs to the set and has `below`, whose names may be in
/// any order.
pub(super) fn node(member: bool, mut below: Object) -> Option<Value> {
    order(&mut below);
    if member && !below.is_empty() && below.raw()[0].0 != SELF {
        below.raw_mut().insert(0, (Key::Borrowed(SELF), Value::object()));
    }
    (member || !below.is_empty()).then_some(Value::Object(below))
}

/// Brings the names of a node into their order.
pub(super) fn order(node: &mut Object) {
    if !node.raw().is_sorted_by(|(a, _), (b, _)| element::order(a, b).is_le()) {
        node.raw_mut().sort_by(|(a, _), (b, _)| element::order(a, b));
    }
}

fn find(node: &Object, name: &str) -> Result<usize, usize> {
    node.raw().binary_search_by(|(other, _)| element::order(other, name))
}

fn read_node(object: &Object) -> Option<Object> {
    let mut read = Object::with_capacity(object.len());
    for (name, value) in object.iter() {
        let name = element::canonical(name)?;
        let below = if name == SELF { Object::new() } else { read_node(value.as_object()?)? };
        read.push_new(name, Value::Object(below));
    }
    order(&mut read);
    // Two spellings of one element.
    if read.raw().windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return None;
    }
    // A lone dot is a plain leaf.
    if read.len() == 1 && read.raw()[0].0 == SELF {
        read = Object::new();
    }
    Some(read)
}

fn unite(into: &mut Object, from: &Object, root: bool) {
    let was_member = !root && is_member(into);
    if !root && (was_member || is_member(from)) && !(into.is_empty() && from.is_empty()) {
        let dotted = into.raw().first().is_some_and(|(name, _)| name == SELF);
        let grows = !into.is_empty() || from.raw().iter().any(|(name, _)| name != SELF);
        if !dotted && grows {
            into.raw_mut().insert(0, (Key::Borrowed(SELF), Value::object()));
        }
    }
    let mut new = Vec::new();
    for (name, value) in from.raw() {
        if name == SELF {
            continue;
        }
        let Value::Object(theirs) = value else { continue };
        match find(into, name) {
            Ok(at) => {
                if let Value::Object(ours) = &mut into.raw_mut()[at].1 {
                    unite(ours, theirs, false);
                }
            }
            Err(_) => new.push((name.clone(), value.clone())),
        }
    }
    if !new.is_empty() {
        into.raw_mut().append(&mut new);
        order(into);
    }
}

/// What is left of a child node after an operation: keeps its membership right.
fn settle(ours: &mut Object, member: bool) -> bool {
    let dotted = ours.raw().first().is_some_and(|(name, _)| name == SELF);
    let below = ours.len() - usize::from(dotted);
    match (member, below) {
        (false, 0) => return false,
        (false, _) if dotted => _ = ours.raw_mut().remove(0),
        (true, 0) => *ours = Object::new(),
        (true, _) if !dotted => ours.raw_mut().insert(0, (Key::Borrowed(SELF), Value::object())),
        _ => {}
    }
    true
}

fn subtract(from: &mut Object, other: &Object) {
    each_in(from, other, |ours, theirs| {
        let member = is_member(ours) && !is_member(theirs);
        subtract(ours, theirs);
        settle(ours, member)
    });
}

fn subtract_below(from: &mut Object, other: &Object) {
    each_in(from, other, |ours, theirs| {
        if is_member(theirs) {
            return false;
        }
        let member = is_member(ours);
        subtract_below(ours, theirs);
        settle(ours, member)
    });
}

/// Shows `keep` each node of `from` that `other` has too; it goes where that says no.
fn each_in(from: &mut Object, other: &Object, keep: impl Fn(&mut Object, &Object) -> bool) {
    if other.is_empty() {
        return;
    }
    from.raw_mut().retain_mut(|(name, value)| match (value, child(other, name)) {
        (Value::Object(ours), Some(theirs)) if name != SELF => keep(ours, theirs),
        _ => true,
    });
}

fn intersection(a: &Object, b: &Object, root: bool) -> Object {
    let mut both = Object::new();
    for (name, value) in a.raw() {
        let (Value::Object(ours), Some(theirs)) = (value, child(b, name)) else { continue };
        if name == SELF {
            continue;
        }
        let below = intersection(ours, theirs, false);
        if let Some(value) = node(is_member(ours) && is_member(theirs), below) {
            both.push_new(name.clone(), value);
        }
    }
    debug_assert!(!root || both.raw().first().is_none_or(|(name, _)| name != SELF));
    both
}

fn intersects(a: &Object, b: &Object) -> bool {
    let (few, many) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    few.raw().iter().any(|(name, value)| {
        if name == SELF {
            return false;
        }
        let (Value::Object(left), Some(right)) = (value, child(many, name)) else { return false };
        is_member(left) && is_member(right) || intersects(left, right)
    })
}

fn list<'s>(node: &'s Object, path: &mut Vec<&'s str>, found: &mut Vec<Vec<&'s str>>) {
    let below = || {
        node.iter()
            .filter(|(name, _)| *name != SELF)
            .filter_map(|(name, below)| Some((name, below.as_object()?)))
    };
    for (name, _) in below().filter(|(_, below)| is_member(below)) {
        path.push(name);
        found.push(path.clone());
        path.pop();
    }
    for (name, below) in below() {
        path.push(name);
        list(below, path, found);
        path.pop();
    }
}

fn collect(node: &Object, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    for (name, value) in node.iter() {
        let Value::Object(below) = value else { continue };
        if name == SELF {
            continue;
        }
        path.push(name.to_owned());
        if is_member(below) {
            found.push(path.clone());
        }
        collect(below, path, found);
        path.pop();
    }
}

#[cfg(test)]
mod tests;
