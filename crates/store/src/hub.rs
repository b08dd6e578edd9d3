//! What every engine publishes to and every reader reads from: the newest root,
//! the window of events, the watchers. Never decides and never touches a disk.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, watch};

use crate::position::Position;
use crate::retained::{Retained, Undo, rewind};
use crate::snapshot::Root;
use crate::subscriptions::{Slot, Subscriptions};
use crate::watch::Scope;
use crate::window::Window;
use crate::{Entry, Error, Event, Key, Limits, Revision, Snapshot};

pub(crate) struct Hub {
    state: RwLock<State>,
    subscriptions: Mutex<Subscriptions>,
    /// Watchers were told of everything up to this revision.
    told: AtomicU64,
    reached: watch::Sender<Revision>,
    closed: AtomicBool,
    watches_ended: AtomicBool,
    /// The next expiry may have changed.
    pub expiry_changed: Notify,
    limits: Limits,
}

struct State {
    root: Root,
    window: Window,
    retained: Retained,
    /// Every key that expires, by its time.
    expiries: BTreeSet<(Timestamp, Key)>,
    /// The newest position that the durable history no longer has; `None` where
    /// the window is all the history there is.
    history_floor: Option<Position>,
}

impl Hub {
    /// A hub that shows `root`. Events up to its revision are not in the window.
    pub fn new(root: Root, history_floor: Option<Position>, limits: Limits) -> Self {
        let revision = root.revision;
        let expiries = root.entries().filter_map(|entry| Some((entry.expires?, entry.key.clone()))).collect();
        let window = Window::after(Position::end_of(revision));
        Self {
            state: RwLock::new(State {
                root,
                window,
                retained: Retained::default(),
                expiries,
                history_floor,
            }),
            subscriptions: Mutex::default(),
            told: AtomicU64::new(revision),
            reached: watch::Sender::new(revision),
            closed: AtomicBool::new(false),
            watches_ended: AtomicBool::new(false),
            expiry_changed: Notify::new(),
            limits,
        }
    }

