//! What the server counts, under upstream's names (`/metrics`).
//!
//! Counting a request is a lookup by its labels, written into memory that is
//! kept: nothing is allocated for a series that is known.

mod labels;
mod process;
mod text;
mod timing;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serve::families::{Observations, push_escaped};

pub(crate) use labels::Asked;
use timing::Timing;
pub(crate) use timing::{AdmissionTimings, Step};

/// Upper bounds of upstream's request durations, in seconds.
const SECONDS: [f64; 23] = [
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0,
    20.0, 30.0, 45.0, 60.0,
];
/// Upper bounds of upstream's sizes of answers, in bytes.
const BYTES: [f64; 7] = [1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];

/// Upper bounds of upstream's durations of proofs and rights, in seconds.
const SHORT: [f64; 15] = [
    0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 4.096, 8.192, 16.384,
];
/// Upper bounds of upstream's lifetimes of certificates, in seconds.
const LIVES: [f64; 14] = [
    0.0,
    1_800.0,
    3_600.0,
    7_200.0,
    21_600.0,
    43_200.0,
    86_400.0,
    172_800.0,
    345_600.0,
    604_800.0,
    2_592_000.0,
    7_776_000.0,
    15_552_000.0,
    31_104_000.0,
];

/// What is known of the requests with the same labels.
struct Series {
    codes: BTreeMap<u16, u64>,
    /// Those that were given up, by the code they got instead.
    terminated: BTreeMap<u16, u64>,
    seconds: Observations,
    bytes: Observations,
    /// Watches and streams that are open, if they are of such.
    open: i64,
    is_long: bool,
}

impl Default for Series {
    fn default() -> Self {
        let (seconds, bytes) = (Observations::new(&SECONDS), Observations::new(&BYTES));
        Self { codes: BTreeMap::new(), terminated: BTreeMap::new(), seconds, bytes, open: 0, is_long: false }
    }
}

/// See the module. Cheap enough to count every request.
#[derive(Default)]
pub struct Metrics {
    /// By the labels as they are written.
    series: Mutex<BTreeMap<Box<str>, Series>>,
    panics: AtomicU64,
    reading: AtomicI64,
    writing: AtomicI64,
    authentications: [AtomicU64; 2],
    authenticating: [Timing<15>; 2],
    authorizations: [AtomicU64; 3],
    authorizing: [Timing<15>; 3],
    certificates: Timing<14>,
    events: Mutex<BTreeMap<(String, String, String), Arc<AtomicU64>>>,
    users: [AtomicU64; 3],
    others: Mutex<Vec<Other>>,
}

/// Appends families that somebody else counts.
type Other = Box<dyn Fn(&mut String) + Send + Sync>;

/// What a request was, for its series.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted<'a> {
    pub verb: &'static str,
    /// What answers: "apiserver", or "" for some paths of no resource.
    pub component: &'static str,
    pub group: &'a str,
    pub version: &'a str,
    pub resource: &'a str,
    pub subresource: &'a str,
    pub scope: &'static str,
    pub dry_run: &'static str,
}

/// Whether a proof of identity holds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Proof {
    Success,
    Failure,
}

/// Counts something as long as it is there.
pub(crate) struct Gauge<'a>(&'a AtomicI64);

