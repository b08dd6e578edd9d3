//! How far back lists at a revision, and so continue tokens, reach: five to ten
//! minutes, as where upstream's store is compacted every five
//! (`--etcd-compaction-interval`). Watches reach as far as the store remembers,
//! and nothing is deleted here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use edge::Tasks;
use store::Store;

/// How often the newest revision is noted; a step later it is the oldest.
const STEP: Duration = Duration::from_secs(300);

/// The oldest revision that can be listed.
#[derive(Default)]
pub(crate) struct Lookback(AtomicU64);

impl Lookback {
    /// Moves on with time, as long as somebody holds it.
    pub fn start(tasks: &Tasks, store: Weak<dyn Store>) -> Arc<Self> {
        let lookback = Arc::new(Self::default());
        let moved = Arc::downgrade(&lookback);
        tasks.spawn(async move {
            let mut next = 0;
            loop {
                tokio::time::sleep(STEP).await;
                let (Some(lookback), Some(store)) = (moved.upgrade(), store.upgrade()) else { return };
                lookback.0.store(std::mem::replace(&mut next, store.revision()), Ordering::Relaxed);
            }
        });
        lookback
    }

    /// # Errors
    /// [`store::Error::Compacted`] where `revision` is too old.
    pub fn reach(&self, revision: u64) -> Result<(), store::Error> {
        let oldest = self.0.load(Ordering::Relaxed);
        if revision < oldest { Err(store::Error::Compacted { oldest }) } else { Ok(()) }
    }
}
