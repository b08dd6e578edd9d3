//! Transactions: what a writer proposes and what it is told.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::{Entry, Indexed, Key, Revision};

/// How many operations one transaction may hold.
pub const MAX_OPS: usize = 1024;

/// Comparisons and operations, applied together or not at all.
#[derive(Clone, Debug, Default)]
pub struct Txn {
    /// All must hold, on the state before this transaction.
    pub compares: Vec<Compare>,
    /// At most [`MAX_OPS`], and each key at most once.
    pub ops: Vec<Op>,
}

impl Txn {
    /// Puts `key` where it does not exist.
    pub fn create(key: Key, value: Bytes, indexed: Indexed) -> Self {
        Self {
            compares: vec![Compare::Absent(key.clone())],
            ops: vec![Op::Put { key, value, indexed, ttl: None }],
        }
    }

    /// Puts `key` where its last change was `revision`.
    pub fn update(key: Key, revision: Revision, value: Bytes, indexed: Indexed) -> Self {
        Self {
            compares: vec![Compare::Revision(key.clone(), revision)],
            ops: vec![Op::Put { key, value, indexed, ttl: None }],
        }
    }

    /// Deletes `key` where its last change was `revision`.
    pub fn delete(key: Key, revision: Revision) -> Self {
        Self { compares: vec![Compare::Revision(key.clone(), revision)], ops: vec![Op::Delete { key }] }
    }

    /// With `ttl` on every put.
    pub fn expiring(mut self, after: Duration) -> Self {
        for op in &mut self.ops {
            if let Op::Put { ttl, .. } = op {
                *ttl = Some(after);
            }
        }
        self
    }
}

/// What must hold before a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compare {
    /// The key does not exist.
    Absent(Key),
    /// The key exists.
    Exists(Key),
    /// The key exists and its last change was this revision.
    Revision(Key, Revision),
}

impl Compare {
    pub fn key(&self) -> &Key {
        match self {
            Self::Absent(key) | Self::Exists(key) | Self::Revision(key, _) => key,
        }
    }
}

/// One change.
#[derive(Clone, Debug)]
pub enum Op {
    /// Creates or replaces. After `ttl` (from the commit on, whole milliseconds)
    /// the key deletes itself; a later put takes that back or renews it.
    Put { key: Key, value: Bytes, indexed: Indexed, ttl: Option<Duration> },
    /// Deletes; nothing happens where the key does not exist.
    Delete { key: Key },
}

impl Op {
    pub fn key(&self) -> &Key {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }
}

/// What became of a transaction.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The revision that the transaction got, or, where it changed nothing, the
    /// one on which its comparisons held.
    pub revision: Revision,
    /// One for each operation, in order.
    pub changes: Vec<Change>,
}

/// The key's entry before and after an operation.
#[derive(Clone, Debug, Default)]
pub struct Change {
    pub previous: Option<Arc<Entry>>,
    pub current: Option<Arc<Entry>>,
}
