//! /healthz, /livez and /readyz.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use parking_lot::Mutex;

use crate::ApiServer;

/// Start-up steps, and whether they are done.
pub(crate) struct Health {
    steps: Mutex<BTreeMap<String, bool>>,
}

impl Health {
    pub fn new(steps: &[&str]) -> Self {
        Self { steps: Mutex::new(steps.iter().map(|step| ((*step).to_owned(), false)).collect()) }
    }

    pub fn finish(&self, step: &str) {
        self.steps.lock().insert(step.to_owned(), true);
    }
}

/// A check's name and what is wrong, if anything.
type Check = (String, Result<(), String>);

impl ApiServer {
    fn checks(&self, endpoint: &str) -> Vec<Check> {
        let mut checks: Vec<Check> = vec![("ping".into(), Ok(())), ("log".into(), Ok(()))];
        let storage = self.store.writable().map_err(|error| error.to_string());
        checks.push(("etcd".into(), storage.clone()));
        if endpoint == "readyz" {
            checks.push(("etcd-readiness".into(), storage));
            checks.push(("informer-sync".into(), Ok(())));
        }
        for (step, done) in &*self.health.steps.lock() {
            checks.push((step.clone(), if *done { Ok(()) } else { Err("not finished".into()) }));
        }
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
            let (_, result) = checks.into_iter().find(|(name, _)| name == check)?;
            return Some(match result {
                Ok(()) => (200, "ok".into()),
                Err(why) => (500, format!("internal server error: {why}\n")),
            });
        }
        let mut text = String::new();
        let mut failed = false;
        for (name, result) in &checks {
            let line = match result {
                _ if exclude.contains(&name.as_str()) => format!("[+]{name} excluded: ok"),
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
