//! What an applier no longer applies goes, unless somebody else owns it
//! (structured-merge-diff's `Updater.prune`).

use std::collections::BTreeMap;

use super::fields;
use super::remove::{with_named, without};
use super::set::Set;
use super::shape::Shape;
use super::versions::Versions;
use crate::Value;

/// What everybody owns after an apply, by version.
pub(super) type Owned<'a> = BTreeMap<&'a str, Set>;

/// `merged` (in `api_version`) without what is in `last`, the applier's former
/// fields, and neither in `owned` nor held by something that is. Paths of
/// `last` count as they are, also where they were recorded in another version.
///
/// # Errors
/// Why an object cannot be converted.
pub(super) fn prune(
    versions: &dyn Versions,
    shape: Shape<'_>,
    api_version: &str,
    merged: Value,
    last: &Set,
    owned: &Owned<'_>,
) -> Result<Value, String> {
    let mut gone = last.clone();
    if let Some(kept) = owned.get(api_version) {
        gone.subtract(kept);
    }
    if gone.is_empty() {
        return Ok(merged);
    }
    let last = with_named(shape, last);
    let mut pruned = without(shape, &merged, &last);
    // The request's own version goes first: what is required there may be
    // needed to convert to another one.
    if let Some(set) = owned.get(api_version) {
        pruned = add_back(shape, &merged, &pruned, set);
    }
    for (other, set) in owned.iter().filter(|(other, _)| **other != api_version) {
        let Some(there) = versions.shape(other) else { continue };
        let (merged, cut) = (versions.convert(&merged, other)?, versions.convert(&pruned, other)?);
        pruned = versions.convert(&add_back(there, &merged, &cut, set), api_version)?;
    }
    // What nobody owns stays too, as far as it is not below what went.
    let mut removed = with_named(shape, &fields::of(shape, &merged));
    removed.subtract(&with_named(shape, &fields::of(shape, &pruned)));
    Ok(without(shape, &merged, &removed.intersection(&last)))
}

/// `merged` without what `pruned` lacks and `owned` does not name.
fn add_back(shape: Shape<'_>, merged: &Value, pruned: &Value, owned: &Set) -> Value {
    let mut gone = with_named(shape, &fields::of(shape, merged));
    gone.subtract(&with_named(shape, &fields::of(shape, pruned)));
    gone.subtract(&with_named(shape, owned));
    without(shape, merged, &gone)
}
