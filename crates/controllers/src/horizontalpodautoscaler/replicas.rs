//! How many replicas one metric calls for. Pure.

use std::collections::{BTreeMap, BTreeSet};

use apimachinery::quantity::{Format, Quantity};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::autoscaling::v2::{
    ContainerResourceMetricStatus, ExternalMetricStatus, HorizontalPodAutoscalerBehavior, MetricIdentifier,
    MetricSpec, MetricStatus, MetricTarget, MetricValueStatus, ObjectMetricStatus, PodsMetricStatus,
    ResourceMetricStatus,
};
use k8s_openapi::api::core::v1::{Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::readings::{PodReading, Reading};

/// `--horizontal-pod-autoscaler-tolerance`.
const TOLERANCE: f64 = 0.1;
/// `--horizontal-pod-autoscaler-cpu-initialization-period`.
const INITIALIZATION: SignedDuration = SignedDuration::from_mins(5);
/// `--horizontal-pod-autoscaler-initial-readiness-delay`.
const INITIAL_READINESS: SignedDuration = SignedDuration::from_secs(30);

/// What surrounds every metric of an autoscaler.
pub struct Target<'a> {
    pub namespace: &'a str,
    /// The target's `spec.replicas` and `status.replicas`.
    pub replicas: i32,
    pub observed: i32,
    /// Those that its selector chooses.
    pub pods: &'a [Pod],
    pub tolerances: Tolerances,
    pub now: Timestamp,
}

/// Ratios of usage within which nothing is done.
#[derive(Clone, Copy)]
pub struct Tolerances {
    down: f64,
    up: f64,
}

impl Tolerances {
    pub fn of(behavior: Option<&HorizontalPodAutoscalerBehavior>) -> Self {
        let told = |rules: Option<&k8s_openapi::api::autoscaling::v2::HPAScalingRules>| {
            let text = &rules?.tolerance.as_ref()?.0;
            Quantity::parse(text).ok().map(|tolerance| tolerance.as_f64())
        };
        Self {
            down: told(behavior.and_then(|behavior| behavior.scale_down.as_ref())).unwrap_or(TOLERANCE),
            up: told(behavior.and_then(|behavior| behavior.scale_up.as_ref())).unwrap_or(TOLERANCE),
        }
    }

    fn hold(self, ratio: f64) -> bool {
        (1.0 - self.down..=1.0 + self.up).contains(&ratio)
    }
}

/// What a metric calls for.
#[derive(Debug, PartialEq)]
pub struct Proposal {
    pub replicas: i32,
    /// What it is by, in words.
    pub metric: String,
    pub status: MetricStatus,
}

/// The reason where a metric's type is none that there is.
pub const UNKNOWN_TYPE: &str = "InvalidMetricSourceType";

/// Why a metric calls for nothing.
#[derive(Debug, PartialEq)]
pub struct Failure {
    /// Of the event and the condition.
    pub reason: &'static str,
    pub cause: String,
    /// The cause, as it is told among all metrics.
    pub told: String,
}

/// How many replicas `spec` calls for.
///
/// # Errors
/// Why none can be told.
pub fn propose(
    spec: &MetricSpec,
    reading: &Result<Reading, String>,
    target: &Target<'_>,
) -> Result<Proposal, Failure> {
    match spec.type_.as_str() {
        "Resource" => {
            let source = spec.resource.clone().unwrap_or_default();
            let found = resource(&source.name, None, &source.target, reading, target);
            let found = found.map_err(|cause| Failure {
                reason: "FailedGetResourceMetric",
                told: format!("failed to get {} resource metric value: {cause}", source.name),
                cause,
            })?;
            let status = ResourceMetricStatus { name: source.name, current: found.current };
            Ok(Proposal {
                replicas: found.replicas,
                metric: found.metric,
                status: MetricStatus {
                    type_: spec.type_.clone(),
                    resource: Some(status),
                    ..MetricStatus::default()
                },
            })
        }
        "ContainerResource" => {
            let source = spec.container_resource.clone().unwrap_or_default();
            let found = resource(&source.name, Some(&source.container), &source.target, reading, target);
            let found = found.map_err(|cause| Failure {
                reason: "FailedGetContainerResourceMetric",
                told: format!("failed to get {} container metric value: {cause}", source.container),
                cause,
            })?;
            let status = ContainerResourceMetricStatus {
                container: source.container,
                name: source.name,
                current: found.current,
            };
            Ok(Proposal {
                replicas: found.replicas,
                metric: found.metric,
                status: MetricStatus {
                    type_: spec.type_.clone(),
                    container_resource: Some(status),
                    ..MetricStatus::default()
                },
            })
        }
        "Pods" => pods(spec, reading, target),
        "Object" => object(spec, reading, target),
        "External" => external(spec, reading, target),
        other => {
            let cause = format!("unknown metric source type {other:?}");
            Err(Failure { reason: UNKNOWN_TYPE, told: cause.clone(), cause })
        }
    }
}

