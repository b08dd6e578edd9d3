//! Why the store refuses.

use std::path::PathBuf;
use std::sync::Arc;

use crate::{Entry, Revision};

/// Errors of every engine. The texts are sentences for people.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// A comparison did not hold; nothing was changed.
    #[error("comparison {compare} of the transaction does not hold")]
    Conflict {
        /// The index in [`crate::Txn::compares`] of the first that failed.
        compare: usize,
        /// What is under its key.
        current: Option<Arc<Entry>>,
    },
    /// The history no longer reaches back to the revision asked for.
    #[error("the revision is too old: history begins at {oldest}")]
    Compacted { oldest: Revision },
    /// The revision asked for does not exist yet.
    #[error("the revision is in the future: the newest is {current}")]
    FutureRevision { current: Revision },
    /// The transaction can never be accepted: too many operations, a key twice.
    #[error("{0}")]
    Invalid(String),
    /// The engine cannot do it now (disk full, a failed write, etcd away).
    /// Trying again later is right.
    #[error("{0}")]
    Unavailable(String),
    /// What is on disk is not what was written. Nothing is deleted or changed.
    #[error("{0}")]
    Corrupt(String),
    /// The database was written by something else, or by a newer version.
    #[error("{0}")]
    Format(String),
    /// Another process has the data directory open.
    #[error(
        "data directory {} is in use by process {process}: stop that process or choose another directory",
        directory.display()
    )]
    InUse {
        directory: PathBuf,
        /// A process id, or "unknown".
        process: String,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}
