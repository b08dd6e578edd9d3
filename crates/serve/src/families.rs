//! Metric families in the Prometheus text format: counters, gauges and
//! histograms whose series differ by their labels.
//!
//! It knows names and numbers; it never knows what is counted.

use std::collections::BTreeMap;
use std::fmt::{Arguments, Display, Formatter, Write};
use std::sync::Arc;

use parking_lot::Mutex;

/// What a family is called, tells, and is divided by.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    pub name: &'static str,
    /// Begins with the stability, as upstream's do: `[ALPHA] …`.
    pub help: &'static str,
    pub labels: &'static [&'static str],
}

/// The families of one program, by name. Clones share them.
#[derive(Clone, Default)]
pub struct Families(Arc<Mutex<BTreeMap<&'static str, Member>>>);

#[derive(Clone)]
enum Member {
    Kept(Arc<Family>),
    Written(Arc<dyn Fn(&mut String) + Send + Sync>),
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// One family and its series, by their labels as they are written.
struct Family {
    description: Description,
    kind: Kind,
    bounds: Vec<f64>,
    series: Mutex<BTreeMap<String, Series>>,
}

#[derive(Clone)]
enum Series {
    Number(f64),
    Observed(Observations),
}

/// Only grows.
#[derive(Clone)]
pub struct Counter(Arc<Family>);

/// Goes up and down.
#[derive(Clone)]
pub struct Gauge(Arc<Family>);

/// Counts observations below bounds.
#[derive(Clone)]
pub struct Histogram(Arc<Family>);

/// The labels of a series and its number.
pub type Sample = (Vec<String>, f64);

impl Families {
    /// The counter of this name; a second one is the same.
    pub fn counter(&self, description: Description) -> Counter {
        Counter(self.family(description, Kind::Counter, Vec::new()))
    }

    /// The gauge of this name; a second one is the same.
    pub fn gauge(&self, description: Description) -> Gauge {
        Gauge(self.family(description, Kind::Gauge, Vec::new()))
    }

    /// The histogram of this name; a second one is the same.
    pub fn histogram(&self, description: Description, bounds: Vec<f64>) -> Histogram {
        Histogram(self.family(description, Kind::Histogram, bounds))
    }

    /// A gauge whose series are counted when somebody asks.
    pub fn counted(
        &self,
        description: Description,
        samples: impl Fn() -> Vec<Sample> + Send + Sync + 'static,
    ) {
        self.written(description.name, move |out| {
            let gauge = Family::new(description, Kind::Gauge, Vec::new());
            for (labels, number) in samples() {
                let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
                gauge.change(&labels, |known| *known = number);
            }
            gauge.write(out);
        });
    }

    /// Families that somebody else keeps, at the place of `name`.
    pub fn written(&self, name: &'static str, write: impl Fn(&mut String) + Send + Sync + 'static) {
        self.0.lock().insert(name, Member::Written(Arc::new(write)));
    }

    fn family(&self, description: Description, kind: Kind, bounds: Vec<f64>) -> Arc<Family> {
        let mut all = self.0.lock();
        if let Some(Member::Kept(known)) = all.get(description.name)
            && known.kind == kind
        {
            return known.clone();
        }
        let family = Arc::new(Family::new(description, kind, bounds));
        all.insert(description.name, Member::Kept(family.clone()));
        family
    }

    /// Appends every family.
    pub fn write(&self, out: &mut String) {
        let all: Vec<Member> = self.0.lock().values().cloned().collect();
        for member in all {
            match member {
                Member::Kept(family) => family.write(out),
                Member::Written(write) => write(out),
            }
        }
    }
}

impl Family {
    fn new(description: Description, kind: Kind, bounds: Vec<f64>) -> Self {
        let family = Self { description, kind, bounds, series: Mutex::default() };
        // What has no labels is told before anything happened.
        if description.labels.is_empty() {
            let first = family.first();
            family.series.lock().insert(String::new(), first);
        }
        family
    }

    fn first(&self) -> Series {
        match self.kind {
            Kind::Histogram => Series::Observed(Observations::new(&self.bounds)),
            Kind::Counter | Kind::Gauge => Series::Number(0.0),
        }
    }

    fn with(&self, labels: &[&str], change: impl FnOnce(&mut Series)) {
        let key = labelled(self.description.labels, labels);
        let mut all = self.series.lock();
        change(all.entry(key).or_insert_with(|| self.first()));
    }

    fn change(&self, labels: &[&str], change: impl FnOnce(&mut f64)) {
        self.with(labels, |series| {
            if let Series::Number(number) = series {
                change(number);
            }
        });
    }

    fn number(&self, labels: &[&str]) -> Option<f64> {
        match self.series.lock().get(&labelled(self.description.labels, labels))? {
            Series::Number(number) => Some(*number),
            Series::Observed(_) => None,
        }
    }

    fn write(&self, out: &mut String) {
        let all = self.series.lock().clone();
        // A family without a series is not told of.
        if all.is_empty() {
            return;
        }
        let kind = match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let name = self.description.name;
        head(out, name, kind, self.description.help);
        for (labels, series) in &all {
            match series {
                Series::Number(number) if labels.is_empty() => {
                    line(out, format_args!("{name} {}", Float(*number)));
                }
                Series::Number(number) => line(out, format_args!("{name}{{{labels}}} {}", Float(*number))),
                Series::Observed(observed) => observed.write(name, labels, &self.bounds, out),
            }
        }
    }
}

impl Counter {
    pub fn increase(&self, labels: &[&str]) {
        self.add(labels, 1.0);
    }

    pub fn add(&self, labels: &[&str], more: f64) {
        self.0.change(labels, |number| *number += more);
    }

    /// What was counted under these labels, if anything was.
    pub fn get(&self, labels: &[&str]) -> Option<f64> {
        self.0.number(labels)
    }
}

impl Gauge {
    pub fn set(&self, labels: &[&str], to: f64) {
        self.0.change(labels, |number| *number = to);
    }

    /// Forgets a series.
    pub fn remove(&self, labels: &[&str]) {
        self.0.series.lock().remove(&labelled(self.0.description.labels, labels));
    }

    /// What is told under these labels, if anything is.
    pub fn get(&self, labels: &[&str]) -> Option<f64> {
        self.0.number(labels)
    }
}

impl Histogram {
    pub fn observe(&self, labels: &[&str], value: f64) {
        self.0.with(labels, |series| {
            if let Series::Observed(observed) = series {
                observed.observe(&self.0.bounds, value);
            }
        });
    }

    /// How many were observed under these labels, and their sum.
    pub fn get(&self, labels: &[&str]) -> Option<(u64, f64)> {
        match self.0.series.lock().get(&labelled(self.0.description.labels, labels))? {
            Series::Observed(observed) => Some((observed.count, observed.sum)),
            Series::Number(_) => None,
        }
    }
}

/// How many observations lay below each bound, the bounds being kept elsewhere.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observations {
    buckets: Vec<u64>,
    count: u64,
    sum: f64,
}

impl Observations {
    pub fn new(bounds: &[f64]) -> Self {
        Self { buckets: vec![0; bounds.len()], count: 0, sum: 0.0 }
    }

    pub fn observe(&mut self, bounds: &[f64], value: f64) {
        self.count += 1;
        self.sum += value;
        if let Some(at) = bounds.iter().position(|bound| value <= *bound) {
            self.buckets[at] += 1;
        }
    }

    /// What was counted elsewhere: how many lay below each bound and above the
    /// one before, how many there were, and their sum.
    pub fn counted(buckets: Vec<u64>, count: u64, sum: f64) -> Self {
        Self { buckets, count, sum }
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Takes in what another, of the same bounds, observed.
    pub fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.buckets.resize(self.buckets.len().max(other.buckets.len()), 0);
        self.buckets.iter_mut().zip(&other.buckets).for_each(|(own, other)| *own += other);
    }

    /// Appends the series of a histogram.
    pub fn write(&self, name: &str, labels: &str, bounds: &[f64], out: &mut String) {
        let comma = if labels.is_empty() { "" } else { "," };
        let mut sum = 0;
        for (bound, count) in bounds.iter().zip(&self.buckets) {
            sum += count;
            line(out, format_args!("{name}_bucket{{{labels}{comma}le=\"{}\"}} {sum}", Float(*bound)));
        }
        line(out, format_args!("{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {}", self.count));
        let (open, close) = if labels.is_empty() { ("", "") } else { ("{", "}") };
        line(out, format_args!("{name}_sum{open}{labels}{close} {}", Float(self.sum)));
        line(out, format_args!("{name}_count{open}{labels}{close} {}", self.count));
    }
}

/// `count` bounds from `start` on, each `factor` times the one before.
pub fn exponential(start: f64, factor: f64, count: usize) -> Vec<f64> {
    std::iter::successors(Some(start), |bound| Some(bound * factor)).take(count).collect()
}

/// Appends the lines that begin a family.
pub fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let help = help.replace('\\', "\\\\").replace('\n', "\\n");
    line(out, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
}

/// Appends a line.
pub fn line(out: &mut String, text: Arguments<'_>) {
    // Writing to a text cannot fail.
    let _ = out.write_fmt(text);
    out.push('\n');
}

/// Names with their values, as they stand between a series' braces.
fn labelled(names: &[&str], values: &[&str]) -> String {
    debug_assert_eq!(names.len(), values.len(), "{names:?}");
    let mut out = String::new();
    for (name, value) in names.iter().zip(values) {
        if !out.is_empty() {
            out.push(',');
        }
        out.push_str(name);
        out.push_str("=\"");
        push_escaped(value, &mut out);
        out.push('"');
    }
    out
}

/// Appends a label's value: backslashes, quotes and line breaks cannot stand in it.
pub fn push_escaped(value: &str, out: &mut String) {
    if !value.contains(['\\', '"', '\n']) {
        return out.push_str(value);
    }
    for letter in value.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            letter => out.push(letter),
        }
    }
}

