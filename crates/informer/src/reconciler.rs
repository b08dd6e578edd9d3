//! Runs a reconciler: workers that take keys from a queue.
//!
//! A reconciler gets a key and never an event, so that it does the same after
//! a change, a restart or a lost event.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use edge::Edge;
use futures::FutureExt;

use crate::Queue;

/// What a reconcile ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// Nothing failed; look again after so long.
    Again(Duration),
}

/// Brings one object nearer to what is wanted.
#[async_trait]
pub trait Reconciler<K>: Send + Sync + 'static {
    /// The loop's name in logs and metrics, such as `deployment`.
    fn name(&self) -> &'static str;

    /// An error is logged, counted, and the key tried again later.
    async fn reconcile(&self, key: &K) -> Result<Outcome, client::Error>;
}

/// Starts `workers` workers on `queue`, in the task group of `edge`.
pub fn run<K, R>(edge: &Edge, queue: Queue<K>, reconciler: Arc<R>, workers: usize)
where
    K: Ord + Clone + std::fmt::Debug + Send + Sync + 'static,
    R: Reconciler<K>,
{
    for _ in 0..workers {
        let (queue, reconciler) = (queue.clone(), reconciler.clone());
        edge.tasks.spawn(async move {
            loop {
                let key = queue.next().await;
                work(&queue, reconciler.as_ref(), &key).await;
                queue.done(&key);
            }
        });
    }
}

async fn work<K, R>(queue: &Queue<K>, reconciler: &R, key: &K)
where
    K: Ord + Clone + std::fmt::Debug,
    R: Reconciler<K>,
{
    // A panic ends this reconcile; the key is tried again as after an error.
    match AssertUnwindSafe(reconciler.reconcile(key)).catch_unwind().await {
        Ok(Ok(Outcome::Done)) => queue.forget(key),
        Ok(Ok(Outcome::Again(after))) => {
            queue.forget(key);
            queue.add_after(key.clone(), after);
        }
        Ok(Err(error)) => {
            // Someone wrote in between: the usual course of things.
            if error.is_conflict() {
                tracing::debug!(controller = reconciler.name(), ?key, %error, "will be tried again");
            } else {
                tracing::warn!(controller = reconciler.name(), ?key, %error, "will be tried again");
            }
            queue.add_failed(key.clone());
        }
        Err(_) => {
            tracing::error!(
                controller = reconciler.name(),
                ?key,
                "a reconcile panicked; will be tried again"
            );
            queue.add_failed(key.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    struct Stumbling(AtomicU32);

    #[async_trait]
    impl Reconciler<u32> for Stumbling {
        fn name(&self) -> &'static str {
            "stumbling"
        }

        async fn reconcile(&self, _: &u32) -> Result<Outcome, client::Error> {
            match self.0.fetch_add(1, Ordering::SeqCst) {
                0 => panic!("as the test wants"),
                1 => Err(client::Error::Unreachable("as the test wants".into())),
                2 => Ok(Outcome::Again(Duration::from_secs(60))),
                _ => Ok(Outcome::Done),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn panics_and_errors_are_tried_again() {
        let edge = Edge::simulated(1, jiff::Timestamp::UNIX_EPOCH);
        let queue = Queue::new();
        let reconciler = Arc::new(Stumbling(AtomicU32::new(0)));
        run(&edge, queue.clone(), reconciler.clone(), 2);
        queue.add(1);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(reconciler.0.load(Ordering::SeqCst), 3);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(reconciler.0.load(Ordering::SeqCst), 4);
        assert_eq!(queue.failures(&1), 0);
        edge.tasks.stop();
    }
}
