//! Spawning: tasks that are counted, stopped together, and whose panics end
//! only themselves.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A group of tasks on one runtime. Clones share the group.
#[derive(Clone)]
pub struct Tasks {
    handle: tokio::runtime::Handle,
    tracker: TaskTracker,
    stop: CancellationToken,
    group: Arc<Group>,
    panics: Arc<AtomicU64>,
}

/// Who has to be told of a stop. Tasks are aborted rather than asked at each of
/// their turns, which are far more frequent than stops.
#[derive(Default)]
struct Group(Mutex<Members>);

#[derive(Default)]
struct Members {
    /// By number; `None` while a task is being started.
    tasks: BTreeMap<u64, Option<AbortHandle>>,
    last: u64,
    children: Vec<Weak<Group>>,
    is_stopped: bool,
}

impl Group {
    fn stop(&self) {
        let (tasks, children) = {
            let members = &mut *self.0.lock();
            members.is_stopped = true;
            (std::mem::take(&mut members.tasks), std::mem::take(&mut members.children))
        };
        tasks.into_values().flatten().for_each(|task| task.abort());
        children.iter().filter_map(Weak::upgrade).for_each(|child| child.stop());
    }
}

/// A task's place in its group, given back when it ends in whatever way.
struct Member {
    group: Arc<Group>,
    number: u64,
    panics: Arc<AtomicU64>,
}

impl Drop for Member {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.panics.fetch_add(1, Ordering::Relaxed);
        }
        self.group.0.lock().tasks.remove(&self.number);
    }
}

impl Tasks {
    pub fn new(handle: tokio::runtime::Handle) -> Self {
        Self {
            handle,
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
            group: Arc::default(),
            panics: Arc::new(AtomicU64::new(0)),
        }
    }

    /// Starts `future`. It is dropped at its next await when the group stops.
    pub fn spawn<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let number = {
            let members = &mut *self.group.0.lock();
            members.last += 1;
            members.tasks.insert(members.last, None);
            members.last
        };
        let member = Member { group: self.group.clone(), number, panics: self.panics.clone() };
        let task = self.tracker.spawn_on(
            async move {
                let _member = member;
                future.await
            },
            &self.handle,
        );
        let members = &mut *self.group.0.lock();
        if members.is_stopped {
            task.abort();
        } else if let Some(place) = members.tasks.get_mut(&number) {
            *place = Some(task.abort_handle());
        }
        Task(task)
    }

    /// Runs blocking or CPU-heavy work on the runtime's blocking threads.
    pub fn spawn_blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Task<T> {
        Task(self.tracker.spawn_blocking_on(work, &self.handle))
    }

    /// A group on the same runtime that stops when this one does, or earlier by itself.
    pub fn child(&self) -> Self {
        let group = Arc::new(Group::default());
        let members = &mut *self.group.0.lock();
        members.children.retain(|child| child.strong_count() > 0);
        members.children.push(Arc::downgrade(&group));
        group.0.lock().is_stopped = members.is_stopped;
        Self {
            handle: self.handle.clone(),
            tracker: TaskTracker::new(),
            stop: self.stop.child_token(),
            group,
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
        self.group.stop();
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
pub struct Task<T>(tokio::task::JoinHandle<T>);

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
        Pin::new(&mut self.0).poll(context).map(Result::ok)
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
        assert_eq!(tasks.child().spawn(async { 7 }).await, None, "who comes late is stopped too");
    }

    #[tokio::test]
    async fn a_group_knows_only_those_that_run() {
        let tasks = Tasks::new(tokio::runtime::Handle::current());
        let running = tasks.spawn(std::future::pending::<()>());
        for _ in 0..100 {
            tasks.spawn(async {}).await;
        }
        assert_eq!(tasks.group.0.lock().tasks.len(), 1);
        running.abort();
        running.await;
        assert!(tasks.group.0.lock().tasks.is_empty());
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
