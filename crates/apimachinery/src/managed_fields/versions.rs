//! The versions of a kind, for ownership that was recorded in another one.

use std::collections::BTreeMap;

use super::compare::{Comparison, compare};
use super::set::Set;
use super::shape::Shape;
use crate::Value;

/// What is served of a kind. Trees know their version by their `apiVersion`.
pub trait Versions {
    /// How values of a version divide; `None` where it is not served.
    fn shape(&self, api_version: &str) -> Option<Shape<'_>>;

    /// `object` in another version that has a shape.
    ///
    /// # Errors
    /// Why it cannot be expressed there.
    fn convert(&self, object: &Value, api_version: &str) -> Result<Value, String>;
}

/// A kind with one version.
pub struct Single<'a> {
    pub api_version: &'a str,
    pub shape: Shape<'a>,
}

impl Versions for Single<'_> {
    fn shape(&self, api_version: &str) -> Option<Shape<'_>> {
        (api_version == self.api_version).then_some(self.shape)
    }

    fn convert(&self, object: &Value, _: &str) -> Result<Value, String> {
        Ok(object.clone())
    }
}

/// What a write changed, in each version in which somebody owns fields.
pub(super) struct Changes<'a> {
    versions: &'a dyn Versions,
    old: &'a Value,
    new: &'a Value,
    /// Fields that nobody comes to own by the write.
    reset: &'a Set,
    /// `None` for versions that are no longer served.
    found: BTreeMap<String, Option<Comparison>>,
}

impl<'a> Changes<'a> {
    pub fn new(versions: &'a dyn Versions, old: &'a Value, new: &'a Value, reset: &'a Set) -> Self {
        Changes { versions, old, new, reset, found: BTreeMap::new() }
    }

    /// The changes as `api_version` has them; `None` where nobody serves it.
    ///
    /// # Errors
    /// Why the objects cannot be converted or compared.
    pub fn of(&mut self, api_version: &str) -> Result<Option<&Comparison>, String> {
        if !self.found.contains_key(api_version) {
            let made = match self.versions.shape(api_version) {
                None => None,
                Some(shape) => {
                    let old = self.versions.convert(self.old, api_version)?;
                    let new = self.versions.convert(self.new, api_version)?;
                    Some(compare(shape, &old, &new)?.without(self.reset))
                }
            };
            self.found.insert(api_version.to_owned(), made);
        }
        Ok(self.found.get(api_version).and_then(Option::as_ref))
    }
}
