//! Field ownership (`metadata.managedFields`): who set what.
//!
//! [`update`] runs on every write that is not an apply. It works on trees and on
//! stored ownership in place. Nothing here reads a clock or knows a kind.

mod compare;
mod element;
mod entries;
mod set;
mod shape;

pub use compare::{Comparison, compare};
pub use entries::is_reset;
pub use set::Set;
pub use shape::Shape;

use entries::Entries;

use crate::Value;

/// Who writes, where and when.
#[derive(Clone, Copy, Debug)]
pub struct Write<'a> {
    /// The field manager; "" is written as `unknown`.
    pub manager: &'a str,
    /// The `apiVersion` of the request, such as `apps/v1`.
    pub api_version: &'a str,
    /// `status`, `scale`, …; "" for the object itself.
    pub subresource: &'a str,
    /// Now, as RFC 3339 in whole seconds with `Z`.
    pub time: &'a str,
    /// Fields that this (sub)resource resets to what they were, so that nobody
    /// comes to own them by it: `Set::of_fields(&[&["status"]])` for most kinds.
    pub reset: &'a Set,
    /// The request said `managedFields: []`, which canonical trees leave out:
    /// forget all owners. (`[{}]` is seen without this.)
    pub forget: bool,
}

/// Brings `metadata.managedFields` of `new` up to date after a create, update
/// or patch by `write.manager`.
///
/// `live` is the stored object in the same version, with its managedFields; on
/// a create it is the zero value of the kind (`schema::zero`), which has no
/// uid. Both trees are canonical. Never fails: ownership that cannot be read
/// is left as it was stored, as upstream does.
pub fn update(shape: Shape<'_>, live: &Value, new: &mut Value, write: &Write<'_>) {
    let requested = new.get_mut("metadata").and_then(|metadata| metadata.remove("managedFields"));
    let stored = &live["metadata"]["managedFields"];
    let mut entries = Entries::choose(stored, requested, write);
    let creates = live["metadata"]["uid"].text().is_empty();
    // An object without owners stays without: tracking starts at its creation.
    if !entries.is_empty() || creates {
        let Comparison { mut changed, mut removed } = compare(shape, live, new);
        if !write.reset.is_empty() {
            changed.subtract_below(write.reset);
            removed.subtract_below(write.reset);
        }
        entries.record(changed, &removed, write);
    }
    entries.store(new);
}

#[cfg(test)]
mod tests;