    pub fn root(&self) -> Root {
        self.state.read().root.clone()
    }

    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.root())
    }

    pub fn revision(&self) -> Revision {
        self.state.read().root.revision
    }

    /// The oldest revision after which all events can still be had.
    pub fn oldest(&self) -> Revision {
        let state = self.state.read();
        let window = state.window.floor();
        state.history_floor.map_or(window, |history| history.min(window)).revision()
    }

    pub fn set_history_floor(&self, floor: Position) {
        self.state.write().history_floor = Some(floor);
    }

    /// Makes `root` and the events that led to it visible to readers. The
    /// watchers are woken by [`Hub::tell`], which must follow.
    pub fn publish(&self, root: Root, events: &[Arc<Event>]) {
        let mut earliest_changed = false;
        let garbage = {
            let mut state = self.state.write();
            let state = &mut *state;
            let mut replaced = 0;
            for event in events {
                replaced += event.previous.as_ref().map_or(0, |previous| previous.weight());
                earliest_changed |= reschedule(&mut state.expiries, event);
                state.window.push(event.clone());
            }
            let old = std::mem::replace(&mut state.root, root);
            (old, state.window.trim(&self.limits), state.retained.replace(replaced, &self.limits))
        };
        // Freed where no reader waits for it.
        drop(garbage);
        if earliest_changed {
            self.expiry_changed.notify_one();
        }
    }

    /// Wakes those who wait for published events.
    pub fn tell(&self, events: &[Arc<Event>]) {
        let Some(last) = events.last() else { return };
        {
            let subscriptions = self.subscriptions.lock();
            events.iter().for_each(|event| subscriptions.tell(event));
        }
        self.told.store(last.revision, Ordering::Release);
        self.reached.send_replace(last.revision);
    }

    /// Every event up to this revision has been told to those who want it.
    pub fn told(&self) -> Revision {
        self.told.load(Ordering::Acquire)
    }

    pub fn subscribe(&self, scope: &Scope, slot: Arc<Slot>) -> u64 {
        self.subscriptions.lock().add(scope, slot)
    }

    pub fn unsubscribe(&self, scope: &Scope, number: u64) {
        self.subscriptions.lock().remove(scope, number);
    }

    pub fn watchers(&self) -> usize {
        self.subscriptions.lock().len()
    }

    /// Moves up to `most` events of `scope` from `from` on to `out` and tells
    /// where to go on, and whether that is the end. `None` where the window no
    /// longer has `from`.
    pub fn scan(
        &self,
        scope: &Scope,
        from: Position,
        most: usize,
        out: &mut impl Extend<Arc<Event>>,
    ) -> Option<(Position, bool)> {
        let state = self.state.read();
        let mut left = most;
        for (position, event) in state.window.from(from)? {
            if left == 0 {
                return Some((*position, false));
            }
            if scope.covers(event) {
                out.extend([event.clone()]);
                left -= 1;
            }
        }
        Some((from.max(Position::start_of(state.root.revision + 1)), true))
    }

    /// The root of `revision` from what is in memory, or `None` where only the
    /// durable history can tell.
    ///
    /// # Errors
    /// [`Error::FutureRevision`]; [`Error::Compacted`] where nothing can tell.
    pub fn root_at(&self, revision: Revision) -> Result<Option<Root>, Error> {
        let (root, undo) = {
            let mut state = self.state.write();
            let state = &mut *state;
            if revision == state.root.revision {
                return Ok(Some(state.root.clone()));
            }
            if revision > state.root.revision {
                return Err(Error::FutureRevision { current: state.root.revision });
            }
            if let Some(root) = state.retained.get(revision) {
                return Ok(Some(root));
            }
            match state.window.from(Position::start_of(revision + 1)) {
                Some(events) => {
                    (state.root.clone(), events.map(|(_, event)| event.clone()).collect::<Vec<_>>())
                }
                None => match state.history_floor {
                    Some(history) if history.revision() <= revision => return Ok(None),
                    Some(history) => {
                        return Err(Error::Compacted {
                            oldest: history.min(state.window.floor()).revision(),
                        });
                    }
                    None => return Err(Error::Compacted { oldest: state.window.floor().revision() }),
                },
            }
        };
        let undo = undo.iter().rev().map(|event| (event.key.clone(), event.previous.clone()));
        Ok(Some(self.rewound(root, revision, undo)))
    }

    /// Makes the root of `revision` from `root` and keeps it for a while.
    pub fn rewound(&self, root: Root, revision: Revision, undo: impl IntoIterator<Item = Undo>) -> Root {
        let (root, replaced) = rewind(root, revision, undo);
        let gone = self.state.write().retained.keep(root.clone(), replaced, &self.limits);
        drop(gone);
        root
    }

    /// # Errors
    /// [`Error::Closed`].
    pub async fn at_least(&self, revision: Revision) -> Result<(), Error> {
        let mut reached = self.reached.subscribe();
        let arrived = reached.wait_for(|current| *current >= revision || self.is_closed()).await;
        if arrived.is_err() || self.is_closed() { Err(Error::Closed) } else { Ok(()) }
    }

    pub fn next_expiry(&self) -> Option<Timestamp> {
        self.state.read().expiries.first().map(|(at, _)| *at)
    }

    /// Up to `most` entries whose time has come.
    pub fn expired(&self, now: Timestamp, most: usize) -> Vec<Arc<Entry>> {
        let state = self.state.read();
        let due = state.expiries.iter().take_while(|(at, _)| *at <= now).take(most);
        due.filter_map(|(_, key)| state.root.get(key.as_str()).cloned()).collect()
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Whether watches are over.
    pub fn has_ended_watches(&self) -> bool {
        self.watches_ended.load(Ordering::Acquire)
    }

    /// Ends watches with [`Error::Closed`].
    pub fn end_watches(&self) {
        self.watches_ended.store(true, Ordering::Release);
        self.subscriptions.lock().wake_all();
    }

    /// Ends all waiting with [`Error::Closed`].
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.end_watches();
        self.reached.send_modify(|_| ());
    }
}

/// Follows an event in the schedule of expiries; tells whether the first time
/// in it is now another.
fn reschedule(expiries: &mut BTreeSet<(Timestamp, Key)>, event: &Event) -> bool {
    let of = |entry: &Option<Arc<Entry>>| entry.as_ref().and_then(|entry| entry.expires);
    let (before, after) = (of(&event.previous), of(&event.current));
    if before.is_none() && after.is_none() {
        return false;
    }
    let first = expiries.first().map(|(at, _)| *at);
    if let Some(at) = before {
        expiries.remove(&(at, event.key.clone()));
    }
    if let Some(at) = after {
        expiries.insert((at, event.key.clone()));
    }
    first != expiries.first().map(|(at, _)| *at)
}
