//! The work queue: each key once, never two workers on one key, delays and
//! growing pauses after failures (client-go's `util/workqueue`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Pauses after failures: 5 ms doubling up to 1000 s, as client-go's.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const MOST_PAUSE: Duration = Duration::from_secs(1000);

/// Keys waiting for work. Clones share the queue.
pub struct Queue<K>(Arc<Inner<K>>);

impl<K> Clone for Queue<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

struct Inner<K> {
    state: Mutex<State<K>>,
    /// Wakes a worker for a key that is ready, or for a new earliest delay.
    changed: Notify,
}

struct State<K> {
    ready: VecDeque<K>,
    /// Keys in `ready`, or to be put there once their worker is done.
    dirty: BTreeSet<K>,
    working: BTreeSet<K>,
    /// When each delayed key is due: once a key, at its earliest time.
    due: BTreeMap<K, Instant>,
    by_time: BTreeSet<(Instant, K)>,
    failures: BTreeMap<K, u32>,
    stats: QueueStats,
}

/// What happened to the queue so far, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// `workqueue_adds_total`.
    pub adds: u64,
    /// `workqueue_retries_total`.
    pub retries: u64,
    /// `workqueue_depth`.
    pub depth: usize,
}

impl<K: Ord + Clone> Default for Queue<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Ord + Clone> Queue<K> {
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            state: Mutex::new(State {
                ready: VecDeque::new(),
                dirty: BTreeSet::new(),
                working: BTreeSet::new(),
                due: BTreeMap::new(),
                by_time: BTreeSet::new(),
                failures: BTreeMap::new(),
                stats: QueueStats::default(),
            }),
            changed: Notify::new(),
        }))
    }

    /// Adds a key; one that waits already is not added twice, one that is
    /// being worked on comes again afterwards.
    pub fn add(&self, key: K) {
        if self.0.state.lock().add(key) {
            self.0.changed.notify_one();
        }
    }

    /// Adds a key when `delay` has passed. One that is delayed already comes
    /// once, at the earlier of its times.
    pub fn add_after(&self, key: K, delay: Duration) {
        if delay.is_zero() {
            return self.add(key);
        }
        let at = Instant::now() + delay;
        if self.0.state.lock().delay(key, at) {
            self.0.changed.notify_one();
        }
    }

    /// Adds a key after a pause that doubles with each failure since [`Queue::forget`].
    pub fn add_failed(&self, key: K) {
        let pause = {
            let mut state = self.0.state.lock();
            state.stats.retries += 1;
            let failures = state.failures.entry(key.clone()).or_default();
            *failures += 1;
            pause_after(*failures)
        };
        self.add_after(key, pause);
    }

    /// How often the key has failed since [`Queue::forget`].
    pub fn failures(&self, key: &K) -> u32 {
        self.0.state.lock().failures.get(key).copied().unwrap_or(0)
    }

    /// Forgets the failures of a key.
    pub fn forget(&self, key: &K) {
        self.0.state.lock().failures.remove(key);
    }

    /// Waits for the next key. The worker must call [`Queue::done`].
    pub async fn next(&self) -> K {
        loop {
            let changed = self.0.changed.notified();
            let wake = {
                let mut state = self.0.state.lock();
                state.release(Instant::now());
                if let Some(key) = state.take() {
                    if !state.ready.is_empty() {
                        self.0.changed.notify_one();
                    }
                    return key;
                }
                state.by_time.first().map(|(at, _)| *at)
            };
            match wake {
                Some(at) => tokio::select! {
                    // In order, so that a simulation repeats itself.
                    biased;
                    () = changed => {}
                    () = tokio::time::sleep_until(at) => {}
                },
                None => changed.await,
            }
        }
    }

    /// Ends the work on a key.
    pub fn done(&self, key: &K) {
        let mut state = self.0.state.lock();
        state.working.remove(key);
        if state.dirty.contains(key) {
            state.ready.push_back(key.clone());
            drop(state);
            self.0.changed.notify_one();
        }
    }

    pub fn stats(&self) -> QueueStats {
        let state = self.0.state.lock();
        QueueStats { depth: state.ready.len(), ..state.stats }
    }
}

fn pause_after(failures: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(30)).min(MOST_PAUSE)
}

impl<K: Ord + Clone> State<K> {
    /// Whether a worker may have something to do now.
    fn add(&mut self, key: K) -> bool {
        if !self.dirty.insert(key.clone()) {
            return false;
        }
        self.stats.adds += 1;
        let free = !self.working.contains(&key);
        if free {
            self.ready.push_back(key);
        }
        free
    }

    /// Whether the earliest time changed.
    fn delay(&mut self, key: K, at: Instant) -> bool {
        if let Some(known) = self.due.get(&key).copied() {
            if known <= at {
                return false;
            }
            self.by_time.remove(&(known, key.clone()));
        }
        self.due.insert(key.clone(), at);
        self.by_time.insert((at, key));
        self.by_time.first().is_some_and(|(first, _)| *first == at)
    }

    fn release(&mut self, now: Instant) {
        while self.by_time.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, key)) = self.by_time.pop_first() {
                self.due.remove(&key);
                self.add(key);
            }
        }
    }

    fn take(&mut self) -> Option<K> {
        let key = self.ready.pop_front()?;
        self.dirty.remove(&key);
        self.working.insert(key.clone());
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_key_is_worked_on_once_at_a_time() {
        let queue = Queue::new();
        queue.add("a");
        queue.add("a");
        assert_eq!(queue.next().await, "a");
        queue.add("a");
        assert!(tokio::time::timeout(Duration::from_secs(1), queue.next()).await.is_err());
        queue.done(&"a");
        assert_eq!(queue.next().await, "a");
        queue.done(&"a");
        assert!(tokio::time::timeout(Duration::from_secs(1), queue.next()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn delays_come_in_order_of_time() {
        let queue = Queue::new();
        let start = Instant::now();
        queue.add_after("late", Duration::from_secs(5));
        queue.add_after("soon", Duration::from_secs(2));
        assert_eq!(queue.next().await, "soon");
        assert_eq!(start.elapsed().as_secs(), 2);
        assert_eq!(queue.next().await, "late");
        assert_eq!(start.elapsed().as_secs(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_delayed_key_comes_once_and_early() {
        let queue = Queue::new();
        let start = Instant::now();
        for seconds in [5, 2, 9] {
            queue.add_after("a", Duration::from_secs(seconds));
        }
        assert_eq!(queue.next().await, "a");
        assert_eq!(start.elapsed().as_secs(), 2);
        queue.done(&"a");
        assert!(tokio::time::timeout(Duration::from_secs(60), queue.next()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn failures_wait_longer_each_time() {
        let queue = Queue::new();
        let start = Instant::now();
        for expected in [5, 10, 20] {
            let before = start.elapsed();
            queue.add_failed("a");
            queue.next().await;
            queue.done(&"a");
            assert_eq!((start.elapsed() - before).as_millis(), expected);
        }
        queue.forget(&"a");
        assert_eq!(queue.failures(&"a"), 0);
        assert_eq!(pause_after(u32::MAX), MOST_PAUSE);
    }

    #[tokio::test]
    async fn every_waiting_worker_gets_its_key() {
        let queue = Queue::new();
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let queue = queue.clone();
                async move { queue.next().await }
            })
            .collect();
        let fill = async {
            tokio::task::yield_now().await;
            (0..4).for_each(|key| queue.add(key));
        };
        let (mut got, ()) = tokio::join!(futures::future::join_all(workers), fill);
        got.sort_unstable();
        assert_eq!(got, [0, 1, 2, 3]);
    }
}