/// A number as Go's `strconv` writes it by `g`, with as few digits as tell it.
pub struct Float(pub f64);

impl Display for Float {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        let number = self.0;
        if number == 0.0 || !number.is_finite() {
            let text = match number {
                number if number.is_nan() => "NaN",
                f64::INFINITY => "+Inf",
                f64::NEG_INFINITY => "-Inf",
                _ => "0",
            };
            return out.write_str(text);
        }
        // Six digits before the point at most, then an exponent.
        let text = format!("{number:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        if (-4..6).contains(&exponent) {
            return write!(out, "{number}");
        }
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(out, "{digits}e{sign}{:02}", exponent.abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOBS: Description =
        Description { name: "jobs_total", help: "[STABLE] Jobs.\nAll.", labels: &["kind", "result"] };

    fn text(families: &Families) -> Vec<String> {
        let mut text = String::new();
        families.write(&mut text);
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn families_are_written_as_prometheus_reads_them() {
        let families = Families::default();
        let jobs = families.counter(JOBS);
        assert!(text(&families).is_empty(), "a family without a series is not told of");
        jobs.increase(&["a\"\\\n", "ok"]);
        families.counter(JOBS).add(&["b", "ok"], 2.0);
        let nodes = families.gauge(Description { name: "nodes", help: "[ALPHA] Nodes.", labels: &[] });
        let took = Description { name: "took_seconds", help: "[ALPHA] Time.", labels: &["code"] };
        let took = families.histogram(took, exponential(0.5, 2.0, 2));
        took.observe(&["200"], 0.7);
        took.observe(&["200"], 3.0);
        let plain = Description { name: "plain", help: "[ALPHA] x", labels: &[] };
        families.histogram(plain, vec![1.0]);
        families.counted(Description { name: "seen", help: "[ALPHA] Seen.", labels: &["in"] }, || {
            vec![(vec!["x".into()], 4.0)]
        });
        assert_eq!(
            text(&families),
            [
                "# HELP jobs_total [STABLE] Jobs.\\nAll.",
                "# TYPE jobs_total counter",
                "jobs_total{kind=\"a\\\"\\\\\\n\",result=\"ok\"} 1",
                "jobs_total{kind=\"b\",result=\"ok\"} 2",
                "# HELP nodes [ALPHA] Nodes.",
                "# TYPE nodes gauge",
                "nodes 0",
                "# HELP plain [ALPHA] x",
                "# TYPE plain histogram",
                "plain_bucket{le=\"1\"} 0",
                "plain_bucket{le=\"+Inf\"} 0",
                "plain_sum 0",
                "plain_count 0",
                "# HELP seen [ALPHA] Seen.",
                "# TYPE seen gauge",
                "seen{in=\"x\"} 4",
                "# HELP took_seconds [ALPHA] Time.",
                "# TYPE took_seconds histogram",
                "took_seconds_bucket{code=\"200\",le=\"0.5\"} 0",
                "took_seconds_bucket{code=\"200\",le=\"1\"} 1",
                "took_seconds_bucket{code=\"200\",le=\"+Inf\"} 2",
                "took_seconds_sum{code=\"200\"} 3.7",
                "took_seconds_count{code=\"200\"} 2",
            ]
        );
        nodes.set(&[], 3.0);
        assert_eq!((nodes.get(&[]), jobs.get(&["c", "ok"])), (Some(3.0), None));
        assert_eq!(took.get(&["200"]), Some((2, 3.7)));
        nodes.remove(&[]);
        assert_eq!(nodes.get(&[]), None);
    }

    #[test]
    fn numbers_are_written_as_go_writes_them() {
        for (number, written) in [
            (0.0, "0"),
            (1.0, "1"),
            (-2.5, "-2.5"),
            (0.004, "0.004"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1e-8, "1e-08"),
            (32768.0, "32768"),
            (1e6, "1e+06"),
            (1234567.5, "1.2345675e+06"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(Float(number).to_string(), written);
        }
        let bounds = exponential(1e-8, 10.0, 10);
        assert_eq!(Float(bounds[3]).to_string(), "9.999999999999999e-06");
    }
}
