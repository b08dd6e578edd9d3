//! The pods that wait for a node.
//!
//! ```text
//!  put ──► gated ──► active ──pop──► working ──► (bound: removed)
//!                      ▲  ▲             │  │
//!                      │  └─ backing ◄──┘  └──► unschedulable
//!                      │      off   (an error)     │ a change that helps,
//!                      └─────────────◄─────────────┘ or five minutes
//! ```
//!
//! Pure: time comes in. Nothing is polled: [`Queue::next_wake`] says when time
//! alone changes something.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use informer::ObjectKey;
use tokio::time::Instant;

use crate::PodInfo;
use crate::framework::Hint;
use crate::pod_info::{SharedPod, Wishes};

/// Pauses between tries of one pod: the first, doubling up to the most.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const MOST_PAUSE: Duration = Duration::from_secs(10);
/// An unschedulable pod is tried again after so long without any hint.
const LEFT_OVER: Duration = Duration::from_mins(5);

/// See the module.
#[derive(Debug, Default)]
pub struct Queue {
    entries: BTreeMap<ObjectKey, Entry>,
    /// By rank, then arrival.
    active: BTreeSet<(i64, u64, ObjectKey)>,
    /// By the end of the pause. Pods that were found unschedulable do not
    /// wait for it while nothing else is to be done.
    hinted: BTreeSet<(Instant, ObjectKey)>,
    failed: BTreeSet<(Instant, ObjectKey)>,
    unschedulable: BTreeSet<(Instant, ObjectKey)>,
    arrivals: u64,
}

#[derive(Debug)]
struct Entry {
    pod: SharedPod,
    rank: i64,
    arrival: u64,
    attempts: u32,
    tried: Option<Instant>,
    rejected_by: BTreeSet<&'static str>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Gated,
    Active,
    /// Waits until then after a hint.
    Hinted(Instant),
    /// Waits until then after an error.
    Failed(Instant),
    /// Waits for a change since then.
    Unschedulable(Instant),
    Working,
}

/// How many pods are in which part (`scheduler_pending_pods`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    pub active: usize,
    pub backoff: usize,
    pub unschedulable: usize,
    pub gated: usize,
}

impl Queue {
    /// Adds a pod, or learns what is new of it. `gated`: a plugin keeps it out.
    pub fn put(&mut self, pod: SharedPod, rank: i64, gated: bool, now: Instant) {
        let key = pod.key();
        if self.entries.get(&key).is_some_and(|entry| entry.pod.uid != pod.uid) {
            self.remove(&key);
        }
        let Some(entry) = self.entries.get_mut(&key) else {
            self.arrivals += 1;
            let entry = Entry {
                pod,
                rank,
                arrival: self.arrivals,
                attempts: 0,
                tried: None,
                rejected_by: BTreeSet::new(),
                state: State::Gated,
            };
            self.entries.insert(key.clone(), entry);
            if !gated {
                self.enter(&key, State::Active);
            }
            return;
        };
        let helped = asks_otherwise(&entry.pod, &pod);
        entry.pod = pod;
        match entry.state {
            State::Gated if !gated => self.enter(&key, State::Active),
            State::Active | State::Hinted(_) | State::Failed(_) | State::Unschedulable(_) if gated => {
                self.enter(&key, State::Gated);
            }
            State::Unschedulable(_) if helped => self.move_on(&key, now),
            State::Active if entry.rank != rank => {
                let place = (entry.rank, entry.arrival, key.clone());
                self.active.remove(&place);
                entry.rank = rank;
                self.active.insert((rank, entry.arrival, key));
            }
            _ => entry.rank = rank,
        }
    }

    /// Forgets a pod: it has a node or is gone.
    pub fn remove(&mut self, key: &ObjectKey) {
        if let Some(entry) = self.entries.get(key) {
            let (state, place) = (entry.state, (entry.rank, entry.arrival, key.clone()));
            self.leave(state, place);
            self.entries.remove(key);
        }
    }

    /// The next pod to try. The caller tells the outcome by [`Queue::remove`],
    /// [`Queue::set_unschedulable`] or [`Queue::set_failed`].
    pub fn pop(&mut self, now: Instant) -> Option<SharedPod> {
        self.let_in(now);
        let key = match self.active.first() {
            Some((_, _, key)) => key.clone(),
            // Idle: no reason to make a pod that may fit wait.
            None => self.hinted.first()?.1.clone(),
        };
        self.enter(&key, State::Working);
        let entry = self.entries.get_mut(&key)?;
        entry.attempts += 1;
        entry.tried = Some(now);
        Some(entry.pod.clone())
    }

    /// What is known of a pod that is being worked on.
    pub fn working(&self, key: &ObjectKey, uid: &str) -> Option<&SharedPod> {
        let entry = self.entries.get(key)?;
        (entry.state == State::Working && entry.pod.uid == uid).then_some(&entry.pod)
    }

