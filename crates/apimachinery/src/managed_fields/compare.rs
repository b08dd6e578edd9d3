//! What a write changed: old and new tree walked in lockstep by schema
//! (structured-merge-diff's `typed.Comparison`).
//!
//! Equal parts cost one comparison and no memory; only differences make sets.

use smallvec::SmallVec;

use super::element;
use super::set::{self, Set};
use super::shape::{Atomic, Form, Shape};
use crate::schema::ListType;
use crate::{Key, Object, Value};

/// What differs between two objects.
#[derive(Debug, Default)]
pub struct Comparison {
    /// Paths that the new object added or modified.
    pub changed: Set,
    /// Paths that the new object no longer has.
    pub removed: Set,
}

/// Members of the root and of `metadata` that nobody owns (upstream's stripMeta).
fn nobody_owns(in_metadata: bool, name: &str) -> bool {
    if in_metadata {
        matches!(
            name,
            "name"
                | "namespace"
                | "creationTimestamp"
                | "selfLink"
                | "uid"
                | "clusterName"
                | "generation"
                | "managedFields"
                | "resourceVersion"
        )
    } else {
        matches!(name, "apiVersion" | "kind")
    }
}

/// Compares two whole objects, without the members that nobody owns.
///
/// # Errors
/// Why an item of a list cannot be told from the others.
pub fn compare(shape: Shape<'_>, old: &Value, new: &Value) -> Result<Comparison, String> {
    compare_with(shape, old, new, Delta::default())
}

/// As [`compare`], of a new object as it was merged from what was sent: an
/// empty list that Go would not write is a change too.
pub(super) fn compare_merged(shape: Shape<'_>, old: &Value, new: &Value) -> Result<Comparison, String> {
    compare_with(shape, old, new, Delta { with_empties: true, ..Delta::default() })
}

fn compare_with(shape: Shape<'_>, old: &Value, new: &Value, mut found: Delta) -> Result<Comparison, String> {
    members(
        shape,
        old.as_object(),
        new.as_object(),
        &mut found,
        &|name| nobody_owns(false, name),
        &|name| name == "metadata",
    )?;
    set::order(&mut found.changed);
    set::order(&mut found.removed);
    Ok(Comparison { changed: Set::trusted(found.changed), removed: Set::trusted(found.removed) })
}

impl Comparison {
    /// Leaves out `fields` and everything below them.
    pub(super) fn without(mut self, fields: &Set) -> Self {
        if !fields.is_empty() {
            self.changed.subtract_below(fields);
            self.removed.subtract_below(fields);
        }
        self
    }
}

/// Two nodes being built: what changed and what went.
#[derive(Default)]
struct Delta {
    /// Whether the new side may have lists that Go would not write.
    with_empties: bool,
    changed_here: bool,
    removed_here: bool,
    changed: Object,
    removed: Object,
}

impl Delta {
    /// A node below.
    fn below(&self) -> Delta {
        Delta { with_empties: self.with_empties, ..Delta::default() }
    }

    /// A leaf, or a value that came or went.
    fn leaf(&mut self, old: Option<&Value>, new: Option<&Value>) {
        match (old, new) {
            (Some(_), None) => self.removed_here = true,
            (None, Some(_)) => self.changed_here = true,
            (Some(old), Some(new)) if old != new && !element::same(old, new) => self.changed_here = true,
            _ => {}
        }
    }

    /// Hangs what was found below `name` into this node.
    fn take(&mut self, name: impl FnOnce() -> Key, below: Delta) {
        let changed = set::node(below.changed_here, below.changed);
        let removed = set::node(below.removed_here, below.removed);
        if changed.is_none() && removed.is_none() {
            return;
        }
        let name = name();
        if let Some(node) = removed {
            self.removed.push_new(name.clone(), node);
        }
        if let Some(node) = changed {
            self.changed.push_new(name, node);
        }
    }
}

fn never(_: &str) -> bool {
    false
}

/// Members of both objects; `skip` names those left out, `stripped` those whose
/// own members are metadata.
fn members(
    shape: Shape<'_>,
    old: Option<&Object>,
    new: Option<&Object>,
    found: &mut Delta,
    skip: &dyn Fn(&str) -> bool,
    stripped: &dyn Fn(&str) -> bool,
) -> Result<(), String> {
    let empty = Object::new();
    let (old, new) = (old.unwrap_or(&empty), new.unwrap_or(&empty));
    let mut both = 0;
    // Canonical trees of one type have one order: the next member of the old
    // object is mostly where the last one was found, plus one.
    let mut hint = 0;
    for (name, value) in new.iter() {
        let before = match old.raw().get(hint) {
            Some((same, value)) if same == name => {
                hint += 1;
                Some(value)
            }
            _ => match old.position(name) {
                Some(at) => {
                    hint = at + 1;
                    Some(&old.raw()[at].1)
                }
                None => None,
            },
        };
        both += usize::from(before.is_some());
        if !skip(name) {
            member(shape, name, before, Some(value), found, stripped)?;
        }
    }
    if both < old.len() {
        for (name, value) in old.iter() {
            if !new.contains(name) && !skip(name) {
                member(shape, name, Some(value), None, found, stripped)?;
            }
        }
    }
    Ok(())
}

