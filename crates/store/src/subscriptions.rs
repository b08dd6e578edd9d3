//! Who waits for what: watchers found by the key and the triggers of an event,
//! so that one event costs the same however many others wait for other things.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::task::AtomicWaker;

use crate::position::Position;
use crate::watch::Scope;
use crate::{Event, Trigger};

/// Where one watcher is told that there is something for it.
#[derive(Default)]
pub(crate) struct Slot {
    /// The position of the first event since the watcher last took this that it
    /// may want; 0 for none.
    pending: AtomicU64,
    pub waker: AtomicWaker,
}

impl Slot {
    pub fn take(&self) -> Option<Position> {
        match self.pending.swap(0, Ordering::AcqRel) {
            0 => None,
            position => Some(Position(position)),
        }
    }

    pub fn is_pending(&self) -> bool {
        self.pending.load(Ordering::Acquire) != 0
    }

    fn tell(&self, position: Position) {
        if self.pending.compare_exchange(0, position.0, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            self.waker.wake();
        }
    }
}

/// Slots in the order of their registration.
type Slots = BTreeMap<u64, Arc<Slot>>;

/// Those who watch one prefix. The maps are only looked up, never walked in
/// their random order.
#[derive(Default)]
struct Watchers {
    all: Slots,
    by_trigger: HashMap<Trigger, Slots>,
}

#[derive(Default)]
pub(crate) struct Subscriptions {
    by_prefix: HashMap<Arc<str>, Watchers>,
    every: Slots,
    last: u64,
}

impl Subscriptions {
    pub fn add(&mut self, scope: &Scope, slot: Arc<Slot>) -> u64 {
        self.last += 1;
        self.every.insert(self.last, slot.clone());
        let watchers = self.by_prefix.entry(scope.prefix.clone()).or_default();
        match &scope.trigger {
            None => watchers.all.insert(self.last, slot),
            Some(trigger) => watchers.by_trigger.entry(trigger.clone()).or_default().insert(self.last, slot),
        };
        self.last
    }

    pub fn remove(&mut self, scope: &Scope, number: u64) {
        self.every.remove(&number);
        let Some(watchers) = self.by_prefix.get_mut(&scope.prefix) else { return };
        match &scope.trigger {
            None => {
                watchers.all.remove(&number);
            }
            Some(trigger) => {
                if let Some(slots) = watchers.by_trigger.get_mut(trigger) {
                    slots.remove(&number);
                    if slots.is_empty() {
                        watchers.by_trigger.remove(trigger);
                    }
                }
            }
        }
        if watchers.all.is_empty() && watchers.by_trigger.is_empty() {
            self.by_prefix.remove(&scope.prefix);
        }
    }

    /// Wakes those who may want `event`.
    pub fn tell(&self, event: &Event) {
        if self.every.is_empty() {
            return;
        }
        let position = Position::new(event.revision, event.place);
        for prefix in scopes_of(event.key.as_str()) {
            let Some(watchers) = self.by_prefix.get(prefix) else { continue };
            watchers.all.values().for_each(|slot| slot.tell(position));
            if !watchers.by_trigger.is_empty() {
                triggers_of(event)
                    .filter_map(|trigger| watchers.by_trigger.get(trigger))
                    .flat_map(|slots| slots.values())
                    .for_each(|slot| slot.tell(position));
            }
        }
    }

    pub fn wake_all(&self) {
        self.every.values().for_each(|slot| slot.waker.wake());
    }

    pub fn len(&self) -> usize {
        self.every.len()
    }
}

/// The prefixes that cover `key`: the empty one, each up to a slash, and itself.
fn scopes_of(key: &str) -> impl Iterator<Item = &str> {
    let whole = (!key.ends_with('/') && !key.is_empty()).then_some(key);
    std::iter::once("").chain(key.match_indices('/').map(|(at, _)| &key[..=at])).chain(whole)
}

/// The triggers before and after, each once.
fn triggers_of(event: &Event) -> impl Iterator<Item = &Trigger> {
    let before = event.previous.as_ref().map_or(&[][..], |entry| &entry.indexed.triggers);
    let after = event.current.as_ref().map_or(&[][..], |entry| &entry.indexed.triggers);
    after.iter().chain(before.iter().filter(|trigger| !after.contains(trigger)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Entry, Indexed};

    #[test]
    fn a_key_is_covered_by_its_folders_and_itself() {
        let scopes: Vec<_> = scopes_of("/registry/pods/a").collect();
        assert_eq!(scopes, ["", "/", "/registry/", "/registry/pods/", "/registry/pods/a"]);
    }

    fn entry(node: &str) -> Option<Arc<Entry>> {
        Some(Arc::new(Entry {
            key: "/pods/a".into(),
            value: "".into(),
            created: 2,
            revision: 2,
            indexed: Indexed::new(Arc::new(()), [Trigger::new("node", node)]),
            expires: None,
            place: 0,
        }))
    }

    #[test]
    fn only_those_who_may_want_an_event_are_told() {
        let node = |name: &str| Some(Trigger::new("node", name));
        let event = Event {
            revision: 3,
            key: "/pods/a".into(),
            previous: entry("one"),
            current: entry("two"),
            place: 0,
        };
        let cases = [
            ("", None, true),
            ("/pods/", None, true),
            ("/pods/a", None, true),
            ("/pods/b", None, false),
            ("/nodes/", None, false),
            ("/pods/", node("one"), true),
            ("/pods/", node("two"), true),
            ("/pods/", node("three"), false),
            ("/nodes/", node("one"), false),
        ];
        for (prefix, trigger, wanted) in cases {
            let mut subscriptions = Subscriptions::default();
            let slot = Arc::new(Slot::default());
            let scope = Scope { prefix: prefix.into(), trigger };
            let number = subscriptions.add(&scope, slot.clone());
            subscriptions.tell(&event);
            assert_eq!(slot.take(), wanted.then_some(Position::new(3, 0)), "{scope:?}");
            subscriptions.remove(&scope, number);
            subscriptions.tell(&event);
            assert!(!slot.is_pending() && subscriptions.by_prefix.is_empty() && subscriptions.len() == 0);
        }
    }
}
