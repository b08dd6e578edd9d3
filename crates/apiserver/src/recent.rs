//! Events as they were just encoded. Many watchers are told of the same changes
//! at about the same time and mostly in the same form; it is made once for them.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::catalogue::Resource;
use crate::generic::Change;
use crate::negotiate::Wanted;

/// How many chunks are kept; a power of two.
const CHUNKS: usize = 16;
/// What is longer is not kept.
const LONGEST: usize = 256 << 10;

/// Changes in one form.
#[derive(Clone, Copy)]
pub(crate) struct Form<'a> {
    pub resource: &'a Arc<Resource>,
    /// Index into the resource's versions.
    pub version: usize,
    /// One at least.
    pub changes: &'a [Change],
    pub wanted: Wanted,
}

/// A form and how it was encoded.
struct Kept {
    resource: Arc<Resource>,
    version: usize,
    changes: Box<[Change]>,
    wanted: Wanted,
    chunk: Bytes,
}

impl Kept {
    fn is(&self, form: Form<'_>) -> bool {
        let Kept { resource, version, changes, wanted, .. } = self;
        let same = |(one, other): (&Change, &Change)| {
            (one.revision, one.kind) == (other.revision, other.kind) && Arc::ptr_eq(&one.entry, &other.entry)
        };
        (changes.len(), *version, *wanted) == (form.changes.len(), form.version, form.wanted)
            && changes.iter().zip(form.changes).all(same)
            && Arc::ptr_eq(resource, form.resource)
    }
}

/// See the module. Holds the last few chunks, and what they tell of.
#[derive(Default)]
pub(crate) struct Recent([Mutex<Option<Kept>>; CHUNKS]);

impl Recent {
    /// The events as they were encoded for somebody else, or as `encode` makes them.
    pub fn get_or_encode(&self, form: Form<'_>, encode: impl FnOnce() -> Vec<u8>) -> Bytes {
        let first = form.changes.first().map_or(0, |change| change.revision);
        let place = &self.0[first as usize % CHUNKS];
        if let Some(kept) = place.lock().as_ref().filter(|kept| kept.is(form)) {
            return kept.chunk.clone();
        }
        let chunk = Bytes::from(encode());
        if chunk.len() <= LONGEST {
            let Form { resource, version, changes, wanted } = form;
            let (resource, changes) = (resource.clone(), changes.into());
            let before =
                place.lock().replace(Kept { resource, version, changes, wanted, chunk: chunk.clone() });
            // Freed where nobody waits for the lock.
            drop(before);
        }
        chunk
    }
}
