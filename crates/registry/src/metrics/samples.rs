//! Samples of a node's counters (its page /metrics/resource), and what was
//! used between two of them. Pure.

use std::collections::BTreeMap;

use apimachinery::quantity::{Format, Quantity};
use apimachinery::{Value, time, value};
use jiff::{SignedDuration, Timestamp};

/// What one counter of CPU and one gauge of memory said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub at: Timestamp,
    /// Seconds since the start.
    pub cpu: f64,
    /// Working set.
    pub memory: u64,
}

/// Namespace, pod and container.
type Place = (String, String, String);

/// A node's page at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    pub node: Option<Point>,
    pub containers: BTreeMap<Place, Point>,
}

/// One line of the page.
struct Line<'a> {
    name: &'a str,
    labels: Vec<(&'a str, String)>,
    value: f64,
    at: Option<Timestamp>,
}

impl Sample {
    /// Reads the page; a line without a time is of `now`. What cannot be read
    /// is left out.
    pub fn read(page: &str, now: Timestamp) -> Self {
        let mut sample = Self::default();
        let mut node = (None, None);
        let mut cpu: BTreeMap<Place, (Timestamp, f64)> = BTreeMap::new();
        let mut memory: BTreeMap<Place, u64> = BTreeMap::new();
        for line in page.lines().filter_map(line) {
            let at = line.at.unwrap_or(now);
            let label = |name: &str| {
                let found = line.labels.iter().find(|(label, _)| *label == name);
                found.map(|(_, value)| value.clone()).unwrap_or_default()
            };
            let place = || (label("namespace"), label("pod"), label("container"));
            match line.name {
                "node_cpu_usage_seconds_total" => node.0 = Some((at, line.value)),
                "node_memory_working_set_bytes" => node.1 = Some(line.value as u64),
                "container_cpu_usage_seconds_total" => {
                    cpu.insert(place(), (at, line.value));
                }
                "container_memory_working_set_bytes" => {
                    memory.insert(place(), line.value as u64);
                }
                _ => {}
            }
        }
        if let (Some((at, cpu)), Some(memory)) = node {
            sample.node = Some(Point { at, cpu, memory });
        }
        for (place, (at, cpu)) in cpu {
            if let Some(memory) = memory.get(&place) {
                sample.containers.insert(place, Point { at, cpu, memory: *memory });
            }
        }
        sample
    }
}

/// `name{label="value",…} value [milliseconds]`; None for comments.
fn line(text: &str) -> Option<Line<'_>> {
    let text = text.trim();
    if text.is_empty() || text.starts_with('#') {
        return None;
    }
    let end = text.find(['{', ' '])?;
    let (name, rest) = text.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    let mut words = rest.split_whitespace();
    let value = words.next()?.parse().ok()?;
    let at = words.next().and_then(|word| Timestamp::from_millisecond(word.parse().ok()?).ok());
    Some(Line { name, labels, value, at })
}

/// The labels after `{`, and what follows `}`.
fn labels(mut text: &str) -> Option<(Vec<(&str, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        text = text.trim_start_matches([',', ' ']);
        if let Some(rest) = text.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, rest) = text.split_once("=\"")?;
        let mut value = String::new();
        let mut letters = rest.char_indices();
        loop {
            match letters.next()? {
                (at, '"') => {
                    text = &rest[at + 1..];
                    break;
                }
                (_, '\\') => value.push(match letters.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, letter) => value.push(letter),
            }
        }
        labels.push((name, value));
    }
}

/// What was used between two points.
struct Used {
    /// CPUs.
    cpu: f64,
    memory: u64,
    at: Timestamp,
    window: SignedDuration,
}

/// None where no time has passed, or the counter began anew in between.
fn between(before: &Point, after: &Point) -> Option<Used> {
    let window = after.at.duration_since(before.at);
    if window <= SignedDuration::ZERO || after.cpu < before.cpu {
        return None;
    }
    let cpu = (after.cpu - before.cpu) / window.as_secs_f64();
    Some(Used { cpu, memory: after.memory, at: after.at, window })
}

impl Used {
    fn usage(&self) -> Value {
        // Counters come as floats: nanoseconds are all they can tell.
        let nanos = (self.cpu * 1e9).round() as i64;
        let memory = Quantity::new(i64::try_from(self.memory).unwrap_or(i64::MAX), Format::BinarySi);
        value!({"cpu": (format!("{nanos}n")), "memory": (memory.to_string())})
    }

    fn window(&self) -> String {
        time::format_duration(i64::try_from(self.window.as_nanos()).unwrap_or(i64::MAX))
    }
}

/// NodeMetrics, without its metadata; None where two samples tell nothing.
pub fn node(before: &Sample, after: &Sample) -> Option<Value> {
    let used = between(before.node.as_ref()?, after.node.as_ref()?)?;
    Some(value!({
        "timestamp": (time::format(used.at)), "window": (used.window()), "usage": (used.usage())
    }))
}

