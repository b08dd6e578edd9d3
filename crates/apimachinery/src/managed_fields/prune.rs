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
/// fields as they were recorded in `last_version`, and neither in `owned` nor
/// held by something that is.
///
/// # Errors
/// Why an object cannot be converted.
pub(super) fn prune(
    versions: &dyn Versions,
    shape: Shape<'_>,
    api_version: &str,
    merged: Value,
    (last_version, last): (&str, &Set),
    owned: &Owned<'_>,
) -> Result<Value, String> {
    if last_version == api_version {
        let mut gone = last.clone();
        if let Some(kept) = owned.get(api_version) {
            gone.subtract(kept);
        }
        if gone.is_empty() {
            return Ok(merged);
        }
    }
    let there = if last_version == api_version { Some(shape) } else { versions.shape(last_version) };
    // A version that is served no more cannot say what went.
    let Some(there) = there.filter(|_| !last.is_empty()) else { return Ok(merged) };
    let convert = |object: Value, version: &str| match object["apiVersion"].text() == version {
        true => Ok(object),
        false => versions.convert(&object, version),
    };
    let base = convert(merged, last_version)?;
    let last = with_named(there, last);
    let mut pruned = without(there, &base, &last);
    // The version of what went goes first: what is required there may be needed
    // to convert to another one.
    let first = owned.get_key_value(last_version);
    let others = owned.iter().filter(|(version, _)| **version != last_version);
    let mut whole = base.clone();
    for (version, set) in first.into_iter().chain(others) {
        let Some(shape) = versions.shape(version) else { continue };
        (whole, pruned) = (convert(whole, version)?, convert(pruned, version)?);
        pruned = add_back(shape, &whole, &pruned, set);
    }
    // What nobody owns stays too, as far as it is not below what went.
    let pruned = convert(pruned, last_version)?;
    let mut removed = with_named(there, &fields::of(there, &base));
    removed.subtract(&with_named(there, &fields::of(there, &pruned)));
    convert(without(there, &base, &removed.intersection(&last)), api_version)
}

/// `merged` without what `pruned` lacks and `owned` does not name.
fn add_back(shape: Shape<'_>, merged: &Value, pruned: &Value, owned: &Set) -> Value {
    let mut gone = with_named(shape, &fields::of(shape, merged));
    gone.subtract(&with_named(shape, &fields::of(shape, pruned)));
    gone.subtract(&with_named(shape, owned));
    without(shape, merged, &gone)
}
