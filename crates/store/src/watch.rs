//! Watches: every change of a scope after a revision, in order, without a gap.
//!
//! A watcher has a position and, at most, a few events in hand; what it has not
//! read yet stays in the shared window. One that falls out of the window goes
//! on from the durable history, and only where that is gone it is told
//! [`Error::Compacted`].

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use edge::Tasks;

use crate::hub::Hub;
use crate::position::Position;
use crate::subscriptions::Slot;
use crate::{Error, Event, Revision, Trigger};

/// How many events a watcher takes in hand at once.
const HAND: usize = 64;

/// What a watch is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Empty or ending in a slash: all keys that begin with it. Otherwise: the
    /// one key that it is.
    pub prefix: Arc<str>,
    /// Only events whose entry before or after carries this. It makes the watch
    /// cheap, not exact: the watcher still looks at both entries.
    pub trigger: Option<Trigger>,
}

impl Scope {
    pub fn prefix(prefix: impl Into<Arc<str>>) -> Self {
        Self { prefix: prefix.into(), trigger: None }
    }

    pub fn with_trigger(mut self, trigger: Trigger) -> Self {
        self.trigger = Some(trigger);
        self
    }

    pub(crate) fn covers_key(&self, key: &str) -> bool {
        let folder = self.prefix.is_empty() || self.prefix.ends_with('/');
        if folder { key.starts_with(&*self.prefix) } else { *key == *self.prefix }
    }

    pub(crate) fn covers(&self, event: &Event) -> bool {
        self.covers_key(event.key.as_str())
            && self.trigger.as_ref().is_none_or(|trigger| event.touches(trigger))
    }
}

/// Events read from a durable history.
pub(crate) struct Chunk {
    pub events: Vec<Arc<Event>>,
    /// Where to go on.
    pub next: Position,
}

/// The past as a durable engine keeps it. Calls block.
pub(crate) trait History: Send + Sync + 'static {
    /// Events of `scope` from `from` on, a bounded number of them.
    ///
    /// # Errors
    /// [`Error::Compacted`] where `from` is gone.
    fn read(&self, from: Position, scope: &Scope) -> Result<Chunk, Error>;
}

/// A running watch. Dropping it ends it.
pub struct Watch {
    hub: Arc<Hub>,
    history: Option<(Arc<dyn History>, Tasks)>,
    scope: Scope,
    slot: Arc<Slot>,
    number: u64,
    /// The first position that was not looked at yet.
    next: Position,
    /// There may be something at `next` or after it.
    behind: bool,
    hand: VecDeque<Arc<Event>>,
}

impl Watch {
    pub(crate) fn start(
        hub: Arc<Hub>,
        history: Option<(Arc<dyn History>, Tasks)>,
        scope: Scope,
        after: Revision,
    ) -> Result<Self, Error> {
        if hub.has_ended_watches() {
            return Err(Error::Closed);
        }
        // First the subscription, then the look at what is there: nothing falls between.
        let slot = Arc::new(Slot::default());
        let number = hub.subscribe(&scope, slot.clone());
        let next = Position::start_of(after.saturating_add(1).min(u64::MAX >> 16));
        let watch = Self { hub, history, scope, slot, number, next, behind: true, hand: VecDeque::new() };
        let oldest = watch.hub.oldest();
        if after < oldest { Err(Error::Compacted { oldest }) } else { Ok(watch) }
    }

    /// The next event. May be dropped while it waits; nothing is lost then.
    ///
    /// # Errors
    /// [`Error::Compacted`] when this watcher is so far behind that the history
    /// is gone, [`Error::Closed`] when the store closes. The watch is over then.
    pub async fn next(&mut self) -> Result<Arc<Event>, Error> {
        loop {
            if let Some(event) = self.hand.pop_front() {
                return Ok(event);
            }
            self.fill().await?;
        }
    }

    /// All events that are there, at least one, at most 64. Cheaper than one
    /// by one.
    ///
    /// # Errors
    /// As [`Watch::next`].
    pub async fn next_batch(&mut self) -> Result<Vec<Arc<Event>>, Error> {
        while self.hand.is_empty() {
            self.fill().await?;
        }
        Ok(self.hand.drain(..).collect())
    }

    /// An event that is there already. Never waits and never reads the disk:
    /// `None` may also mean that older events are still to be read by
    /// [`Watch::next`].
    pub fn try_next(&mut self) -> Option<Arc<Event>> {
        if self.hand.is_empty() {
            self.look();
        }
        self.hand.pop_front()
    }

    /// The revision up to which this watch has delivered everything in its
    /// scope; for bookmarks. Grows with the store, not only with its own events,
    /// and costs no wake-up.
    pub fn progress(&self) -> Revision {
        // This order matters: what was told before is pending if it is unread.
        let told = self.hub.told();
        if let Some(event) = self.hand.front() {
            return event.revision - 1;
        }
        let read = self.next.revision() - 1;
        if self.behind || self.slot.is_pending() {
            read.min(self.hub.revision())
        } else {
            read.max(told).min(self.hub.revision())
        }
    }

    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Takes something in hand, or waits until there may be something.
    async fn fill(&mut self) -> Result<(), Error> {
        match self.look() {
            Look::Found => Ok(()),
            Look::Nothing => self.wait().await,
            Look::Gone => self.replay().await,
        }
    }

    /// Looks into the window.
    fn look(&mut self) -> Look {
        if let Some(first) = self.slot.take() {
            // Nothing between was for this watcher, so it need not be looked through.
            if !self.behind {
                self.next = self.next.max(first);
            }
            self.behind = true;
        }
        if !self.behind {
            return Look::Nothing;
        }
        match self.hub.scan(&self.scope, self.next, HAND, &mut self.hand) {
            None => Look::Gone,
            Some((next, end)) => {
                self.next = next;
                self.behind = !end;
                if self.hand.is_empty() { Look::Nothing } else { Look::Found }
            }
        }
    }

    async fn wait(&mut self) -> Result<(), Error> {
        poll_fn(|context| {
            self.slot.waker.register(context.waker());
            if self.slot.is_pending() {
                Poll::Ready(Ok(()))
            } else if self.hub.has_ended_watches() {
                Poll::Ready(Err(Error::Closed))
            } else {
                Poll::Pending
            }
        })
        .await
    }

    /// Reads a chunk of what the window no longer has.
    async fn replay(&mut self) -> Result<(), Error> {
        let Some((history, tasks)) = &self.history else {
            return Err(Error::Compacted { oldest: self.hub.oldest() });
        };
        let (history, scope, from) = (history.clone(), self.scope.clone(), self.next);
        let read = tasks.spawn_blocking(move || history.read(from, &scope));
        let chunk = read.await.unwrap_or(Err(Error::Closed))?;
        self.hand.extend(chunk.events);
        self.next = chunk.next;
        Ok(())
    }
}

enum Look {
    Found,
    Nothing,
    /// The window no longer reaches back to the watcher.
    Gone,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.hub.unsubscribe(&self.scope, self.number);
    }
}
