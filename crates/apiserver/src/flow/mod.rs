//! How much is at work at once: the place of priority and fairness.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bounds requests in flight, watches and streams apart.
pub(crate) struct Flow(Arc<Semaphore>);

impl Flow {
    pub fn new(in_flight: usize) -> Self {
        Self(Arc::new(Semaphore::new(in_flight)))
    }

    /// A place, or None where all are taken: the request gets 429.
    pub fn enter(&self) -> Option<OwnedSemaphorePermit> {
        self.0.clone().try_acquire_owned().ok()
    }
}