struct Found {
    replicas: i32,
    metric: String,
    current: MetricValueStatus,
}

fn resource(
    name: &str,
    container: Option<&str>,
    wanted: &MetricTarget,
    reading: &Result<Reading, String>,
    target: &Target<'_>,
) -> Result<Found, String> {
    let readings =
        of_pods(reading).map_err(|why| format!("unable to get metrics for resource {name}: {why}"));
    let format = if name == "memory" { Format::BinarySi } else { Format::DecimalSi };
    if let Some(average) = &wanted.average_value {
        let calculated = readings.and_then(|readings| plain(readings, milli(average), name, target));
        let (replicas, usage) = calculated.map_err(|why| format!("failed to get {name} usage: {why}"))?;
        return Ok(Found {
            replicas,
            metric: format!("{name} resource"),
            current: MetricValueStatus { average_value: Some(text(usage, format)), ..Default::default() },
        });
    }
    let Some(utilization) = wanted.average_utilization else {
        return Err("invalid resource metric source: neither an average utilization target nor an average \
                    value (usage) target was set"
            .into());
    };
    let calculated = readings.and_then(|readings| utilized(readings, utilization, name, container, target));
    let utilized = calculated.map_err(|why| format!("failed to get {name} utilization: {why}"))?;
    let kind = if container.is_some() { "container resource" } else { "resource" };
    Ok(Found {
        replicas: utilized.replicas,
        metric: format!("{name} {kind} utilization (percentage of request)"),
        current: MetricValueStatus {
            average_utilization: Some(utilized.percent),
            average_value: Some(text(utilized.average, format)),
            value: None,
        },
    })
}

fn pods(
    spec: &MetricSpec,
    reading: &Result<Reading, String>,
    target: &Target<'_>,
) -> Result<Proposal, Failure> {
    let source = spec.pods.clone().unwrap_or_default();
    let name = source.metric.name.clone();
    let readings = of_pods(reading).map_err(|why| format!("unable to get metric {name}: {why}"));
    let average = source.target.average_value.as_ref().map_or(0, milli);
    let calculated = readings.and_then(|readings| plain(readings, average, "", target));
    let (replicas, usage) = calculated.map_err(|cause| Failure {
        reason: "FailedGetPodsMetric",
        told: format!("failed to get pods metric value: {cause}"),
        cause,
    })?;
    let current = MetricValueStatus {
        average_value: Some(text(usage, Format::DecimalSi)),
        ..MetricValueStatus::default()
    };
    Ok(Proposal {
        replicas,
        metric: format!("pods metric {name}"),
        status: MetricStatus {
            type_: spec.type_.clone(),
            pods: Some(PodsMetricStatus { metric: source.metric, current }),
            ..MetricStatus::default()
        },
    })
}

