//! Field ownership (`metadata.managedFields`): who set what.
//!
//! [`update`] runs on every write that is not an apply, [`apply`] is
//! server-side apply. Both work on trees; `update` works on stored ownership in
//! place. Nothing here reads a clock or knows a kind.

mod apply;
mod compare;
mod conflict;
mod element;
mod entries;
mod fields;
mod last_applied;
mod merge;
mod overlay;
mod prune;
mod reconcile;
mod remove;
mod scale;
mod set;
mod shape;
mod structure;
mod typed;
mod versions;

pub use apply::{Applied, Apply, apply, describe};
pub use compare::{Comparison, compare};
pub use overlay::overlay;
pub use scale::{to_parent, to_scale};
pub use set::Set;
pub use shape::{Atomic, Scalar, Shape};
pub use structure::{Members, Named, Structure};
pub use typed::fits;
pub use versions::{Single, Versions};

use entries::Entries;
use versions::Changes;

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
}

/// Brings `metadata.managedFields` of `new` up to date after a create, update
/// or patch by `write.manager`.
///
/// `live` is the stored object in the same version, with its managedFields; on
/// a create it is the zero value of the kind (`schema::zero`), which has no
/// uid. Both trees are canonical; `managedFields: []` or `[{}]` in `new` forgets all owners. Never fails: where changes cannot be told,
/// ownership is left as it was stored, as upstream does.
pub fn update(versions: &dyn Versions, live: &Value, new: &mut Value, write: &Write<'_>) {
    let requested = new.get_mut("metadata").and_then(|metadata| metadata.remove("managedFields"));
    let stored = &live["metadata"]["managedFields"];
    let mut entries = Entries::choose(stored, requested, write);
    let creates = live["metadata"]["uid"].text().is_empty();
    // An object without owners stays without: tracking starts at its creation.
    if (!entries.is_empty() || creates) && record_update(versions, live, new, &mut entries, write).is_err() {
        entries = Entries(stored.items().to_vec());
    }
    entries.store(new);
}

/// Records in `entries` what a write changed from `live` to `new`.
fn record_update(
    versions: &dyn Versions,
    live: &Value,
    new: &Value,
    entries: &mut Entries,
    write: &Write<'_>,
) -> Result<(), String> {
    let Some(shape) = versions.shape(write.api_version) else {
        return Err(format!("nobody serves {}", write.api_version));
    };
    if matches!(shape, Shape::Custom(..)) {
        typed::fits(shape, live)?;
        typed::fits(shape, new)?;
    }
    let comparison = compare(shape, live, new)?.without(write.reset);
    entries.record(comparison, &mut Changes::new(versions, live, new, write.reset), write)
}

#[cfg(test)]
mod tests;
