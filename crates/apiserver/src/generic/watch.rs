//! watch: what happens to the objects of a list, from a revision on.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use apimachinery::Status;
use client::WatchKind;
use store::{Entry, Event, Scope, Watch};
use tokio::time::{Instant, Sleep};

use super::list::prefix;
use super::selection::revision_number;
use super::{Selection, Target};
use crate::ApiServer;
use crate::catalogue::Resource;

/// How often a watch that wants bookmarks gets one.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// How long before its end it gets the last one.
const LAST_BOOKMARK: Duration = Duration::from_secs(2);
/// Watches without a timeout end after this to twice this.
const LEAST_TIMEOUT: u64 = 1800;

/// Something to be told to a watcher.
pub(crate) enum Item {
    Change(Change),
    Bookmark {
        revision: u64,
        ends_initial_events: bool,
    },
    /// The watch cannot go on.
    Error(Status),
}

/// What became of an object.
#[derive(Clone)]
pub(crate) struct Change {
    /// Never a bookmark.
    pub kind: WatchKind,
    /// The object; of a deleted one, as it was at last.
    pub entry: Arc<Entry>,
    /// When that was. Not the entry's where the object was deleted.
    pub revision: u64,
}

impl Change {
    fn added(entry: &Arc<Entry>) -> Self {
        Self { kind: WatchKind::Added, entry: entry.clone(), revision: entry.revision }
    }
}

/// A running watch.
pub(crate) struct Watching {
    pub resource: Arc<Resource>,
    /// Index into the resource's versions.
    pub version: usize,
    watch: Option<Watch>,
    /// What is told before the store is asked.
    initial: VecDeque<Item>,
    selection: Selection,
    deadline: Instant,
    /// When the next bookmark is due; None where none is wanted any more.
    bookmark: Option<Instant>,
    /// Rings at the next of both; kept, since watches are woken far more often.
    timer: Pin<Box<Sleep>>,
    /// The newest revision that the client has heard of.
    told: u64,
}

impl ApiServer {
    pub(crate) async fn watch(&self, target: &Target, selection: Selection) -> Result<Watching, Status> {
        let resource = &target.resource;
        let revision = revision_number(&selection.revision).map_err(|why| {
            Status::unknown(format!("resourceVersion: Invalid value: {:?}: {why}", selection.revision))
        })?;
        let prefix = prefix(target);
        let mut scope = match selection.required_name() {
            Some(name) if !target.namespace.is_empty() || !resource.is_namespaced() => {
                Scope::prefix(format!("{prefix}{name}"))
            }
            _ => Scope::prefix(prefix.clone()),
        };
        if let Some(trigger) = selection.trigger(resource) {
            scope = scope.with_trigger(trigger);
        }
        let with_state = match selection.initial_events {
            Some(asked) => asked,
            None => revision == 0,
        };
        let mut initial = VecDeque::new();
        let mut after = revision;
        // The state at the revision that was asked for, or later.
        let late = if with_state { self.await_revision(revision).await.err() } else { None };
        if with_state || revision == 0 {
            let snapshot = self.store.snapshot();
            after = snapshot.revision();
            if with_state {
                let trigger = scope.trigger.clone();
                let chosen: Box<dyn Iterator<Item = &Arc<Entry>>> = match &trigger {
                    Some(trigger) => Box::new(snapshot.by_trigger(&prefix, trigger)),
                    None => Box::new(snapshot.range(&scope.prefix, None)),
                };
                let chosen = chosen.filter(|entry| selection.matches(resource, entry));
                initial.extend(chosen.map(|entry| Item::Change(Change::added(entry))));
            }
            if selection.initial_events == Some(true) && selection.bookmarks {
                initial.push_back(Item::Bookmark { revision: after, ends_initial_events: true });
            }
        }
        let watch = match late {
            Some(status) => Err(status),
            None => self.store.watch(scope, after).map_err(|error| watch_error(error, after)),
        };
        let watch = match watch {
            Ok(watch) => Some(watch),
            // What is wrong beyond the request itself is an event.
            Err(status) => {
                initial.clear();
                initial.push_back(Item::Error(status));
                None
            }
        };
        let seconds = selection
            .timeout_seconds
            .filter(|seconds| *seconds > 0)
            .unwrap_or_else(|| LEAST_TIMEOUT + self.edge.random.below(LEAST_TIMEOUT));
        let now = Instant::now();
        let deadline = now + Duration::from_secs(seconds.min(365 * 24 * 3600));
        let bookmark = if selection.bookmarks { next_bookmark(now, deadline) } else { None };
        let timer =
            Box::pin(tokio::time::sleep_until(bookmark.map_or(deadline, |bookmark| bookmark.min(deadline))));
        Ok(Watching {
            timer,
            resource: resource.clone(),
            version: target.version,
            watch,
            initial,
            selection,
            deadline,
            bookmark,
            told: after,
        })
    }
}