impl Drop for Gauge<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    /// Publishes what another part of the program counts, too.
    pub fn publish(&self, write: impl Fn(&mut String) + Send + Sync + 'static) {
        self.others.lock().push(Box::new(write));
    }

    pub(crate) fn enter(&self, writes: bool) -> Gauge<'_> {
        let gauge = if writes { &self.writing } else { &self.reading };
        gauge.fetch_add(1, Ordering::Relaxed);
        Gauge(gauge)
    }

    /// An answered request; `took` is None for watches and streams, which take what they take.
    pub(crate) fn count(&self, request: &Counted<'_>, code: u16, took: Option<Duration>) {
        self.with(request, |series| {
            *series.codes.entry(code).or_default() += 1;
            if let Some(took) = took {
                series.seconds.observe(&SECONDS, took.as_secs_f64());
            }
        });
    }

    /// The length of an answer to a get or a list.
    pub(crate) fn sent(&self, request: &Counted<'_>, bytes: usize) {
        self.with(request, |series| series.bytes.observe(&BYTES, bytes as f64));
    }

    fn with(&self, request: &Counted<'_>, change: impl FnOnce(&mut Series)) {
        thread_local! {
            static LABELS: RefCell<String> = const { RefCell::new(String::new()) };
        }
        LABELS.with_borrow_mut(|labels| {
            labels.clear();
            request.write(labels);
            let mut all = self.series.lock();
            match all.get_mut(labels.as_str()) {
                Some(series) => change(series),
                None => change(all.entry(labels.as_str().into()).or_default()),
            }
        });
    }

    /// A watch or a stream that is open as long as what it gives lives.
    pub(crate) fn open(self: &Arc<Self>, request: &Counted<'_>) -> Open {
        let mut labels = String::new();
        request.write(&mut labels);
        self.with(request, |series| {
            series.open += 1;
            series.is_long = true;
        });
        Open { metrics: self.clone(), labels: labels.into() }
    }

    pub(crate) fn panicked(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }

    /// Given up with `code`: too much is under way, or its time is over.
    pub(crate) fn terminated(&self, request: &Counted<'_>, code: u16) {
        self.with(request, |series| *series.terminated.entry(code).or_default() += 1);
    }

    /// A proof of identity that was looked at for so long.
    pub(crate) fn authenticated(&self, proof: Proof, took: Duration) {
        self.authentications[proof as usize].fetch_add(1, Ordering::Relaxed);
        self.authenticating[proof as usize].observe(&SHORT, took);
    }

    /// A client's certificate that is good for so long.
    pub(crate) fn expires(&self, left: Duration) {
        self.certificates.observe(&LIVES, left);
    }

    /// The counter of the events of watches of a kind.
    pub(crate) fn events(&self, group: &str, version: &str, resource: &str) -> Arc<AtomicU64> {
        let key = (group.to_owned(), version.to_owned(), resource.to_owned());
        self.events.lock().entry(key).or_default().clone()
    }

    /// A request of `user`, and whether it may do what it asks, which took so
    /// long to find out.
    pub(crate) fn authorized(&self, user: &str, verdict: crate::Verdict, took: Duration) {
        let at = match verdict {
            crate::Verdict::Allow => 0,
            crate::Verdict::Deny => 1,
            crate::Verdict::NoOpinion => 2,
        };
        self.authorizations[at].fetch_add(1, Ordering::Relaxed);
        self.authorizing[at].observe(&SHORT, took);
        self.users[text::user_class(user)].fetch_add(1, Ordering::Relaxed);
    }
}

impl Counted<'_> {
    /// The labels in their order.
    fn write(&self, out: &mut String) {
        for (name, value) in [
            ("component=\"", self.component),
            (",dry_run=\"", self.dry_run),
            (",group=\"", self.group),
            (",resource=\"", self.resource),
            (",scope=\"", self.scope),
            (",subresource=\"", self.subresource),
            (",verb=\"", self.verb),
            (",version=\"", self.version),
        ] {
            out.push_str(name);
            push_escaped(value, out);
            out.push('"');
        }
    }
}

/// See [`Metrics::open`].
pub(crate) struct Open {
    metrics: Arc<Metrics>,
    labels: Box<str>,
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(series) = self.metrics.series.lock().get_mut(&self.labels) {
            series.open -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_with_the_same_labels_are_one_series() {
        let metrics = Arc::new(Metrics::default());
        let request = Counted {
            verb: "LIST",
            group: "apps",
            version: "v1",
            resource: "deployments",
            subresource: "",
            scope: "namespace",
            component: "apiserver",
            dry_run: "",
        };
        metrics.count(&request, 200, Some(Duration::from_millis(30)));
        metrics.count(&request, 200, Some(Duration::from_millis(300)));
        metrics.count(&request, 404, None);
        metrics.sent(&request, 2000);
        let open = metrics.open(&request);
        let text = metrics.write(&[("apps".to_owned(), "deployments".to_owned(), 3)], Some(4096));
        let labels = "component=\"apiserver\",dry_run=\"\",group=\"apps\",resource=\"deployments\",scope=\"namespace\",\
                      subresource=\"\",verb=\"LIST\",version=\"v1\"";
        let brief = labels.replace("dry_run=\"\",", "");
        for line in [
            format!("apiserver_request_total{{code=\"200\",{labels}}} 2"),
            format!("apiserver_request_total{{code=\"404\",{labels}}} 1"),
            format!("apiserver_request_duration_seconds_bucket{{{labels},le=\"0.05\"}} 1"),
            format!("apiserver_request_duration_seconds_bucket{{{labels},le=\"+Inf\"}} 2"),
            format!("apiserver_request_sli_duration_seconds_count{{{brief}}} 2"),
            format!("apiserver_response_sizes_bucket{{{brief},le=\"10000\"}} 1"),
            format!("apiserver_longrunning_requests{{{brief}}} 1"),
            "apiserver_resource_objects{group=\"apps\",resource=\"deployments\"} 3".to_owned(),
            "apiserver_storage_size_bytes{storage_cluster_id=\"sqlite\"} 4096".to_owned(),
        ] {
            assert!(text.lines().any(|have| have == line), "{line}\n{text}");
        }
        drop(open);
        metrics.publish(|out| out.push_str("workqueue_depth{name=\"job\"} 0\n"));
        assert!(metrics.write(&[], None).ends_with("\nworkqueue_depth{name=\"job\"} 0\n"));
        assert!(metrics.write(&[], None).contains(&format!("apiserver_longrunning_requests{{{brief}}} 0\n")));
    }
}
