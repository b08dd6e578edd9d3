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

    fn end_watches(&self) {
        self.hub.end_watches();
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

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::Trigger;
    use crate::contract::{self, Engine, put, run, told};

    struct Fresh;

    impl Engine for Fresh {
        fn open(&self, limits: Limits) -> Arc<dyn Store> {
            Memory::start(MemoryOptions { edge: contract::edge(), limits })
        }

        fn remembers(&self) -> bool {
            false
        }
    }

    contract::suite!(Fresh);

    /// A simulation of an hour takes no time and always tells the same.
    #[tokio::test(start_paused = true)]
    async fn simulated_time_drives_expiries() {
        let edge = Edge::simulated(1, Timestamp::UNIX_EPOCH);
        let store = Memory::start(MemoryOptions { edge: edge.clone(), limits: Limits::default() });
        let mut watch = store.watch(Scope::prefix(""), 1).unwrap();
        let mut txn = Txn { compares: vec![], ops: vec![put("/event", "")] };
        txn = txn.expiring(std::time::Duration::from_secs(3600));
        store.commit(txn).await.unwrap();
        watch.next().await.unwrap();
        assert_eq!(told(&watch.next().await.unwrap()), "3 /event >-");
        let passed = edge.clock.now().as_second();
        assert!((3600..3602).contains(&passed), "{passed} s have passed");
    }

    /// What 10,000 others wait for costs an event nothing.
    #[tokio::test]
    async fn an_event_wakes_only_candidates() {
        let store = Memory::start(MemoryOptions { edge: contract::edge(), limits: Limits::default() });
        let scope = |node: usize| Scope::prefix("/p/").with_trigger(Trigger::new("node", node.to_string()));
        let mut others: Vec<_> = (0..10_000).map(|node| store.watch(scope(node), 1).unwrap()).collect();
        for other in &mut others {
            assert!(other.try_next().is_none());
        }
        run(&*store, vec![put("/p/a", "")]).await;
        assert!(others.iter().all(|other| other.progress() == 2), "nobody was told");
        drop(others);
        assert_eq!(store.hub.watchers(), 0);
    }
}
