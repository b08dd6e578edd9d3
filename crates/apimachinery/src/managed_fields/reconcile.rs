//! Ownership recorded under an older schema, brought to the one there is
//! (structured-merge-diff's `ReconcileFieldSetWithSchema`): what has become
//! atomic is owned whole by who owned a part of it.

use super::set::{self, Set};
use super::shape::{Atomic, Form, Shape};
use crate::Object;
use crate::schema::ListType;

/// `set` as the schema `shape` divides values.
pub(super) fn reconcile(shape: Shape<'_>, set: Set) -> Set {
    if is_current(shape, set.tree()) { set } else { Set::trusted(brought(shape, set.tree())) }
}

/// The shape below an element; none where the schema has no such member.
fn below<'a>(shape: Shape<'a>, name: &str) -> Option<Shape<'a>> {
    match name.strip_prefix("f:") {
        Some(field) => shape.member(field),
        None => Some(shape.item()),
    }
}

/// Whether paths go on below what is owned whole.
fn is_overgrown(shape: Shape<'_>, node: &Object) -> bool {
    let atomic =
        matches!(shape.form(), Form::Whole | Form::Object(Atomic::Yes) | Form::List(ListType::Atomic));
    atomic && !node.is_empty()
}

fn is_current(shape: Shape<'_>, set: &Object) -> bool {
    set.raw().iter().all(|(name, node)| match (below(shape, name), node.as_object()) {
        (Some(shape), Some(node)) => !is_overgrown(shape, node) && is_current(shape, node),
        _ => true,
    })
}

fn brought(shape: Shape<'_>, set: &Object) -> Object {
    let mut made = Object::with_capacity(set.len());
    for (name, value) in set.raw() {
        let node = match (below(shape, name), value.as_object()) {
            (Some(shape), Some(node)) if is_overgrown(shape, node) => set::node(true, Object::new()),
            (Some(shape), Some(node)) => set::node(set::is_member(node), {
                let mut below = brought(shape, node);
                below.remove(super::element::SELF);
                below
            }),
            _ => Some(value.clone()),
        };
        if let Some(node) = node {
            made.push_new(name.clone(), node);
        }
    }
    made
}