/// A minute from now, or shortly before the end.
fn next_bookmark(now: Instant, deadline: Instant) -> Option<Instant> {
    let next = now + BOOKMARK_EVERY;
    match deadline.checked_sub(LAST_BOOKMARK) {
        Some(last) if last <= now => None,
        Some(last) => Some(next.min(last)),
        None => Some(next),
    }
}

fn watch_error(error: store::Error, asked: u64) -> Status {
    match error {
        store::Error::Compacted { oldest } => {
            Status::expired(format!("too old resource version: {asked} ({oldest})"))
        }
        error => ApiServer::store_error(error),
    }
}

impl Watching {
    /// The next thing to be told; None at the end. May be dropped while it waits.
    pub async fn next(&mut self) -> Option<Item> {
        if let Some(item) = self.next_initial() {
            return Some(item);
        }
        loop {
            let watch = self.watch.as_mut()?;
            let event = tokio::select! {
                biased;
                event = watch.next() => Some(event),
                () = &mut self.timer => None,
            };
            match event {
                Some(Ok(event)) => {
                    if let Some(item) = self.item(&event) {
                        return Some(item);
                    }
                }
                Some(Err(error)) => {
                    self.watch = None;
                    if matches!(error, store::Error::Closed) {
                        return None;
                    }
                    return Some(Item::Error(watch_error(error, self.told)));
                }
                None => {
                    let now = Instant::now();
                    if now >= self.deadline {
                        return None;
                    }
                    self.bookmark = next_bookmark(now, self.deadline);
                    self.timer.as_mut().reset(self.bookmark.unwrap_or(self.deadline));
                    self.told = self.told.max(watch.progress());
                    return Some(Item::Bookmark { revision: self.told, ends_initial_events: false });
                }
            }
        }
    }

    /// Something that can be told at once.
    pub fn try_next(&mut self) -> Option<Item> {
        if let Some(item) = self.next_initial() {
            return Some(item);
        }
        loop {
            let event = self.watch.as_mut()?.try_next()?;
            if let Some(item) = self.item(&event) {
                return Some(item);
            }
        }
    }

    fn next_initial(&mut self) -> Option<Item> {
        let item = self.initial.pop_front();
        if self.initial.is_empty() && self.initial.capacity() > 0 {
            // Most watches live for long after it.
            self.initial = VecDeque::new();
        }
        item
    }

    /// What an event is to this watcher.
    fn item(&mut self, event: &Event) -> Option<Item> {
        let matching = |entry: &Option<Arc<Entry>>| {
            entry.clone().filter(|entry| self.selection.matches(&self.resource, entry))
        };
        let (kind, entry) = match (matching(&event.previous), matching(&event.current)) {
            (None, Some(current)) => (WatchKind::Added, current),
            (Some(_), Some(current)) => (WatchKind::Modified, current),
            // What left the selection is shown as it was, at the new revision.
            (Some(previous), None) => (WatchKind::Deleted, previous),
            (None, None) => return None,
        };
        self.told = self.told.max(event.revision);
        Some(Item::Change(Change { kind, entry, revision: event.revision }))
    }
}
