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
#[derive(Clone, Copy)]
pub(crate) struct Form<'a> {
    pub resource: &'a Arc<Resource>,
    /// Index into the resource's versions.
    pub version: usize,
    pub change: &'a Change,
    pub wanted: Wanted,
}

/// A form and how it was encoded.
struct Kept {
    resource: Arc<Resource>,
    version: usize,
    change: Change,
    wanted: Wanted,
    chunk: Bytes,
}

impl Kept {
    fn is(&self, form: Form<'_>) -> bool {
        let Kept { resource, version, change, wanted, .. } = self;
        (change.revision, change.kind, *version, *wanted)
            == (form.change.revision, form.change.kind, form.version, form.wanted)
            && Arc::ptr_eq(&change.entry, &form.change.entry)
            && Arc::ptr_eq(resource, form.resource)
    }
}

/// See the module. Holds a form for each of the last few changes, and what they hold.
#[derive(Default)]
pub(crate) struct Recent([Mutex<Option<Kept>>; CHANGES]);

impl Recent {
    /// The event as it was encoded for somebody else, or as `encode` makes it.
    pub fn get_or_encode(&self, form: Form<'_>, encode: impl FnOnce() -> Vec<u8>) -> Bytes {
        let place = &self.0[form.change.revision as usize % CHANGES];
        if let Some(kept) = place.lock().as_ref().filter(|kept| kept.is(form)) {
            return kept.chunk.clone();
        }
        let chunk = Bytes::from(encode());
        if chunk.len() <= LONGEST {
            let Form { resource, version, change, wanted } = form;
            let (resource, change) = (resource.clone(), change.clone());
            let before =
                place.lock().replace(Kept { resource, version, change, wanted, chunk: chunk.clone() });
            // Freed where nobody waits for the lock.
            drop(before);
        }
        chunk
    }
}