fn member(
    shape: Shape<'_>,
    name: &str,
    old: Option<&Value>,
    new: Option<&Value>,
    found: &mut Delta,
    stripped: &dyn Fn(&str) -> bool,
) -> Result<(), String> {
    let new = new.filter(|value| found.with_empties || shape.writes(name, value));
    // What the schema does not know is pruned before or kept whole.
    let shape = shape.member(name).unwrap_or(Shape::Whole);
    let mut below = found.below();
    if stripped(name) {
        let (old, new) = (old.and_then(Value::as_object), new.and_then(Value::as_object));
        members(shape, old, new, &mut below, &|name| nobody_owns(true, name), &never)?;
    } else {
        walk(shape, old, new, &mut below)?;
    }
    found.take(|| element::field(name), below);
    Ok(())
}

fn walk(shape: Shape<'_>, old: Option<&Value>, new: Option<&Value>, found: &mut Delta) -> Result<(), String> {
    match shape.form() {
        Form::Whole | Form::Scalar(_) | Form::Object(Atomic::Yes) | Form::List(ListType::Atomic) => {
            found.leaf(old, new);
        }
        Form::Object(Atomic::No) | Form::Deduced => {
            let (before, after) = match (object_of(old), object_of(new)) {
                (Some(before), Some(after)) => (before, after),
                // What became an object, or is none any more, is changed, and
                // so are the members that came or went.
                (before @ Some(Some(_)), None) | (None, before @ Some(Some(_)))
                    if shape.form() == Form::Deduced =>
                {
                    found.leaf(old, new);
                    let is_new = object_of(new).is_some();
                    let object = before.flatten();
                    let (before, after) = if is_new { (None, object) } else { (object, None) };
                    return members(shape, before, after, found, &never, &never);
                }
                _ => {
                    found.leaf(old, new);
                    return Ok(());
                }
            };
            if before.is_none_or(Object::is_empty) && after.is_none_or(Object::is_empty) {
                found.leaf(old, new);
                return Ok(());
            }
            found.removed_here = new.is_none();
            found.changed_here = old.is_none();
            members(shape, before, after, found, &never, &never)?;
        }
        Form::List(_) => {
            let sides = (array_of(old), array_of(new));
            let (Some(before), Some(after)) = sides else {
                found.leaf(old, new);
                return Ok(());
            };
            if before.is_empty() && after.is_empty() {
                found.leaf(old, new);
                return Ok(());
            }
            found.removed_here = new.is_none();
            found.changed_here = old.is_none();
            if before != after {
                items(shape, before, after, found)?;
            }
        }
    }
    Ok(())
}

/// The object there, `Some(None)` where there is nothing or null, `None` where
/// there is something else.
fn object_of(value: Option<&Value>) -> Option<Option<&Object>> {
    match value {
        None | Some(Value::Null) => Some(None),
        Some(Value::Object(object)) => Some(Some(object)),
        Some(_) => None,
    }
}

fn array_of(value: Option<&Value>) -> Option<&[Value]> {
    match value {
        None | Some(Value::Null) => Some(&[]),
        Some(Value::Array(items)) => Some(items),
        Some(_) => None,
    }
}

fn items(shape: Shape<'_>, old: &[Value], new: &[Value], found: &mut Delta) -> Result<(), String> {
    /// An item, and whether it is a new one.
    type Sided<'v> = (Key, bool, &'v Value);
    let mut sided: SmallVec<[Sided<'_>; 4]> = SmallVec::with_capacity(old.len() + new.len());
    for (is_new, items) in [(false, old), (true, new)] {
        for item in items {
            sided.push((element::of_item(shape, item)?, is_new, item));
        }
    }
    sided.sort_by(|a, b| a.0.cmp(&b.0));
    for alike in sided.chunk_by_mut(|a, b| a.0 == b.0) {
        let (before, after) = alike.split_at(alike.partition_point(|(_, is_new, _)| !is_new));
        let mut below = found.below();
        match (before, after) {
            // The usual case: no item occurs twice.
            ([] | [_], [] | [_]) => {
                let (before, after) = (before.first().map(|side| side.2), after.first().map(|side| side.2));
                walk(shape.item(), before, after, &mut below)?;
            }
            // Items that occur several times are owned together.
            ([_, _, ..], [_, _, ..]) => {
                below.changed_here = before.iter().map(|side| side.2).ne(after.iter().map(|side| side.2));
            }
            (_, [] | [_]) => {
                if let [(_, _, only)] = after {
                    walk(shape.item(), None, Some(only), &mut below)?;
                }
                below.removed_here = true;
            }
            ([] | [_], _) => {
                if let [(_, _, only)] = before {
                    walk(shape.item(), Some(only), None, &mut below)?;
                }
                below.changed_here = true;
            }
        }
        found.take(|| std::mem::take(&mut alike[0].0), below);
    }
    Ok(())
}
