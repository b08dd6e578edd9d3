//! Durations that are counted for every request, without a lock: what proofs of
//! identity, rights and each plugin of admission take.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serve::families::{Observations, head};

use crate::Operation;

/// Observations of durations below the `N` bounds of a family.
pub(crate) struct Timing<const N: usize> {
    buckets: [AtomicU64; N],
    count: AtomicU64,
    nanos: AtomicU64,
}

impl<const N: usize> Default for Timing<N> {
    fn default() -> Self {
        let buckets = [const { AtomicU64::new(0) }; N];
        Self { buckets, count: AtomicU64::new(0), nanos: AtomicU64::new(0) }
    }
}

impl<const N: usize> Timing<N> {
    pub(super) fn observe(&self, bounds: &[f64; N], took: Duration) {
        let seconds = took.as_secs_f64();
        if let Some(at) = bounds.iter().position(|bound| seconds <= *bound) {
            self.buckets[at].fetch_add(1, Ordering::Relaxed);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Appends the series, if there is anything to tell.
    pub(super) fn write(&self, name: &str, labels: &str, bounds: &[f64; N], out: &mut String) {
        let count = self.count.load(Ordering::Relaxed);
        if count > 0 {
            let buckets = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
            let sum = Duration::from_nanos(self.nanos.load(Ordering::Relaxed)).as_secs_f64();
            Observations::counted(buckets, count, sum).write(name, labels, bounds, out);
        }
    }
}

/// Upper bounds of upstream's durations of admission, in seconds.
const ADMISSION: [f64; 6] = [0.005, 0.025, 0.1, 0.5, 1.0, 2.5];

/// What admission does with an object.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Admit,
    Validate,
}

/// What each plugin takes, and all of them together.
pub(crate) struct AdmissionTimings(Vec<[Timing<6>; SERIES]>);

/// Operations, steps, and whether the object was refused.
const SERIES: usize = OPERATIONS.len() * STEPS.len() * 2;
const OPERATIONS: [Operation; 4] =
    [Operation::Create, Operation::Update, Operation::Delete, Operation::Connect];
const STEPS: [(Step, &str); 2] = [(Step::Admit, "admit"), (Step::Validate, "validate")];

impl AdmissionTimings {
    /// For so many plugins.
    pub fn new(plugins: usize) -> Self {
        Self((0..=plugins).map(|_| std::array::from_fn(|_| Timing::default())).collect())
    }

    /// The plugin at `at` took so long.
    pub fn plugin(&self, at: usize, operation: Operation, step: Step, rejected: bool, took: Duration) {
        let series = (operation as usize * STEPS.len() + step as usize) * 2 + usize::from(rejected);
        if let Some(all) = self.0.get(at) {
            all[series].observe(&ADMISSION, took);
        }
    }

    /// All plugins took so long.
    pub fn step(&self, operation: Operation, step: Step, rejected: bool, took: Duration) {
        self.plugin(self.0.len() - 1, operation, step, rejected, took);
    }

    /// Appends both families; `names` are those of the plugins.
    pub fn write<'a>(&self, names: impl Iterator<Item = &'a str>, out: &mut String) {
        let name = "apiserver_admission_controller_admission_duration_seconds";
        let help = "[STABLE] Admission controller latency histogram in seconds, identified by name and broken out for each operation and API resource and type (validate or admit).";
        head(out, name, "histogram", help);
        for (plugin, all) in names.zip(&self.0) {
            write_series(name, &format!("name=\"{plugin}\","), all, out);
        }
        let name = "apiserver_admission_step_admission_duration_seconds";
        let help = "[STABLE] Admission sub-step latency histogram in seconds, broken out for each operation and API resource and step type (validate or admit).";
        head(out, name, "histogram", help);
        if let Some(all) = self.0.last() {
            write_series(name, "", all, out);
        }
    }
}

fn write_series(name: &str, labels: &str, all: &[Timing<6>; SERIES], out: &mut String) {
    let mut series = all.iter();
    for operation in OPERATIONS {
        for (_, step) in STEPS {
            for rejected in [false, true] {
                let Some(timing) = series.next() else { return };
                let operation = operation.as_str();
                let labels =
                    format!("{labels}operation=\"{operation}\",rejected=\"{rejected}\",type=\"{step}\"");
                timing.write(name, &labels, &ADMISSION, out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_are_told_apart_by_what_they_did() {
        let timings = AdmissionTimings::new(2);
        let (short, long) = (Duration::from_millis(10), Duration::from_secs(3));
        timings.plugin(1, Operation::Delete, Step::Validate, true, long);
        timings.plugin(1, Operation::Delete, Step::Validate, true, short);
        timings.step(Operation::Connect, Step::Admit, false, short);
        let mut out = String::new();
        timings.write(["A", "B"].into_iter(), &mut out);
        let told: Vec<&str> =
            out.lines().filter(|line| !line.contains("le=\"0.") && !line.contains("# ")).collect();
        let b = "name=\"B\",operation=\"DELETE\",rejected=\"true\",type=\"validate\"";
        let all = "operation=\"CONNECT\",rejected=\"false\",type=\"admit\"";
        let lines = |name: &str, labels: &str, counts: [u32; 3], sum: &str| {
            let [one, two, all] = counts;
            vec![
                format!("{name}_bucket{{{labels},le=\"1\"}} {one}"),
                format!("{name}_bucket{{{labels},le=\"2.5\"}} {two}"),
                format!("{name}_bucket{{{labels},le=\"+Inf\"}} {all}"),
                format!("{name}_sum{{{labels}}} {sum}"),
                format!("{name}_count{{{labels}}} {all}"),
            ]
        };
        let of_b = lines("apiserver_admission_controller_admission_duration_seconds", b, [1, 1, 2], "3.01");
        let of_all = lines("apiserver_admission_step_admission_duration_seconds", all, [1, 1, 1], "0.01");
        assert_eq!(told, [of_b, of_all].concat());
    }
}
