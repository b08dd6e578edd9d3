//! How much is at work at once: the place of priority and fairness. Which flow
//! a request belongs to is told with its answer; all flows share one bound.

mod schemas;

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(crate) use schemas::{Asked, Schemas};

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
