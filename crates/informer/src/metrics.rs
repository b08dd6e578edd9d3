//! What work queues count, under upstream's names (`workqueue_…`).

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use parking_lot::Mutex;
use serve::families::{Families, Float, Observations, exponential, head, line};
use tokio::time::Instant;

/// Upper bounds of upstream's durations, in seconds.
static BOUNDS: LazyLock<Vec<f64>> = LazyLock::new(|| exponential(1e-8, 10.0, 10));

/// How many durations lay below each bound.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Durations(Observations);

impl Default for Durations {
    fn default() -> Self {
        Self(Observations::new(&BOUNDS))
    }
}

impl Durations {
    pub fn observe(&mut self, duration: Duration) {
        self.0.observe(&BOUNDS, duration.as_secs_f64());
    }
}

/// What a queue counted so far, and what is under way in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Measures {
    pub adds: u64,
    pub retries: u64,
    pub depth: usize,
    pub waited: Durations,
    pub worked: Durations,
    /// The time since the start of everything that is under way, added up.
    pub unfinished: Duration,
    /// The time since the start of what is longest under way.
    pub longest: Duration,
}

impl Measures {
    fn add(&mut self, other: &Self) {
        self.adds += other.adds;
        self.retries += other.retries;
        self.depth += other.depth;
        self.waited.0.add(&other.waited.0);
        self.worked.0.add(&other.worked.0);
        self.unfinished += other.unfinished;
        self.longest = self.longest.max(other.longest);
    }
}

/// A queue, whatever its keys are.
pub(crate) trait Measured: Send + Sync {
    fn measure(&self, now: Instant) -> Measures;
}

type Queues = Vec<(&'static str, Arc<dyn Measured>)>;

/// The named queues of one program. Clones share the list.
#[derive(Clone, Default)]
pub struct QueueMetrics(Arc<Mutex<Queues>>);

impl QueueMetrics {
    /// Queues that `families` tell of too.
    pub fn among(families: &Families) -> Self {
        let queues = Self::default();
        let told = queues.clone();
        families.written("workqueue", move |out| told.write(out));
        queues
    }

    pub(crate) fn register(&self, name: &'static str, queue: Arc<dyn Measured>) {
        self.0.lock().push((name, queue));
    }

    /// Adds and retries of the queues called `name`.
    pub fn adds_and_retries(&self, name: &str) -> (u64, u64) {
        self.measure().get(name).map_or((0, 0), |measures| (measures.adds, measures.retries))
    }

    /// The names that queues have.
    pub fn names(&self) -> Vec<&'static str> {
        self.measure().into_keys().collect()
    }

    /// Queues of one name are one series, as upstream's are.
    fn measure(&self) -> BTreeMap<&'static str, Measures> {
        let now = Instant::now();
        let mut all = BTreeMap::<_, Measures>::new();
        for (name, queue) in &*self.0.lock() {
            all.entry(*name).or_default().add(&queue.measure(now));
        }
        all
    }

    /// Appends every family.
    fn write(&self, out: &mut String) {
        let all = self.measure();
        let mut family = |name: &str, kind: &str, help: &str, of: &dyn Fn(&Measures) -> f64| {
            begin(out, name, kind, help);
            for (queue, measures) in &all {
                let number = Float(of(measures));
                line(out, format_args!("workqueue_{name}{{name=\"{queue}\"}} {number}"));
            }
        };
        family("depth", "gauge", "Current depth of workqueue", &|one| one.depth as f64);
        family("adds_total", "counter", "Total number of adds handled by workqueue", &|one| one.adds as f64);
        family("retries_total", "counter", "Total number of retries handled by workqueue", &|one| {
            one.retries as f64
        });
        family(
            "unfinished_work_seconds",
            "gauge",
            "How many seconds of work has done that is in progress and hasn't been observed by work_duration. Large \
             values indicate stuck threads. One can deduce the number of stuck threads by observing the rate at which \
             this increases.",
            &|one| one.unfinished.as_secs_f64(),
        );
        family(
            "longest_running_processor_seconds",
            "gauge",
            "How many seconds has the longest running processor for workqueue been running.",
            &|one| one.longest.as_secs_f64(),
        );
        let mut family = |name: &str, help: &str, of: &dyn Fn(&Measures) -> &Durations| {
            begin(out, name, "histogram", help);
            for (queue, measures) in &all {
                let (name, labels) = (format!("workqueue_{name}"), format!("name=\"{queue}\""));
                of(measures).0.write(&name, &labels, &BOUNDS, out);
            }
        };
        family(
            "queue_duration_seconds",
            "How long in seconds an item stays in workqueue before being requested.",
            &|one| &one.waited,
        );
        family(
            "work_duration_seconds",
            "How long in seconds processing an item from workqueue takes.",
            &|one| &one.worked,
        );
    }
}

fn begin(out: &mut String, name: &str, kind: &str, help: &str) {
    head(out, &format!("workqueue_{name}"), kind, &format!("[BETA] {help}"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Queue;

    #[tokio::test(start_paused = true)]
    async fn a_queue_tells_what_waits_and_what_is_worked_on() {
        let metrics = QueueMetrics::default();
        let queue = Queue::named("job", &metrics);
        let twin = Queue::named("job", &metrics);
        queue.add("a");
        queue.add("b");
        twin.add_after(1, Duration::from_secs(3600));
        tokio::time::sleep(Duration::from_millis(50)).await;
        queue.next().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        queue.add("a");
        let text = |metrics: &QueueMetrics| {
            let mut text = String::new();
            metrics.write(&mut text);
            text
        };
        let has = |wanted: &[&str]| {
            let text = text(&metrics);
            for line in wanted {
                assert!(text.lines().any(|have| have == *line), "{line}\n{text}");
            }
        };
        has(&[
            "# TYPE workqueue_depth gauge",
            "workqueue_depth{name=\"job\"} 2",
            "workqueue_adds_total{name=\"job\"} 3",
            "workqueue_retries_total{name=\"job\"} 1",
            "workqueue_unfinished_work_seconds{name=\"job\"} 2",
            "workqueue_longest_running_processor_seconds{name=\"job\"} 2",
            "workqueue_queue_duration_seconds_bucket{name=\"job\",le=\"0.01\"} 0",
            "workqueue_queue_duration_seconds_bucket{name=\"job\",le=\"0.1\"} 1",
            "workqueue_work_duration_seconds_count{name=\"job\"} 0",
        ]);
        queue.done(&"a");
        has(&[
            "workqueue_unfinished_work_seconds{name=\"job\"} 0",
            "workqueue_work_duration_seconds_bucket{name=\"job\",le=\"1\"} 0",
            "workqueue_work_duration_seconds_bucket{name=\"job\",le=\"10\"} 1",
            "workqueue_work_duration_seconds_sum{name=\"job\"} 2",
        ]);
        assert_eq!(metrics.adds_and_retries("job"), (3, 1));
        assert_eq!(metrics.names(), ["job"]);
    }
}