fn object(
    spec: &MetricSpec,
    reading: &Result<Reading, String>,
    target: &Target<'_>,
) -> Result<Proposal, Failure> {
    let source = spec.object.clone().unwrap_or_default();
    let (name, described) = (source.metric.name.clone(), source.described_object);
    let reason = "FailedGetObjectMetric";
    let fail = |cause: String, error: String| Failure {
        reason,
        told: format!("failed to get object metric value: {error}"),
        cause,
    };
    let usage = match reading {
        Ok(Reading::Object(usage)) => Ok(*usage),
        Ok(_) => Ok(0),
        Err(why) => {
            let (kind, its_name, namespace) = (&described.kind, &described.name, target.namespace);
            Err(format!("unable to get metric {name} on {kind} {namespace}/{its_name}: {why}"))
        }
    };
    let status = |current| MetricStatus {
        type_: spec.type_.clone(),
        object: Some(ObjectMetricStatus {
            described_object: described.clone(),
            metric: source.metric.clone(),
            current,
        }),
        ..MetricStatus::default()
    };
    match (source.target.type_.as_str(), &source.target.value, &source.target.average_value) {
        ("Value", Some(wanted), _) => {
            let calculated = usage.and_then(|usage| {
                by_ratio(usage as f64 / milli(wanted) as f64, target).map(|replicas| (replicas, usage))
            });
            let (replicas, usage) = calculated.map_err(|cause| fail(cause.clone(), cause))?;
            Ok(Proposal {
                replicas,
                metric: format!("{} metric {name}", described.kind),
                status: status(value(usage)),
            })
        }
        ("AverageValue", _, Some(wanted)) => {
            let usage = usage.map_err(|cause| {
                let error = format!("failed to get {name} object metric: {cause}");
                fail(cause, error)
            })?;
            let (replicas, average) = per_pod(usage, milli(wanted), target);
            Ok(Proposal {
                replicas,
                metric: format!("external metric {name}({})", shown(source.metric.selector.as_ref())),
                status: status(average_value(average)),
            })
        }
        _ => {
            let cause = "invalid object metric source: neither a value target nor an average value target \
                         was set"
                .to_owned();
            Err(fail(cause.clone(), cause))
        }
    }
}

fn external(
    spec: &MetricSpec,
    reading: &Result<Reading, String>,
    target: &Target<'_>,
) -> Result<Proposal, Failure> {
    let source = spec.external.clone().unwrap_or_default();
    let MetricIdentifier { name, selector } = source.metric.clone();
    let selector = shown(selector.as_ref());
    let fail = |cause: String, error: String| Failure {
        reason: "FailedGetExternalMetric",
        told: format!("failed to get {name} external metric value: {error}"),
        cause,
    };
    let usage = match reading {
        Ok(Reading::External(series)) => Ok(series.iter().fold(0i64, |sum, one| sum.saturating_add(*one))),
        Ok(_) => Ok(0),
        Err(why) => {
            Err(format!("unable to get external metric {}/{name}/{selector}: {why}", target.namespace))
        }
    };
    let proposal = |replicas, current| Proposal {
        replicas,
        metric: format!("external metric {name}({selector})"),
        status: MetricStatus {
            type_: spec.type_.clone(),
            external: Some(ExternalMetricStatus { metric: source.metric.clone(), current }),
            ..MetricStatus::default()
        },
    };
    if let Some(wanted) = &source.target.average_value {
        let usage = usage.map_err(|cause| {
            let error = format!("failed to get {name} external metric: {cause}");
            fail(cause, error)
        })?;
        let (replicas, average) = per_pod(usage, milli(wanted), target);
        return Ok(proposal(replicas, average_value(average)));
    }
    if let Some(wanted) = &source.target.value {
        let calculated = usage.and_then(|usage| {
            by_ratio(usage as f64 / milli(wanted) as f64, target).map(|replicas| (replicas, usage))
        });
        let (replicas, usage) = calculated.map_err(|cause| {
            let error = format!("failed to get external metric {name}: {cause}");
            fail(cause, error)
        })?;
        return Ok(proposal(replicas, value(usage)));
    }
    let cause = "invalid external metric source: neither a value target nor an average value target was set"
        .to_owned();
    Err(fail(cause.clone(), cause))
}

