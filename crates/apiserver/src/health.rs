//! /healthz, /livez and /readyz, and what came of their checks (/metrics/slis).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use jiff::Timestamp;
use parking_lot::Mutex;
use serve::families::{Counter, Description, Families, Gauge};

use crate::ApiServer;

/// What upstream's server does at its start, in its order. What is no step of its own here is
/// done when there is a server.
const STARTS: [&str; 31] = [
    "poststarthook/start-apiserver-admission-initializer",
    "poststarthook/generic-apiserver-start-informers",
    "poststarthook/priority-and-fairness-config-consumer",
    "poststarthook/priority-and-fairness-filter",
    "poststarthook/storage-object-count-tracker-hook",
    "poststarthook/start-apiextensions-informers",
    "poststarthook/start-apiextensions-controllers",
    "poststarthook/crd-informer-synced",
    "poststarthook/start-system-namespaces-controller",
    "poststarthook/peer-endpoint-reconciler-controller",
    "poststarthook/start-cluster-authentication-info-controller",
    "poststarthook/start-kube-apiserver-identity-lease-controller",
    "poststarthook/start-kube-apiserver-identity-lease-garbage-collector",
    "poststarthook/storage-readiness",
    "poststarthook/start-legacy-token-tracking-controller",
    "poststarthook/start-service-ip-repair-controllers",
    "poststarthook/rbac/bootstrap-roles",
    "poststarthook/scheduling/bootstrap-system-priority-classes",
    "poststarthook/priority-and-fairness-config-producer",
    "poststarthook/bootstrap-controller",
    "poststarthook/start-kubernetes-service-cidr-controller",
    "poststarthook/aggregator-reload-proxy-client-cert",
    "poststarthook/start-kube-aggregator-informers",
    "poststarthook/apiservice-status-local-available-controller",
    "poststarthook/apiservice-status-remote-available-controller",
    "poststarthook/apiservice-registration-controller",
    "poststarthook/apiservice-discovery-controller",
    "poststarthook/kube-apiserver-autoregistration",
    "autoregister-completion",
    "poststarthook/apiservice-openapi-controller",
    "poststarthook/apiservice-openapiv3-controller",
];

/// Start-up steps, and whether they are done.
pub(crate) struct Health {
    started: Timestamp,
    steps: Mutex<BTreeMap<String, bool>>,
    families: Families,
    last: Gauge,
    total: Counter,
}

impl Health {
    pub fn new(steps: &[&str], started: Timestamp) -> Self {
        let families = Families::default();
        let last = families.gauge(Description {
            name: "kubernetes_healthcheck",
            help: "[STABLE] This metric records the result of a single healthcheck.",
            labels: &["name", "type"],
        });
        let total = families.counter(Description {
            name: "kubernetes_healthchecks_total",
            help: "[STABLE] This metric records the results of all healthcheck.",
            labels: &["name", "status", "type"],
        });
        let steps = Mutex::new(steps.iter().map(|step| ((*step).to_owned(), false)).collect());
        Self { started, steps, families, last, total }
    }

    /// Notes what a probe found.
    fn record(&self, endpoint: &str, (name, result): &Check) {
        let holds = result.is_ok();
        self.last.set(&[name, endpoint], f64::from(u8::from(holds)));
        self.total.increase(&[name, if holds { "success" } else { "error" }, endpoint]);
    }

    /// What came of all probes, in the Prometheus text format.
    pub fn indicators(&self) -> String {
        let mut text = String::new();
        self.families.write(&mut text);
        text
    }

    /// When the server began.
    pub fn started(&self) -> Timestamp {
        self.started
    }

    pub fn finish(&self, step: &str) {
        self.steps.lock().insert(step.to_owned(), true);
    }
}

/// A check's name and what is wrong, if anything.
pub(crate) type Check = (String, Result<(), String>);

impl ApiServer {
    /// What is looked at for an endpoint, in upstream's order.
    pub(crate) fn checks(&self, endpoint: &str) -> Vec<Check> {
        let mut checks: Vec<Check> = vec![("ping".into(), Ok(())), ("log".into(), Ok(()))];
        if endpoint != "readyz" {
            checks.push(("loopback-serving-certificate".into(), Ok(())));
        }
        let storage = self.store.writable().map_err(|error| error.to_string());
        checks.push(("etcd".into(), storage.clone()));
        if endpoint == "readyz" {
            checks.push(("etcd-readiness".into(), storage));
            checks.push(("informer-sync".into(), Ok(())));
        }
        let steps = self.health.steps.lock();
        let further = steps.keys().map(String::as_str).filter(|step| !STARTS.contains(step));
        checks.extend(STARTS.into_iter().chain(further).map(|step| {
            let done = steps.get(step).copied().unwrap_or(true);
            (step.to_owned(), if done { Ok(()) } else { Err("not finished".into()) })
        }));
        drop(steps);
        if endpoint == "readyz" {
            let stopping = self.edge.tasks.is_stopped();
            checks.push((
                "shutdown".into(),
                if stopping { Err("process is shutting down".into()) } else { Ok(()) },
            ));
        }
        checks
    }

    /// The answer's code and text. `endpoint` is healthz, livez or readyz;
    /// `check` names one check alone ("" for all).
    pub(crate) fn health_report(
        &self,
        endpoint: &str,
        check: &str,
        verbose: bool,
        exclude: &[&str],
    ) -> Option<(u16, String)> {
        let checks = self.checks(endpoint);
        if !check.is_empty() {
            let found = checks.into_iter().find(|(name, _)| name == check)?;
            self.health.record(endpoint, &found);
            return Some(match found.1 {
                Ok(()) => (200, "ok".into()),
                Err(why) => (500, format!("internal server error: {why}\n")),
            });
        }
        let mut text = String::new();
        let mut failed = false;
        for one in &checks {
            let (name, result) = one;
            let excluded = exclude.contains(&name.as_str());
            if !excluded {
                self.health.record(endpoint, one);
            }
            let line = match result {
                _ if excluded => format!("[+]{name} excluded: ok"),
                Ok(()) => format!("[+]{name} ok"),
                Err(_) => {
                    failed = true;
                    format!("[-]{name} failed: reason withheld")
                }
            };
            let _ = writeln!(text, "{line}");
        }
        let unknown: BTreeSet<&str> =
            exclude.iter().copied().filter(|name| !checks.iter().any(|(have, _)| have == name)).collect();
        if !unknown.is_empty() {
            let unknown: Vec<String> = unknown.iter().map(|name| format!("{name:?}")).collect();
            let unknown = unknown.join(",");
            let _ = writeln!(text, "warn: some health checks cannot be excluded: no matches for {unknown}");
        }
        if failed {
            let _ = writeln!(text, "{endpoint} check failed");
            return Some((500, text));
        }
        if !verbose {
            return Some((200, "ok".into()));
        }
        let _ = writeln!(text, "{endpoint} check passed");
        Some((200, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_counted_by_what_came_of_them() {
        let health = Health::new(&[], Timestamp::UNIX_EPOCH);
        for result in [Err("no".to_owned()), Ok(()), Ok(())] {
            health.record("readyz", &("etcd".to_owned(), result));
        }
        let text = health.indicators();
        for line in [
            "kubernetes_healthcheck{name=\"etcd\",type=\"readyz\"} 1",
            "kubernetes_healthchecks_total{name=\"etcd\",status=\"error\",type=\"readyz\"} 1",
            "kubernetes_healthchecks_total{name=\"etcd\",status=\"success\",type=\"readyz\"} 2",
        ] {
            assert!(text.lines().any(|have| have == line), "{line} in {text}");
        }
    }
}
