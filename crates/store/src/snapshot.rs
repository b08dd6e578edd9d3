//! The whole store at one revision: a persistent map that shares what did not
//! change with the revisions before and after it.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use crate::key::{bounds, end_of};
use crate::{Entry, Key, Revision, Trigger};

/// A member of the secondary index: which keys carry a trigger.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Carrier {
    trigger: Trigger,
    key: Key,
}

/// An entry, with what is looked at before it is.
#[derive(Clone)]
struct Slot {
    marks: u64,
    entry: Arc<Entry>,
}

/// The root map of one revision. Cloning is O(1); changing a clone copies only
/// the path to what changes.
#[derive(Clone)]
pub(crate) struct Root {
    pub revision: Revision,
    entries: OrdMap<Key, Slot>,
    carriers: OrdSet<Carrier>,
}

impl Root {
    pub fn empty(revision: Revision) -> Self {
        Self { revision, entries: OrdMap::new(), carriers: OrdSet::new() }
    }

    pub fn get(&self, key: &str) -> Option<&Arc<Entry>> {
        self.entries.get(key).map(|slot| &slot.entry)
    }

    /// Puts `entry` under its key and gives what was there.
    pub fn put(&mut self, entry: Arc<Entry>) -> Option<Arc<Entry>> {
        let slot = Slot { marks: entry.indexed.marks, entry: entry.clone() };
        let previous = self.entries.insert(entry.key.clone(), slot).map(|slot| slot.entry);
        let before = previous.as_ref().map_or(&[][..], |previous| &previous.indexed.triggers);
        self.carry(&entry.key, before, &entry.indexed.triggers);
        previous
    }

    /// Takes the key out and gives what was there.
    pub fn remove(&mut self, key: &Key) -> Option<Arc<Entry>> {
        let previous = self.entries.remove(key.as_str())?.entry;
        self.carry(key, &previous.indexed.triggers, &[]);
        Some(previous)
    }

    /// Makes the key be as it was before.
    pub fn restore(&mut self, key: &Key, entry: Option<Arc<Entry>>) {
        match entry {
            Some(entry) => self.put(entry),
            None => self.remove(key),
        };
    }

    fn carry(&mut self, key: &Key, before: &[Trigger], after: &[Trigger]) {
        for trigger in before.iter().filter(|trigger| !after.contains(trigger)) {
            self.carriers.remove(&Carrier { trigger: trigger.clone(), key: key.clone() });
        }
        for trigger in after.iter().filter(|trigger| !before.contains(trigger)) {
            self.carriers.insert(Carrier { trigger: trigger.clone(), key: key.clone() });
        }
    }

    pub fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.entries.values().map(|slot| &slot.entry)
    }
}

/// The store at one revision. Cheap to take, to clone and to hold; it does not
/// change, and holding it keeps alive what has been replaced since.
#[derive(Clone)]
pub struct Snapshot(pub(crate) Root);

impl Snapshot {
    pub fn revision(&self) -> Revision {
        self.0.revision
    }

    pub fn get(&self, key: &Key) -> Option<&Arc<Entry>> {
        self.0.get(key.as_str())
    }

    /// The entries whose keys begin with `prefix` and are greater than `after`
    /// (which need not exist), in the order of keys.
    pub fn range<'a>(
        &'a self,
        prefix: &str,
        after: Option<&str>,
    ) -> impl DoubleEndedIterator<Item = &'a Arc<Entry>> {
        self.marked(prefix, after, 0)
    }

    /// As [`Snapshot::range`], without the entries that lack one of these
    /// marks: those are passed by without a visit.
    pub fn marked<'a>(
        &'a self,
        prefix: &str,
        after: Option<&str>,
        marks: u64,
    ) -> impl DoubleEndedIterator<Item = &'a Arc<Entry>> {
        let end = end_of(prefix);
        let slots = self.0.entries.range::<_, str>(bounds(prefix, after, end.as_deref()));
        slots.filter(move |(_, slot)| slot.marks & marks == marks).map(|(_, slot)| &slot.entry)
    }

    /// How many entries [`Snapshot::range`] would give. Walks the index but
    /// touches no entry.
    pub fn count(&self, prefix: &str, after: Option<&str>) -> usize {
        let end = end_of(prefix);
        self.0.entries.range::<_, str>(bounds(prefix, after, end.as_deref())).count()
    }

    /// The entries that carry `trigger` and whose keys begin with `prefix`, in
    /// the order of keys, without a visit to any other.
    pub fn by_trigger<'a>(
        &'a self,
        prefix: &'a str,
        trigger: &'a Trigger,
    ) -> impl Iterator<Item = &'a Arc<Entry>> {
        let first = Carrier { trigger: trigger.clone(), key: Key::from(prefix) };
        self.0
            .carriers
            .range::<_, Carrier>(first..)
            .take_while(move |carrier| carrier.trigger == *trigger && carrier.key.starts_with(prefix))
            .filter_map(|carrier| self.0.get(carrier.key.as_str()))
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.0.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.entries.is_empty()
    }
}