fn of_pods(reading: &Result<Reading, String>) -> Result<BTreeMap<String, PodReading>, String> {
    match reading {
        Ok(Reading::Pods(readings)) => Ok(readings.clone()),
        Ok(_) => Ok(BTreeMap::new()),
        Err(why) => Err(why.clone()),
    }
}

fn milli(quantity: &Text) -> i64 {
    Quantity::parse(&quantity.0).map_or(0, |quantity| quantity.milli_value())
}

/// Thousandths, as upstream writes them.
fn text(milli: i64, format: Format) -> Text {
    let quantity = match (format, milli % 1000) {
        (Format::BinarySi, 0) => Quantity::new(milli / 1000, format),
        _ => Quantity::from_milli(milli),
    };
    Text(quantity.to_string())
}

fn value(milli: i64) -> MetricValueStatus {
    MetricValueStatus { value: Some(text(milli, Format::DecimalSi)), ..MetricValueStatus::default() }
}

fn average_value(milli: i64) -> MetricValueStatus {
    MetricValueStatus { average_value: Some(text(milli, Format::DecimalSi)), ..MetricValueStatus::default() }
}

/// A selector as Go prints it.
fn shown(selector: Option<&LabelSelector>) -> String {
    let Some(selector) = selector else { return "nil".into() };
    let labels = selector.match_labels.iter().flatten();
    let labels: String = labels.map(|(key, value)| format!("{key}: {value},")).collect();
    let expressions = selector.match_expressions.iter().flatten();
    let expressions: String = expressions
        .map(|one| {
            let values = one.values.as_deref().unwrap_or_default().join(" ");
            format!(
                "LabelSelectorRequirement{{Key:{},Operator:{},Values:[{values}],}},",
                one.key, one.operator
            )
        })
        .collect();
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{labels}}},MatchExpressions:\
         []LabelSelectorRequirement{{{expressions}}},}}"
    )
}

/// The target's pods by what their readings are worth.
#[derive(Default)]
struct Groups {
    ready: usize,
    unready: BTreeSet<String>,
    missing: BTreeSet<String>,
    /// Ended or on their way out.
    ignored: BTreeSet<String>,
}

fn group(readings: &BTreeMap<String, PodReading>, resource: &str, target: &Target<'_>) -> Groups {
    let mut groups = Groups::default();
    for pod in target.pods {
        let name = pod.metadata.name.clone().unwrap_or_default();
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("");
        if pod.metadata.deletion_timestamp.is_some() || phase == "Failed" {
            groups.ignored.insert(name);
        } else if phase == "Pending" {
            groups.unready.insert(name);
        } else if let Some(reading) = readings.get(&name) {
            if resource == "cpu" && is_starting(pod, reading, target.now) {
                groups.unready.insert(name);
            } else {
                groups.ready += 1;
            }
        } else {
            groups.missing.insert(name);
        }
    }
    groups
}

fn ready(pod: &Pod) -> Option<&PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == "Ready")
}

/// Whether the CPU of a pod is still that of its start.
fn is_starting(pod: &Pod, reading: &PodReading, now: Timestamp) -> bool {
    let started = pod.status.as_ref().and_then(|status| status.start_time.as_ref());
    let (Some(ready), Some(started)) = (ready(pod), started) else { return true };
    let changed = ready.last_transition_time.as_ref().map_or(Timestamp::MIN, |time| time.0);
    let is_unready = ready.status == "False";
    if started.0 + INITIALIZATION > now {
        // A whole window must have passed since it became ready.
        return is_unready || changed.saturating_add(reading.window).is_ok_and(|whole| reading.at < whole);
    }
    is_unready && started.0 + INITIAL_READINESS > changed
}

fn without(readings: &mut BTreeMap<String, PodReading>, names: &BTreeSet<String>) {
    readings.retain(|name, _| !names.contains(name));
}

const NOTHING: &str = "did not receive metrics for targeted pods (pods might be unready)";
const NO_PODS: &str = "no pods returned by selector while calculating replica count";

/// Whether a second look, in which the pods without a reading count too, says
/// the opposite of the first or too little.
fn is_undone(first: f64, second: f64, tolerances: Tolerances) -> bool {
    tolerances.hold(second) || (first < 1.0 && second > 1.0) || (first > 1.0 && second < 1.0)
}

