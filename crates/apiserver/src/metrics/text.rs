//! The Prometheus text format.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use api::facts;
use serve::families::{Float, head, line};

use super::{BYTES, LIVES, Metrics, SECONDS, SHORT, process};

/// One family of counters or gauges that differ by one label.
fn labelled<'a>(
    out: &mut String,
    (name, kind, help): (&str, &str, &str),
    label: &str,
    values: impl IntoIterator<Item = (&'a str, i64)>,
) {
    head(out, name, kind, help);
    for (value, number) in values {
        line(out, format_args!("{name}{{{label}=\"{value}\"}} {number}"));
    }
}

pub(super) fn write_single(
    out: &mut String,
    (name, kind, help): (&str, &str, &str),
    value: impl std::fmt::Display,
) {
    head(out, name, kind, help);
    line(out, format_args!("{name} {value}"));
}

/// Users are counted by class, since their names are many: an index into [`USERS`].
pub(super) fn user_class(name: &str) -> usize {
    match name {
        "admin" => 0,
        name if name.contains('@') => 1,
        _ => 2,
    }
}

/// How proofs of identity end, and questions for rights.
const PROOFS: [&str; 2] = ["success", "failure"];
const VERDICTS: [&str; 3] = ["allowed", "denied", "no-opinion"];

const USERS: [&str; 3] = ["admin", "email_id", "other"];

impl Metrics {
    /// Everything; `objects` are group, resource and count of what is stored,
    /// which takes `size` bytes on disk.
    pub(crate) fn write(&self, objects: &[(String, String, usize)], size: Option<u64>) -> String {
        let mut out = String::with_capacity(64 * 1024);
        self.write_requests(&mut out);
        self.write_server(&mut out);
        let name = "apiserver_resource_objects";
        head(
            &mut out,
            name,
            "gauge",
            "[ALPHA] Number of stored objects at the time of last check split by kind.",
        );
        for (group, resource, count) in objects {
            line(&mut out, format_args!("{name}{{group=\"{group}\",resource=\"{resource}\"}} {count}"));
        }
        if let Some(size) = size {
            let name = "apiserver_storage_size_bytes";
            let help = "[STABLE] Size of the storage database file physically allocated in bytes.";
            head(&mut out, name, "gauge", help);
            line(&mut out, format_args!("{name}{{storage_cluster_id=\"sqlite\"}} {}", Float(size as f64)));
        }
        write_build(&mut out);
        process::write(&mut out);
        for write in &*self.others.lock() {
            write(&mut out);
        }
        out
    }

    fn write_requests(&self, out: &mut String) {
        let all = self.series.lock();
        let name = "apiserver_request_total";
        head(
            out,
            name,
            "counter",
            "[STABLE] Counter of apiserver requests broken out for each verb, dry run value, group, version, resource, scope, component, and HTTP response code.",
        );
        for (labels, series) in &*all {
            for (code, count) in &series.codes {
                line(out, format_args!("{name}{{code=\"{code}\",{labels}}} {count}"));
            }
        }
        let name = "apiserver_request_duration_seconds";
        head(
            out,
            name,
            "histogram",
            "[STABLE] Response latency distribution in seconds for each verb, dry run value, group, version, resource, subresource, scope and component.",
        );
        for (labels, series) in all.iter().filter(|(_, series)| series.seconds.count() > 0) {
            series.seconds.write(name, labels, &SECONDS, out);
        }
        // What follows does not tell dry runs apart.
        let mut merged: BTreeMap<String, super::Series> = BTreeMap::new();
        for (labels, series) in &*all {
            let (before, after) = labels.split_once("dry_run=\"").unwrap_or_default();
            let (dry_run, after) = after.split_once("\",").unwrap_or_default();
            let labels = format!("{before}{after}");
            let into = merged.entry(labels).or_default();
            series
                .terminated
                .iter()
                .for_each(|(code, count)| *into.terminated.entry(*code).or_default() += count);
            into.is_long |= series.is_long;
            // Dry runs are no service.
            if dry_run.is_empty() {
                into.seconds.add(&series.seconds);
            }
            into.bytes.add(&series.bytes);
            into.open += series.open;
        }
        let name = "apiserver_request_terminations_total";
        head(out, name, "counter", "[ALPHA] Number of requests which apiserver terminated in self-defense.");
        for (labels, series) in &merged {
            for (code, count) in &series.terminated {
                line(out, format_args!("{name}{{code=\"{code}\",{labels}}} {count}"));
            }
        }
        drop(all);
        let name = "apiserver_request_sli_duration_seconds";
        head(
            out,
            name,
            "histogram",
            "[ALPHA] Response latency distribution (not counting webhook duration and priority & fairness queue wait times) in seconds for each verb, group, version, resource, subresource, scope and component.",
        );
        for (labels, series) in merged.iter().filter(|(_, series)| series.seconds.count() > 0) {
            series.seconds.write(name, labels, &SECONDS, out);
        }
        let name = "apiserver_response_sizes";
        head(
            out,
            name,
            "histogram",
            "[STABLE] Response size distribution in bytes for each group, version, verb, resource, subresource, scope and component.",
        );
        for (labels, series) in merged.iter().filter(|(_, series)| series.bytes.count() > 0) {
            series.bytes.write(name, labels, &BYTES, out);
        }
        let name = "apiserver_longrunning_requests";
        head(
            out,
            name,
            "gauge",
            "[STABLE] Gauge of all active long-running apiserver requests broken out by verb, group, version, resource, scope and component. Not all requests are tracked this way.",
        );
        for (labels, series) in merged.iter().filter(|(_, series)| series.is_long) {
            line(out, format_args!("{name}{{{labels}}} {}", series.open));
        }
    }

