//! What the server counts, under upstream's names (`/metrics`).

use std::fmt::Write;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use std::collections::BTreeMap;

/// Upper bounds of upstream's request duration histogram, in seconds.
const BUCKETS: [f64; 20] = [
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0,
    20.0,
];

/// Labels of a request's series.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Series {
    verb: String,
    group: String,
    version: String,
    resource: String,
    subresource: String,
    scope: &'static str,
}

#[derive(Default)]
struct Durations {
    buckets: [u64; BUCKETS.len()],
    count: u64,
    sum: f64,
}

/// See the module. Cheap enough to count every request.
#[derive(Default)]
pub struct Metrics {
    requests: Mutex<BTreeMap<Series, BTreeMap<u16, u64>>>,
    durations: Mutex<BTreeMap<Series, Durations>>,
    panics: AtomicU64,
    rejected: AtomicU64,
    reading: AtomicI64,
    writing: AtomicI64,
    watchers: AtomicI64,
}

/// What a request was, for its series.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted<'a> {
    pub verb: &'a str,
    pub group: &'a str,
    pub version: &'a str,
    pub resource: &'a str,
    pub subresource: &'a str,
    pub scope: &'static str,
}

/// Counts something as long as it is there.
pub(crate) struct Gauge<'a>(&'a AtomicI64);

impl Drop for Gauge<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    pub(crate) fn enter(&self, writes: bool) -> Gauge<'_> {
        let gauge = if writes { &self.writing } else { &self.reading };
        gauge.fetch_add(1, Ordering::Relaxed);
        Gauge(gauge)
    }

    pub(crate) fn count(&self, request: &Counted<'_>, code: u16, took: Option<Duration>) {
        let series = Series {
            verb: request.verb.to_ascii_uppercase(),
            group: request.group.into(),
            version: request.version.into(),
            resource: request.resource.into(),
            subresource: request.subresource.into(),
            scope: request.scope,
        };
        if let Some(took) = took {
            let seconds = took.as_secs_f64();
            let mut durations = self.durations.lock();
            let durations = durations.entry(series.clone()).or_default();
            durations.count += 1;
            durations.sum += seconds;
            if let Some(at) = BUCKETS.iter().position(|bound| seconds <= *bound) {
                durations.buckets[at] += 1;
            }
        }
        *self.requests.lock().entry(series).or_default().entry(code).or_default() += 1;
    }

    pub(crate) fn panicked(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn rejected(&self) {
        self.rejected.fetch_add(1, Ordering::Relaxed);
    }

    /// In the Prometheus text format.
    pub(crate) fn write(&self) -> String {
        let mut out = String::new();
        let head = |out: &mut String, name: &str, help: &str, kind: &str| {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        };
        head(&mut out, "apiserver_request_total", "[STABLE] Counter of apiserver requests.", "counter");
        for (series, codes) in &*self.requests.lock() {
            for (code, count) in codes {
                let _ =
                    writeln!(out, "apiserver_request_total{{code=\"{code}\",{}}} {count}", series.labels());
            }
        }
        head(
            &mut out,
            "apiserver_request_duration_seconds",
            "[STABLE] Response latency distribution in seconds.",
            "histogram",
        );
        for (series, durations) in &*self.durations.lock() {
            let labels = series.labels();
            let mut sum = 0;
            for (bound, count) in BUCKETS.iter().zip(durations.buckets) {
                sum += count;
                let _ = writeln!(
                    out,
                    "apiserver_request_duration_seconds_bucket{{{labels},le=\"{bound}\"}} {sum}"
                );
            }
            let _ = writeln!(
                out,
                "apiserver_request_duration_seconds_bucket{{{labels},le=\"+Inf\"}} {count}\n\
                 apiserver_request_duration_seconds_sum{{{labels}}} {total}\n\
                 apiserver_request_duration_seconds_count{{{labels}}} {count}",
                count = durations.count,
                total = durations.sum,
            );
        }
        head(&mut out, "apiserver_current_inflight_requests", "[STABLE] Requests being served now.", "gauge");
        for (kind, gauge) in [("mutating", &self.writing), ("readOnly", &self.reading)] {
            let value = gauge.load(Ordering::Relaxed);
            let _ = writeln!(out, "apiserver_current_inflight_requests{{request_kind=\"{kind}\"}} {value}");
        }
        head(&mut out, "apiserver_longrunning_requests", "[STABLE] Watches being served now.", "gauge");
        let _ = writeln!(out, "apiserver_longrunning_requests {}", self.watchers.load(Ordering::Relaxed));
        head(&mut out, "apiserver_request_panics_total", "Requests that ended in a panic.", "counter");
        let _ = writeln!(out, "apiserver_request_panics_total {}", self.panics.load(Ordering::Relaxed));
        head(&mut out, "apiserver_rejected_requests_total", "Requests refused by overload.", "counter");
        let _ = writeln!(out, "apiserver_rejected_requests_total {}", self.rejected.load(Ordering::Relaxed));
        out
    }

    pub(crate) fn watcher(self: &std::sync::Arc<Self>) -> WatcherGauge {
        self.watchers.fetch_add(1, Ordering::Relaxed);
        WatcherGauge(self.clone())
    }
}

/// Counts a watcher as long as its stream lives.
pub(crate) struct WatcherGauge(std::sync::Arc<Metrics>);

impl Drop for WatcherGauge {
    fn drop(&mut self) {
        self.0.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Series {
    fn labels(&self) -> String {
        format!(
            "component=\"apiserver\",dry_run=\"\",group=\"{}\",resource=\"{}\",scope=\"{}\",subresource=\"{}\",\
             verb=\"{}\",version=\"{}\"",
            self.group, self.resource, self.scope, self.subresource, self.verb, self.version
        )
    }
}