    /// No node fits: the pod waits for a change that one of `plugins` hopes for.
    pub fn set_unschedulable(&mut self, key: &ObjectKey, plugins: BTreeSet<&'static str>, now: Instant) {
        if let Some(entry) = self.entries.get_mut(key).filter(|entry| entry.state == State::Working) {
            entry.rejected_by = plugins;
            self.enter(key, State::Unschedulable(now));
        }
    }

    /// Something went wrong: the pod is tried again after a pause.
    pub fn set_failed(&mut self, key: &ObjectKey, now: Instant) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.rejected_by.clear();
            let until = entry.tried.unwrap_or(now) + pause_after(entry.attempts);
            self.enter(key, State::Failed(until));
        }
    }

    /// Something has changed: moves on the pods of which a plugin that
    /// rejected them says so. A pod that no plugin rejected (there were no
    /// nodes) moves on at any change.
    pub fn on_change(&mut self, now: Instant, hint: impl Fn(&'static str, &PodInfo) -> Hint) {
        let helped = |entry: &Entry| {
            entry.rejected_by.is_empty()
                || entry.rejected_by.iter().any(|plugin| hint(plugin, &entry.pod) == Hint::Queue)
        };
        let waiting = self.unschedulable.iter().map(|(_, key)| key);
        let moved: Vec<_> =
            waiting.filter(|key| self.entries.get(*key).is_some_and(helped)).cloned().collect();
        moved.iter().for_each(|key| self.move_on(key, now));
    }

    /// When a pod becomes active by time alone.
    pub fn next_wake(&self) -> Option<Instant> {
        let first = |set: &BTreeSet<(Instant, ObjectKey)>| set.first().map(|(at, _)| *at);
        let left_over = first(&self.unschedulable).map(|since| since + LEFT_OVER);
        [first(&self.failed), first(&self.hinted), left_over].into_iter().flatten().min()
    }

    pub fn pending(&self) -> Pending {
        let gated = self.entries.values().filter(|entry| entry.state == State::Gated).count();
        Pending {
            active: self.active.len(),
            backoff: self.hinted.len() + self.failed.len(),
            unschedulable: self.unschedulable.len(),
            gated,
        }
    }

    /// Takes back into the active part what has waited long enough.
    fn let_in(&mut self, now: Instant) {
        let due = |set: &BTreeSet<(Instant, ObjectKey)>, wait: Duration| -> Vec<ObjectKey> {
            set.iter().take_while(|(at, _)| *at + wait <= now).map(|(_, key)| key.clone()).collect()
        };
        let mut keys = due(&self.failed, Duration::ZERO);
        keys.extend(due(&self.hinted, Duration::ZERO));
        keys.extend(due(&self.unschedulable, LEFT_OVER));
        keys.iter().for_each(|key| self.enter(key, State::Active));
    }

    /// From unschedulable to active, by way of what is left of the pause.
    fn move_on(&mut self, key: &ObjectKey, now: Instant) {
        let Some(entry) = self.entries.get(key) else { return };
        let until = entry.tried.unwrap_or(now) + pause_after(entry.attempts);
        self.enter(key, if until <= now { State::Active } else { State::Hinted(until) });
    }

    fn enter(&mut self, key: &ObjectKey, state: State) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let old = std::mem::replace(&mut entry.state, state);
        let place = (entry.rank, entry.arrival, key.clone());
        self.leave(old, place.clone());
        match state {
            State::Active => drop(self.active.insert(place)),
            State::Hinted(until) => drop(self.hinted.insert((until, place.2))),
            State::Failed(until) => drop(self.failed.insert((until, place.2))),
            State::Unschedulable(since) => drop(self.unschedulable.insert((since, place.2))),
            State::Gated | State::Working => {}
        }
    }

    fn leave(&mut self, state: State, place: (i64, u64, ObjectKey)) {
        match state {
            State::Active => drop(self.active.remove(&place)),
            State::Hinted(until) => drop(self.hinted.remove(&(until, place.2))),
            State::Failed(until) => drop(self.failed.remove(&(until, place.2))),
            State::Unschedulable(since) => drop(self.unschedulable.remove(&(since, place.2))),
            State::Gated | State::Working => {}
        }
    }
}

fn pause_after(attempts: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << attempts.saturating_sub(1).min(8)).min(MOST_PAUSE)
}

/// Whether a pod's own change may make it fit; its status does not.
fn asks_otherwise(old: &PodInfo, new: &PodInfo) -> bool {
    let spec = |wishes: &Wishes| Wishes { scheduled: None, nominated_node: String::new(), ..wishes.clone() };
    old.labels != new.labels
        || old.requests != new.requests
        || old.priority != new.priority
        || spec(old.wishes()) != spec(new.wishes())
}

#[cfg(test)]
mod tests;
