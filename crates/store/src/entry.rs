//! What the store holds under a key, and what it tells when that changes.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use crate::{Key, Revision};

/// Whatever the user of the store decoded from a value and wants to find again
/// beside it; `downcast_ref` gives it back.
pub type Header = Arc<dyn Any + Send + Sync>;

/// What a value says about itself, as its user decoded it. The store takes it
/// from the proposal on writes and asks the [`Indexer`] only for what it reads
/// from disk, so that nothing is decoded twice.
#[derive(Clone)]
pub struct Indexed {
    pub header: Header,
    /// At most one for each index name.
    pub triggers: Box<[Trigger]>,
    /// Bits that a walk over many entries can look at without a visit to any:
    /// who wants some of them finds no entry that lacks one of those.
    pub marks: u64,
}

impl Indexed {
    pub fn new(header: Header, triggers: impl Into<Box<[Trigger]>>) -> Self {
        Self { header, triggers: triggers.into(), marks: 0 }
    }

    /// The same with other marks.
    pub fn marked(self, marks: u64) -> Self {
        Self { marks, ..self }
    }

    /// No header, no triggers.
    pub fn nothing() -> Self {
        Self { header: Arc::new(()), triggers: Box::default(), marks: 0 }
    }
}

impl fmt::Debug for Indexed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.triggers.fmt(out)
    }
}

/// One value by which watchers and lists choose: ("spec.nodeName", "node-1").
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Trigger {
    pub index: &'static str,
    pub value: Arc<str>,
}

impl Trigger {
    pub fn new(index: &'static str, value: impl Into<Arc<str>>) -> Self {
        Self { index, value: value.into() }
    }
}

/// Decodes values that the store reads from disk: on opening, and for history.
/// It must not fail: of a value that it cannot decode it makes a header that
/// says so. It is called from several threads at once.
pub trait Indexer: Send + Sync + 'static {
    fn index(&self, key: &Key, value: &Bytes) -> Indexed;
}

/// Decodes nothing.
pub struct NoIndex;

impl Indexer for NoIndex {
    fn index(&self, _: &Key, _: &Bytes) -> Indexed {
        Indexed::nothing()
    }
}

/// A value under a key. Immutable: a change makes a new entry.
#[derive(Debug)]
pub struct Entry {
    pub key: Key,
    /// As proposed; encryption is undone before it gets here.
    pub value: Bytes,
    /// The revision that created the key (after its last deletion, if any).
    pub created: Revision,
    /// The revision of the last change.
    pub revision: Revision,
    pub indexed: Indexed,
    /// When it deletes itself.
    pub expires: Option<Timestamp>,
    /// Its place among the operations of its transaction; with `revision` the
    /// number of its row.
    pub(crate) place: u16,
}

impl Entry {
    pub fn has(&self, trigger: &Trigger) -> bool {
        self.indexed.triggers.contains(trigger)
    }

    /// The header, if it is of type `T`.
    pub fn header<T: 'static>(&self) -> Option<&T> {
        self.indexed.header.downcast_ref()
    }

    /// About how many bytes go when the last reference to this goes.
    pub(crate) fn weight(&self) -> usize {
        self.value.len() + self.key.as_str().len() + 256
    }
}

/// A change of one key. `previous` is `None` for a creation, `current` for a
/// deletion; never both.
#[derive(Debug)]
pub struct Event {
    pub revision: Revision,
    pub key: Key,
    pub previous: Option<Arc<Entry>>,
    pub current: Option<Arc<Entry>>,
    /// The place among the changes of its transaction.
    pub(crate) place: u16,
}

impl Event {
    /// Whether the entry before or the entry after carries `trigger`.
    pub fn touches(&self, trigger: &Trigger) -> bool {
        [&self.previous, &self.current].into_iter().flatten().any(|entry| entry.has(trigger))
    }
}
