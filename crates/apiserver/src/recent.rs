//! Events as they were just encoded. Many watchers are told of one change at
//! about the same time and mostly in the same form; it is made once for them.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::catalogue::Resource;
use crate::generic::Change;
use crate::negotiate::Wanted;

/// How many changes are kept; a power of two.
const CHANGES: usize = 16;
/// What is longer is not kept.
const LONGEST: usize = 256 << 10;

/// A change in one form.
#[derive(Clone)]
pub(crate) struct Form {
    pub resource: Arc<Resource>,
    /// Index into the resource's versions.
    pub version: usize,
    pub change: Change,
    pub wanted: Wanted,
}

impl Form {
    fn is(&self, other: &Form) -> bool {
        let key = |form: &Form| (form.change.revision, form.change.kind, form.version, form.wanted);
        key(self) == key(other)
            && Arc::ptr_eq(&self.change.entry, &other.change.entry)
            && Arc::ptr_eq(&self.resource, &other.resource)
    }
}

/// See the module. Holds a form for each of the last few changes, and what they hold.
#[derive(Default)]
pub(crate) struct Recent([Mutex<Option<(Form, Bytes)>>; CHANGES]);

impl Recent {
    /// The event as it was encoded for somebody else, or as `encode` makes it.
    pub fn get_or_encode(&self, form: Form, encode: impl FnOnce(&Form) -> Vec<u8>) -> Bytes {
        let place = &self.0[form.change.revision as usize % CHANGES];
        if let Some((_, chunk)) = place.lock().as_ref().filter(|(kept, _)| kept.is(&form)) {
            return chunk.clone();
        }
        let chunk = Bytes::from(encode(&form));
        if chunk.len() <= LONGEST {
            let before = place.lock().replace((form, chunk.clone()));
            // Freed where nobody waits for the lock.
            drop(before);
        }
        chunk
    }
}