    fn write_server(&self, out: &mut String) {
        let now = |gauge: &AtomicI64| gauge.load(Ordering::Relaxed);
        let count = |counter: &AtomicU64| i64::try_from(counter.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
        labelled(
            out,
            (
                "apiserver_current_inflight_requests",
                "gauge",
                "[STABLE] Maximal number of currently used inflight request limit of this apiserver per request kind in last second.",
            ),
            "request_kind",
            [("mutating", now(&self.writing)), ("readOnly", now(&self.reading))],
        );
        labelled(
            out,
            ("authentication_attempts", "counter", "[ALPHA] Counter of authenticated attempts."),
            "result",
            PROOFS.into_iter().zip(self.authentications.iter().map(count)),
        );
        labelled(
            out,
            (
                "authorization_attempts_total",
                "counter",
                "[ALPHA] Counter of authorization attempts broken down by result. It can be either 'allowed', 'denied', 'no-opinion' or 'error'.",
            ),
            "result",
            VERDICTS.into_iter().zip(self.authorizations.iter().map(count)),
        );
        labelled(
            out,
            (
                "authenticated_user_requests",
                "counter",
                "[ALPHA] Counter of authenticated requests broken out by username.",
            ),
            "username",
            USERS.into_iter().zip(self.users.iter().map(count)),
        );
        self.write_timings(out);
        let panics = ("corten_request_panics_total", "counter", "Requests that ended in a panic.");
        write_single(out, panics, count(&self.panics));
    }
}

impl Metrics {
    fn write_timings(&self, out: &mut String) {
        let name = "authentication_duration_seconds";
        let help = "[ALPHA] Authentication duration in seconds broken out by result.";
        head(out, name, "histogram", help);
        for (result, timing) in PROOFS.iter().zip(&self.authenticating) {
            timing.write(name, &format!("result=\"{result}\""), &SHORT, out);
        }
        let name = "authorization_duration_seconds";
        let help = "[ALPHA] Authorization duration in seconds broken out by result.";
        head(out, name, "histogram", help);
        for (result, timing) in VERDICTS.iter().zip(&self.authorizing) {
            timing.write(name, &format!("result=\"{result}\""), &SHORT, out);
        }
        let name = "apiserver_client_certificate_expiration_seconds";
        let help = "[ALPHA] Distribution of the remaining lifetime on the certificate used to authenticate a request.";
        head(out, name, "histogram", help);
        self.certificates.write(name, "", &LIVES, out);
        let name = "apiserver_watch_events_total";
        head(out, name, "counter", "[BETA] Number of events sent in watch clients");
        for ((group, version, resource), count) in &*self.events.lock() {
            let count = count.load(Ordering::Relaxed);
            line(
                out,
                format_args!(
                    "{name}{{group=\"{group}\",resource=\"{resource}\",version=\"{version}\"}} {count}"
                ),
            );
        }
    }
}

fn write_build(out: &mut String) {
    let version = facts::version();
    let of = |name: &str| version[name].text();
    let name = "kubernetes_build_info";
    head(
        out,
        name,
        "gauge",
        "[ALPHA] A metric with a constant '1' value labeled by major, minor, git version, git commit, git tree state, build date, Go version, and compiler from which Kubernetes was built, and platform on which it is running.",
    );
    line(
        out,
        format_args!(
            "{name}{{build_date=\"{}\",compiler=\"{}\",git_commit=\"{}\",git_tree_state=\"{}\",git_version=\"{}\",\
             go_version=\"{}\",major=\"{}\",minor=\"{}\",platform=\"{}\"}} 1",
            of("buildDate"),
            of("compiler"),
            of("gitCommit"),
            of("gitTreeState"),
            of("gitVersion"),
            of("goVersion"),
            of("major"),
            of("minor"),
            of("platform")
        ),
    );
}
