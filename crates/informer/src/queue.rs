//! The work queue: each key once, never two workers on one key, delays and
//! growing pauses after failures (client-go's `util/workqueue`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::metrics::{Durations, Measured, Measures, QueueMetrics};

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
    /// Keys in `ready`, or to be put there once their worker is done, and
    /// since when.
    dirty: BTreeMap<K, Instant>,
    /// Keys that workers have, and since when.
    working: BTreeMap<K, Instant>,
    /// When each delayed key is due: once a key, at its earliest time.
    due: BTreeMap<K, Instant>,
    by_time: BTreeSet<(Instant, K)>,
    failures: BTreeMap<K, u32>,
    adds: u64,
    /// Keys that were added with a delay, after a failure or not.
    retries: u64,
    waited: Durations,
    worked: Durations,
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
                dirty: BTreeMap::new(),
                working: BTreeMap::new(),
                due: BTreeMap::new(),
                by_time: BTreeSet::new(),
                failures: BTreeMap::new(),
                adds: 0,
                retries: 0,
                waited: Durations::default(),
                worked: Durations::default(),
            }),
            changed: Notify::new(),
        }))
    }

    /// A queue that `metrics` tell of by this name.
    pub fn named(name: &'static str, metrics: &QueueMetrics) -> Self
    where
        K: Send + Sync + 'static,
    {
        let queue = Self::new();
        metrics.register(name, queue.0.clone());
        queue
    }

    /// Adds a key; one that waits already is not added twice, one that is
    /// being worked on comes again afterwards.
    pub fn add(&self, key: K) {
        if self.0.state.lock().add(key, Instant::now()) {
            self.0.changed.notify_one();
        }
    }

    /// Adds a key when `delay` has passed. One that is delayed already comes
    /// once, at the earlier of its times.
    pub fn add_after(&self, key: K, delay: Duration) {
        let now = Instant::now();
        let wakes = {
            let mut state = self.0.state.lock();
            state.retries += 1;
            if delay.is_zero() { state.add(key, now) } else { state.delay(key, now + delay) }
        };
        if wakes {
            self.0.changed.notify_one();
        }
    }

    /// Adds a key after a pause that doubles with each failure since [`Queue::forget`].
    pub fn add_failed(&self, key: K) {
        let pause = {
            let mut state = self.0.state.lock();
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
                let now = Instant::now();
                let mut state = self.0.state.lock();
                state.release(now);
                if let Some(key) = state.take(now) {
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
        if let Some(since) = state.working.remove(key) {
            state.worked.observe(since.elapsed());
        }
        if state.dirty.contains_key(key) {
            state.ready.push_back(key.clone());
            drop(state);
            self.0.changed.notify_one();
        }
    }
}

impl<K: Ord + Send + Sync> Measured for Inner<K> {
    fn measure(&self, now: Instant) -> Measures {
        let state = self.state.lock();
        let running = || state.working.values().map(|since| now.saturating_duration_since(*since));
        Measures {
            adds: state.adds,
            retries: state.retries,
            depth: state.dirty.len(),
            waited: state.waited.clone(),
            worked: state.worked.clone(),
            unfinished: running().sum(),
            longest: running().max().unwrap_or_default(),
        }
    }
}

fn pause_after(failures: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(30)).min(MOST_PAUSE)
}

impl<K: Ord + Clone> State<K> {
    /// Whether a worker may have something to do now.
    fn add(&mut self, key: K, now: Instant) -> bool {
        if self.dirty.contains_key(&key) {
            return false;
        }
        self.dirty.insert(key.clone(), now);
        self.adds += 1;
        let free = !self.working.contains_key(&key);
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
                self.add(key, now);
            }
        }
    }

    fn take(&mut self, now: Instant) -> Option<K> {
        let key = self.ready.pop_front()?;
        if let Some(since) = self.dirty.remove(&key) {
            self.waited.observe(now.saturating_duration_since(since));
        }
        self.working.insert(key.clone(), now);
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
