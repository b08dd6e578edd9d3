//! Revisioned keys and bytes: an index of what is, a watch of what changes, a
//! history of what was, and the engines that keep them.
//!
//! A write is a [`Txn`]: comparisons and operations over several keys that
//! happen together or not at all. Each transaction that changes something gets
//! the next [`Revision`] and is answered after it is durable. Reads are
//! [`Snapshot`]s: the whole store at one revision, O(1) to take, without a lock
//! while they are read. A [`Watch`] delivers every change of a [`Scope`] after
//! a revision, in order, with the entry before and after.
//!
//! ```text
//! Txn → engine (decide → durable → publish → answer)
//!                                   ├→ root map    → Snapshot
//!                                   └→ window, log → Watch
//! ```
//!
//! The layout of keys and the rules of revisions are etcd's, so that an engine
//! that speaks to etcd fits behind the same trait. Engines: [`Sqlite`] (durable)
//! and [`Memory`] (commits inline, for simulations).
//!
//! This crate has never heard of objects, JSON, kinds or HTTP. What its user
//! decoded from a value it carries along as an opaque header ([`Indexed`]).

mod decide;
mod entry;
mod error;
mod expiry;
mod hub;
mod key;
mod memory;
mod position;
mod retained;
mod snapshot;
mod sqlite;
mod subscriptions;
mod transform;
mod txn;
mod watch;
mod window;

#[cfg(test)]
mod contract;

use std::sync::Arc;

use async_trait::async_trait;

pub use entry::{Entry, Event, Header, Indexed, Indexer, NoIndex, Trigger};
pub use error::Error;
pub use key::Key;
pub use memory::{Memory, MemoryOptions};
pub use snapshot::Snapshot;
pub use sqlite::{Sqlite, SqliteOptions};
pub use transform::{Plain, Transformer};
pub use txn::{Change, Committed, Compare, MAX_OPS, Op, Txn};
pub use watch::{Scope, Watch};
pub use window::Limits;

/// The number of a committed transaction; it only ever grows, and no number is
/// given twice, not even after a crash. An empty store is at 1, as etcd is;
/// 0 is never the revision of anything.
pub type Revision = u64;

/// A store of revisioned keys. All engines keep the same contract, which
/// `contract.rs` spells out as tests.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Everything at the newest revision this process has published: O(1), no
    /// lock is held while it is read. What a commit answered through this store
    /// is in every snapshot taken after the answer.
    fn snapshot(&self) -> Snapshot;

    /// Like [`Store::snapshot`], but never older than what any other process
    /// had committed when this was called (Kubernetes' "most recent" reads).
    /// The same thing where the store has one process.
    async fn latest(&self) -> Result<Snapshot, Error> {
        Ok(self.snapshot())
    }

    /// Everything as it was at `revision`, for continue tokens and exact lists.
    ///
    /// # Errors
    /// [`Error::Compacted`] where the history no longer reaches that far back,
    /// [`Error::FutureRevision`] where the revision does not exist yet.
    async fn snapshot_at(&self, revision: Revision) -> Result<Snapshot, Error>;

    /// Returns once [`Store::revision`] is at least `revision`, which may be
    /// never: the caller bounds the wait.
    ///
    /// # Errors
    /// [`Error::Closed`] when the store closes meanwhile.
    async fn at_least(&self, revision: Revision) -> Result<(), Error>;

    /// Applies `txn` as a whole, durably, or not at all. A transaction that
    /// changes nothing (only deletions of absent keys, or no operations) takes
    /// no revision.
    ///
    /// # Errors
    /// [`Error::Conflict`] when a comparison fails: nothing happened.
    /// [`Error::Unavailable`] when the engine could not make it durable: it is
    /// not visible now, and whether it will be after a restart is unknown, as
    /// with every lost answer.
    async fn commit(&self, txn: Txn) -> Result<Committed, Error>;

    /// Watches `scope` for what was committed after `after` (exclusive). A
    /// revision in the future is allowed: events up to it are not delivered.
    ///
    /// # Errors
    /// [`Error::Compacted`] where the history no longer reaches back to `after`.
    fn watch(&self, scope: Scope, after: Revision) -> Result<Watch, Error>;

    /// The newest published revision.
    fn revision(&self) -> Revision;

    /// The oldest revision from which a watch or an exact list can start.
    fn oldest(&self) -> Revision;

    /// Whether writes are accepted, or the sentence that says why not. Costs
    /// nothing; for readiness checks.
    fn writable(&self) -> Result<(), Error>;

    /// The bytes that it takes on disk; None where it has none.
    fn size(&self) -> Option<u64> {
        None
    }

    /// Ends watches with [`Error::Closed`], later ones too: the first step of an
    /// orderly stop, in which nobody waits for those who wait for changes.
    fn end_watches(&self);

    /// Finishes what was proposed, ends watches with [`Error::Closed`] and lets
    /// go of the disk. Later writes fail with [`Error::Closed`].
    async fn close(&self);
}

/// A shared store of any engine.
pub type SharedStore = Arc<dyn Store>;