/// PodMetrics, without its metadata: None unless every container of the pod
/// that the later sample has is in both.
pub fn pod(before: &Sample, after: &Sample, namespace: &str, name: &str) -> Option<Value> {
    let first = (namespace.to_owned(), name.to_owned(), String::new());
    let of_pod = after.containers.range(first..).take_while(|((its_namespace, pod, _), _)| {
        (its_namespace.as_str(), pod.as_str()) == (namespace, name)
    });
    let mut containers = Vec::new();
    // Of containers that were looked at one after another, the first counts.
    let mut span: Option<(Timestamp, String)> = None;
    for (place, point) in of_pod {
        let used = between(before.containers.get(place)?, point)?;
        containers.push(value!({"name": (place.2.as_str()), "usage": (used.usage())}));
        if span.as_ref().is_none_or(|(at, _)| used.at < *at) {
            span = Some((used.at, used.window()));
        }
    }
    let (at, window) = span?;
    Some(value!({
        "timestamp": (time::format(at)), "window": window, "containers": (Value::from(containers))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# HELP node_cpu_usage_seconds_total [STABLE] Cumulative cpu time
# TYPE node_cpu_usage_seconds_total counter
node_cpu_usage_seconds_total 100.5 1700000000000
node_memory_working_set_bytes 1.048576e+06 1700000000000
container_cpu_usage_seconds_total{container=\"a\",namespace=\"ns\",pod=\"p\"} 2
container_cpu_usage_seconds_total{container=\"b\",namespace=\"ns\",pod=\"p\"} 3 1700000001000
container_cpu_usage_seconds_total{container=\"a\",namespace=\"ns\",pod=\"p2\"} 1
container_memory_working_set_bytes{container=\"a\",namespace=\"ns\",pod=\"p\"} 2048
container_memory_working_set_bytes{container=\"b\",namespace=\"ns\",pod=\"p\"} 1000
container_memory_working_set_bytes{container=\"odd \\\"} name\",namespace=\"ns\",pod=\"p\"} 1000
not a line
";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    fn place(pod: &str, container: &str) -> Place {
        ("ns".into(), pod.into(), container.into())
    }

    #[test]
    fn pages_are_read() {
        let sample = Sample::read(PAGE, at(5));
        assert_eq!(sample.node, Some(Point { at: at(0), cpu: 100.5, memory: 1 << 20 }));
        assert_eq!(sample.containers.len(), 2, "CPU and memory both: {sample:?}");
        assert_eq!(sample.containers[&place("p", "a")], Point { at: at(5), cpu: 2.0, memory: 2048 });
        assert_eq!(sample.containers[&place("p", "b")].at, at(1));
        let odd = line("x{container=\"odd \\\"} name\",pod=\"p\"} 1").unwrap();
        assert_eq!(odd.labels, [("container", "odd \"} name".to_owned()), ("pod", "p".to_owned())]);
        assert!(line("x{container=\"never ends").is_none());
    }

    #[test]
    fn usage_is_between_two_samples() {
        let sample = |seconds, node: f64, containers: &[(&str, &str, f64)]| Sample {
            node: Some(Point { at: at(seconds), cpu: node, memory: 3 << 20 }),
            containers: containers
                .iter()
                .map(|(pod, container, cpu)| {
                    (place(pod, container), Point { at: at(seconds), cpu: *cpu, memory: 2048 })
                })
                .collect(),
        };
        let before = sample(0, 10.0, &[("p", "a", 1.0), ("p", "b", 1.0), ("q", "a", 9.0)]);
        let after = sample(10, 15.0, &[("p", "a", 2.0), ("p", "b", 1.0), ("q", "a", 1.0), ("r", "a", 1.0)]);
        assert_eq!(
            node(&before, &after),
            Some(value!({
                "timestamp": "2023-11-14T22:13:30Z", "window": "10s",
                "usage": {"cpu": "500000000n", "memory": "3Mi"}
            }))
        );
        assert_eq!(node(&after, &after), None, "no time passed");
        let told = |name| pod(&before, &after, "ns", name);
        assert_eq!(
            told("p"),
            Some(value!({
                "timestamp": "2023-11-14T22:13:30Z", "window": "10s",
                "containers": [
                    {"name": "a", "usage": {"cpu": "100000000n", "memory": "2Ki"}},
                    {"name": "b", "usage": {"cpu": "0n", "memory": "2Ki"}}
                ]
            }))
        );
        for (name, why) in [("q", "its counter began anew"), ("r", "one sample alone"), ("s", "not there")] {
            assert_eq!(told(name), None, "{why}");
        }
    }
}
