//! Spawning: tasks that are counted, stopped together, and whose panics end
//! only themselves.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A group of tasks on one runtime. Clones share the group.
#[derive(Clone)]
pub struct Tasks {
    handle: tokio::runtime::Handle,
    tracker: TaskTracker,
    stop: CancellationToken,
    panics: Arc<AtomicU64>,
}

impl Tasks {
    pub fn new(handle: tokio::runtime::Handle) -> Self {
        Self {
            handle,
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
            panics: Arc::new(AtomicU64::new(0)),
        }
    }

    /// Starts `future`. It is dropped at its next await when the group stops.
    pub fn spawn<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let stop = self.stop.clone();
        let panics = self.panics.clone();
        let guarded = async move {
            // Counted on unwinding only: a finished or cancelled task disarms it.
            struct Counter(Arc<AtomicU64>);
            impl Drop for Counter {
                fn drop(&mut self) {
                    if std::thread::panicking() {
                        self.0.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            let _counter = Counter(panics);
            stop.run_until_cancelled_owned(future).await
        };
        Task(self.tracker.spawn_on(guarded, &self.handle))
    }

    /// Runs blocking or CPU-heavy work on the runtime's blocking threads.
    pub fn spawn_blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Task<T> {
        Task(self.tracker.spawn_blocking_on(move || Some(work()), &self.handle))
    }

    /// A group on the same runtime that stops when this one does, or earlier by itself.
    pub fn child(&self) -> Self {
        Self {
            handle: self.handle.clone(),
            tracker: TaskTracker::new(),
            stop: self.stop.child_token(),
            panics: self.panics.clone(),
        }
    }

    /// Becomes ready once [`Tasks::stop`] was called.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    pub fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Tells every task of the group (and of its children) to stop.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until every task of the group has ended.
    pub async fn ended(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }

    /// How many tasks of the group and its children have panicked.
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }
}

/// A started task. Dropping it lets the task run on; awaiting it gives the
/// output, or `None` where the task was stopped or panicked.
pub struct Task<T>(tokio::task::JoinHandle<Option<T>>);

impl<T> Task<T> {
    /// Ends the task at its next await.
    pub fn abort(&self) {
        self.0.abort();
    }

    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl<T> Future for Task<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        Pin::new(&mut self.0).poll(context).map(|joined| joined.ok().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn stopping_ends_tasks_and_children() {
        let tasks = Tasks::new(tokio::runtime::Handle::current());
        let child = tasks.child();
        let waiting = child.spawn(std::future::pending::<()>());
        tasks.stop();
        assert_eq!(waiting.await, None);
        child.ended().await;
    }

    #[tokio::test]
    async fn a_panic_is_counted_and_ends_only_its_task() {
        let tasks = Tasks::new(tokio::runtime::Handle::current());
        let bad = tasks.spawn(async { panic!("as the test wants") });
        let good = tasks.spawn(async { 7 });
        assert!(bad.await.is_none());
        assert_eq!(good.await, Some(7));
        assert_eq!(tasks.panics(), 1);
    }
}
