//! What the metrics APIs say, read. Pure.

use std::collections::BTreeMap;

use apimachinery::Value;
use apimachinery::quantity::Quantity;
use jiff::{SignedDuration, Timestamp};

/// The window of a custom metric that tells none.
const WINDOW: SignedDuration = SignedDuration::from_secs(60);

/// What one pod uses, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PodReading {
    pub value: i64,
    pub at: Timestamp,
    pub window: SignedDuration,
}

/// What was read for one metric of an autoscaler.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// By the pod's name.
    Pods(BTreeMap<String, PodReading>),
    /// Of one object, in thousandths.
    Object(i64),
    /// Every series of an external metric, in thousandths.
    External(Vec<i64>),
}

fn milli(text: &str) -> Option<i64> {
    Quantity::parse(text).ok().map(|quantity| quantity.milli_value())
}

fn time(text: &str) -> Timestamp {
    apimachinery::time::parse(text).unwrap_or_default()
}

/// PodMetrics: the sum of the containers' usage of `resource`, or that of
/// `container` alone. A pod of which a container tells nothing is missing.
///
/// # Errors
/// Where there is none at all.
pub fn resource(items: &[Value], resource: &str, container: Option<&str>) -> Result<Reading, String> {
    if items.is_empty() {
        return Err("no metrics returned from resource metrics API".into());
    }
    let mut pods = BTreeMap::new();
    for item in items {
        let mut containers = item["containers"].items().iter();
        let usage = |one: &Value| milli(one["usage"][resource].as_str()?);
        let value = match container {
            Some(name) => containers.find(|one| one["name"].text() == name).and_then(usage),
            None if item["containers"].items().is_empty() => None,
            None => containers.map(usage).sum(),
        };
        let Some(value) = value else { continue };
        let window = apimachinery::time::parse_duration(item["window"].text()).unwrap_or(0);
        let reading = PodReading {
            value,
            at: time(item["timestamp"].text()),
            window: SignedDuration::from_nanos(window),
        };
        pods.insert(item["metadata"]["name"].text().to_owned(), reading);
    }
    Ok(Reading::Pods(pods))
}

/// MetricValues of pods.
///
/// # Errors
/// Where there is none at all.
pub fn pods(items: &[Value]) -> Result<Reading, String> {
    if items.is_empty() {
        return Err("no metrics returned from custom metrics API".into());
    }
    let read = |item: &Value| {
        let window = item["windowSeconds"].as_i64().map_or(WINDOW, SignedDuration::from_secs);
        let value = milli(item["value"].text())?;
        let reading = PodReading { value, at: time(item["timestamp"].text()), window };
        Some((item["describedObject"]["name"].text().to_owned(), reading))
    };
    Ok(Reading::Pods(items.iter().filter_map(read).collect()))
}

/// The only MetricValue of an object.
///
/// # Errors
/// Where there is not exactly one.
pub fn object(items: &[Value]) -> Result<Reading, String> {
    let [only] = items else {
        return Err(format!(
            "unable to fetch metrics from custom metrics API: the custom metrics API server returned {} \
             results when we asked for exactly one",
            items.len()
        ));
    };
    Ok(Reading::Object(milli(only["value"].text()).unwrap_or(0)))
}

/// ExternalMetricValues.
///
/// # Errors
/// Where there is none at all.
pub fn external(items: &[Value]) -> Result<Reading, String> {
    if items.is_empty() {
        return Err("no metrics returned from external metrics API".into());
    }
    Ok(Reading::External(items.iter().filter_map(|item| milli(item["value"].text())).collect()))
}