/// What a ratio over so many pods comes to, unless their number turns its direction round.
fn rescaled(ratio: f64, counted: usize, current: i32) -> i32 {
    let replicas = (ratio * counted as f64).ceil() as i32;
    if (ratio < 1.0 && replicas > current) || (ratio > 1.0 && replicas < current) {
        return current;
    }
    replicas
}

struct Utilized {
    replicas: i32,
    percent: i32,
    average: i64,
}

/// The values of the pods that count, and what the others are.
fn counted(
    mut readings: BTreeMap<String, PodReading>,
    resource: &str,
    target: &Target<'_>,
) -> Result<(Groups, BTreeMap<String, i64>), String> {
    if target.pods.is_empty() {
        return Err(NO_PODS.into());
    }
    let groups = group(&readings, resource, target);
    without(&mut readings, &groups.ignored);
    without(&mut readings, &groups.unready);
    if readings.is_empty() {
        return Err(NOTHING.into());
    }
    let values = readings.into_iter().map(|(name, reading)| (name, reading.value)).collect();
    Ok((groups, values))
}

/// By the share of what pods request.
fn utilized(
    readings: BTreeMap<String, PodReading>,
    wanted: i32,
    resource: &str,
    container: Option<&str>,
    target: &Target<'_>,
) -> Result<Utilized, String> {
    let (groups, values) = counted(readings, resource, target)?;
    let requests = requests(target.pods, container, resource)?;
    let (ratio, percent, average) = utilization(&values, &requests, wanted)?;
    let found = |replicas| Ok(Utilized { replicas, percent, average });
    let with_unready = !groups.unready.is_empty() && ratio > 1.0;
    if !with_unready && groups.missing.is_empty() {
        if target.tolerances.hold(ratio) {
            return found(target.replicas);
        }
        return found((ratio * groups.ready as f64).ceil() as i32);
    }
    let mut values = values;
    for name in &groups.missing {
        // Those who tell nothing count against a change.
        if ratio < 1.0 {
            let share = i64::from(wanted.max(100));
            values.insert(name.clone(), requests.get(name).copied().unwrap_or(0) * share / 100);
        } else if ratio > 1.0 {
            values.insert(name.clone(), 0);
        }
    }
    if with_unready {
        values.extend(groups.unready.into_iter().map(|name| (name, 0)));
    }
    let (again, _, _) = utilization(&values, &requests, wanted)?;
    if is_undone(ratio, again, target.tolerances) {
        return found(target.replicas);
    }
    found(rescaled(again, values.len(), target.replicas))
}

/// Ratio to what is wanted, percentage, and the average in thousandths.
fn utilization(
    values: &BTreeMap<String, i64>,
    requests: &BTreeMap<String, i64>,
    wanted: i32,
) -> Result<(f64, i32, i64), String> {
    let known = values.iter().filter_map(|(name, value)| Some((*value, *requests.get(name)?)));
    let (used, requested, count) = known
        .fold((0i64, 0i64, 0i64), |(used, requested, count), (value, request)| {
            (used + value, requested + request, count + 1)
        });
    if requested == 0 {
        return Err("no metrics returned matched known pods".into());
    }
    let percent = (used * 100 / requested) as i32;
    Ok((f64::from(percent) / f64::from(wanted), percent, used / count))
}

/// By an amount for each pod.
fn plain(
    readings: BTreeMap<String, PodReading>,
    wanted: i64,
    resource: &str,
    target: &Target<'_>,
) -> Result<(i32, i64), String> {
    let (groups, mut values) = counted(readings, resource, target)?;
    let average = |values: &BTreeMap<String, i64>| values.values().sum::<i64>() / values.len() as i64;
    let usage = average(&values);
    let ratio = usage as f64 / wanted as f64;
    let with_unready = !groups.unready.is_empty() && ratio > 1.0;
    if !with_unready && groups.missing.is_empty() {
        let replicas = match target.tolerances.hold(ratio) {
            true => target.replicas,
            false => (ratio * groups.ready as f64).ceil() as i32,
        };
        return Ok((replicas, usage));
    }
    for name in groups.missing {
        if ratio < 1.0 {
            values.insert(name, wanted);
        } else if ratio > 1.0 {
            values.insert(name, 0);
        }
    }
    if with_unready {
        values.extend(groups.unready.into_iter().map(|name| (name, 0)));
    }
    let again = average(&values) as f64 / wanted as f64;
    if is_undone(ratio, again, target.tolerances) {
        return Ok((target.replicas, usage));
    }
    Ok((rescaled(again, values.len(), target.replicas), usage))
}

