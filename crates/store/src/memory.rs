//! The engine that keeps nothing: commits happen inline, on the caller's
//! thread, so that a simulation repeats exactly. Everything else, from
//! decisions to watches, is what the durable engines run.

use std::sync::Arc;

use async_trait::async_trait;
use edge::{Clock, Edge, Task};
use parking_lot::Mutex;

use crate::decide::decide;
use crate::hub::Hub;
use crate::snapshot::Root;
use crate::{Committed, Error, Limits, Revision, Scope, Snapshot, Store, Txn, Watch, expiry};

/// How to start a [`Memory`] store.
pub struct MemoryOptions {
    pub edge: Edge,
    /// The window is all its history; limits for disks mean nothing here.
    pub limits: Limits,
}

/// A store without a disk and without a thread.
pub struct Memory {
    hub: Arc<Hub>,
    clock: Arc<dyn Clock>,
    committing: Mutex<()>,
    expiry: Task<()>,
}

impl Memory {
    /// An empty store.
    pub fn start(options: MemoryOptions) -> Arc<Self> {
        let hub = Arc::new(Hub::new(Root::empty(1), None, options.limits));
        let clock = options.edge.clock.clone();
        Arc::new_cyclic(|store: &std::sync::Weak<Self>| {
            let expiry = expiry::start(&options.edge, hub.clone(), store.clone());
            Self { hub, clock, committing: Mutex::new(()), expiry }
        })
    }
}

#[async_trait]
impl Store for Memory {
    fn snapshot(&self) -> Snapshot {
        self.hub.snapshot()
    }

    async fn snapshot_at(&self, revision: Revision) -> Result<Snapshot, Error> {
        match self.hub.root_at(revision)? {
            Some(root) => Ok(Snapshot(root)),
            None => Err(Error::Compacted { oldest: self.hub.oldest() }),
        }
    }

    async fn at_least(&self, revision: Revision) -> Result<(), Error> {
        self.hub.at_least(revision).await
    }

    async fn commit(&self, txn: Txn) -> Result<Committed, Error> {
        let _committing = self.committing.lock();
        if self.hub.is_closed() {
            return Err(Error::Closed);
        }
        let mut root = self.hub.root();
        let (committed, events) = decide(&mut root, txn, self.clock.now())?;
        if !events.is_empty() {
            self.hub.publish(root, &events);
            self.hub.tell(&events);
        }
        Ok(committed)
    }

    fn watch(&self, scope: Scope, after: Revision) -> Result<Watch, Error> {
        Watch::start(self.hub.clone(), None, scope, after)
    }

    fn revision(&self) -> Revision {
        self.hub.revision()
    }

    fn oldest(&self) -> Revision {
        self.hub.oldest()
    }

    fn writable(&self) -> Result<(), Error> {
        if self.hub.is_closed() { Err(Error::Closed) } else { Ok(()) }
    }

    async fn close(&self) {
        self.expiry.abort();
        self.hub.close();
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.expiry.abort();
    }
}