/// By one value for all, which more ready pods bring down.
fn by_ratio(ratio: f64, target: &Target<'_>) -> Result<i32, String> {
    if target.replicas == 0 {
        return Ok(ratio.ceil() as i32);
    }
    if target.tolerances.hold(ratio) {
        return Ok(target.replicas);
    }
    if target.pods.is_empty() {
        return Err(format!("unable to calculate ready pods: {NO_PODS}"));
    }
    let counts = |pod: &&Pod| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        phase == Some("Running") && ready(pod).is_some_and(|ready| ready.status == "True")
    };
    Ok((ratio * target.pods.iter().filter(counts).count() as f64).ceil() as i32)
}

/// By one value that all pods share. Gives the average too, in thousandths.
fn per_pod(usage: i64, wanted: i64, target: &Target<'_>) -> (i32, i64) {
    let observed = f64::from(target.observed);
    let ratio = usage as f64 / (wanted as f64 * observed);
    let replicas = match target.tolerances.hold(ratio) {
        true => target.observed,
        false => (usage as f64 / wanted as f64).ceil() as i32,
    };
    (replicas, (usage as f64 / observed).ceil() as i64)
}

/// What each pod requests, in thousandths.
fn requests(pods: &[Pod], container: Option<&str>, resource: &str) -> Result<BTreeMap<String, i64>, String> {
    pods.iter()
        .map(|pod| {
            let name = pod.metadata.name.clone().unwrap_or_default();
            let request = match container {
                None if has_own_requests(pod) => of_whole_pod(pod, resource)?,
                _ => of_containers(pod, container, resource)?,
            };
            Ok((name, request))
        })
        .collect()
}

fn has_own_requests(pod: &Pod) -> bool {
    let resources = pod.spec.as_ref().and_then(|spec| spec.resources.as_ref());
    let requests = resources.and_then(|resources| resources.requests.as_ref());
    requests.is_some_and(|requests| {
        requests.keys().any(|name| name == "cpu" || name == "memory" || name.starts_with("hugepages-"))
    })
}

fn of_whole_pod(pod: &Pod, resource: &str) -> Result<i64, String> {
    let all = pod.spec.as_ref().map(api::requests::pod_requests).unwrap_or_default();
    let request = all.get(resource).map(|request| request.milli_value());
    let name = pod.metadata.name.as_deref().unwrap_or("");
    request.ok_or_else(|| format!("missing pod-level request for {resource} in Pod {name}"))
}

fn of_containers(pod: &Pod, wanted: Option<&str>, resource: &str) -> Result<i64, String> {
    let name = pod.metadata.name.as_deref().unwrap_or("");
    let spec = pod.spec.clone().unwrap_or_default();
    let sidecars = spec.init_containers.iter().flatten().filter(|one| api::requests::is_sidecar(one));
    let mut total = 0;
    for container in spec.containers.iter().chain(sidecars) {
        if wanted.is_some_and(|wanted| wanted != container.name) {
            continue;
        }
        let requests = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
        let request = requests.and_then(|requests| requests.get(resource)).map(milli).ok_or_else(|| {
            format!("missing request for {resource} in container {} of Pod {name}", container.name)
        })?;
        if wanted.is_some() {
            return Ok(request);
        }
        total += request;
    }
    match wanted {
        Some(wanted) => Err(format!("container {wanted} not found in Pod {name}")),
        None => Ok(total),
    }
}
