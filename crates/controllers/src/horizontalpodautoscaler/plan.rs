//! What an autoscaler does about its target, and what its status says. Pure.

use informer::EventType;
use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v2::{
    HorizontalPodAutoscaler, HorizontalPodAutoscalerCondition, HorizontalPodAutoscalerStatus, MetricStatus,
};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::behavior::{Bounds, History};
use super::metrics::action;
use super::readings::Reading;
use super::replicas::{self, Target, Tolerances};

/// The target's scale.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scale {
    /// `spec.replicas` and `status.replicas`.
    pub replicas: i32,
    pub observed: i32,
    /// `status.selector`.
    pub selector: String,
}

/// What was seen.
pub struct Observed<'a> {
    pub autoscaler: &'a HorizontalPodAutoscaler,
    /// Or why it could not be had.
    pub scale: Result<Scale, String>,
    /// What the scale's selector chooses, or why it cannot be read.
    pub pods: Result<Vec<Pod>, String>,
    /// Every autoscaler that chooses one of the pods, as Go prints its key.
    pub rivals: Vec<String>,
    /// One for each metric, where [`needs_metrics`] says so.
    pub readings: Vec<Result<Reading, String>>,
    pub now: Timestamp,
}

/// Type, reason and message of an event.
pub type Told = (EventType, &'static str, String);

/// What to do.
#[derive(Debug, PartialEq)]
pub struct Plan {
    pub events: Vec<Told>,
    pub status: HorizontalPodAutoscalerStatus,
    pub rescale: Option<Rescale>,
    /// What each metric called for, in their order.
    pub computed: Vec<Computed>,
    /// It could not be done.
    pub failed: bool,
}

/// What came of one metric, as the labels of its count say.
#[derive(Clone, Debug, PartialEq)]
pub struct Computed {
    pub metric: String,
    pub action: &'static str,
    pub error: &'static str,
}

impl Plan {
    /// Action and error, as the labels of the reconcile's count say.
    pub fn labels(&self) -> (&'static str, &'static str) {
        let action = self.rescale.as_ref().map_or("none", |rescale| action(rescale.from, rescale.to));
        if self.failed { ("none", "internal") } else { (action, "none") }
    }
}

/// The target's new size, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Rescale {
    pub from: i32,
    pub to: i32,
    pub reason: String,
}

fn least(autoscaler: &HorizontalPodAutoscaler) -> i32 {
    autoscaler.spec.min_replicas.unwrap_or(1)
}

fn condition<'a>(
    autoscaler: &'a HorizontalPodAutoscaler,
    kind: &str,
) -> Option<&'a HorizontalPodAutoscalerCondition> {
    let conditions = autoscaler.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == kind)
}

/// Whether the autoscaler itself brought the target to nothing.
fn is_scaled_to_zero(autoscaler: &HorizontalPodAutoscaler) -> bool {
    condition(autoscaler, "ScaledToZero").is_some_and(|condition| condition.status == "True")
}

/// Metrics that there are without any pod.
fn has_metrics_without_pods(autoscaler: &HorizontalPodAutoscaler) -> bool {
    let mut metrics = autoscaler.spec.metrics.iter().flatten();
    metrics.any(|metric| matches!(metric.type_.as_str(), "Object" | "External"))
}

/// Whether the size of the target leaves anything to the metrics.
pub fn needs_metrics(autoscaler: &HorizontalPodAutoscaler, replicas: i32) -> bool {
    if replicas == 0 {
        let own = is_scaled_to_zero(autoscaler);
        return own && (least(autoscaler) != 0 || has_metrics_without_pods(autoscaler));
    }
    (least(autoscaler)..=autoscaler.spec.max_replicas).contains(&replicas)
}

/// The status, as far as it does not hang on the rescaling.
struct Writing {
    status: HorizontalPodAutoscalerStatus,
    now: Timestamp,
}

impl Writing {
    fn set(&mut self, kind: &str, holds: bool, reason: &str, message: impl Into<String>) {
        let status = if holds { "True" } else { "False" };
        let conditions = self.status.conditions.get_or_insert_default();
        let at = conditions.iter().position(|condition| condition.type_ == kind).unwrap_or_else(|| {
            let new = HorizontalPodAutoscalerCondition { type_: kind.into(), ..Default::default() };
            conditions.push(new);
            conditions.len() - 1
        });
        let condition = &mut conditions[at];
        if condition.status != status {
            condition.last_transition_time = Some(Time(self.now));
        }
        condition.status = status.into();
        condition.reason = Some(reason.into());
        condition.message = Some(message.into());
    }

    fn count(
        &mut self,
        autoscaler: &HorizontalPodAutoscaler,
        current: i32,
        desired: i32,
        metrics: Vec<MetricStatus>,
    ) {
        self.status.current_replicas = Some(current);
        self.status.desired_replicas = desired;
        self.status.current_metrics = Some(metrics).filter(|metrics| !metrics.is_empty());
        self.status.observed_generation = autoscaler.metadata.generation;
    }
}

/// What the metrics together call for.
struct Called {
    /// Err where nothing may be done: what is told at last.
    replicas: Result<(i32, String), String>,
    statuses: Vec<MetricStatus>,
    computed: Vec<Computed>,
}

/// See the module. `history` goes along.
pub fn plan(observed: &Observed<'_>, history: &mut History) -> Plan {
    let autoscaler = observed.autoscaler;
    let spec = &autoscaler.spec;
    let mut writing = Writing { status: autoscaler.status.clone().unwrap_or_default(), now: observed.now };
    let mut events = Vec::new();
    let scale = match &observed.scale {
        Ok(scale) => scale,
        Err(why) => {
            events.push((EventType::Warning, "FailedGetScale", why.clone()));
            let message = format!("the HPA controller was unable to get the target's current scale: {why}");
            writing.set("AbleToScale", false, "FailedGetScale", message);
            return Plan {
                events,
                status: writing.status,
                rescale: None,
                computed: Vec::new(),
                failed: true,
            };
        }
    };
    let current = scale.replicas;
    let message = "the HPA controller was able to get the target's current scale";
    writing.set("AbleToScale", true, "SucceededGetScale", message);
    history.begin(current, observed.now);

    let least = least(autoscaler);
    let (mut metrics, mut computed) = (Vec::new(), Vec::new());
    let (mut desired, mut reason) = (current, String::new());
    if needs_metrics(autoscaler, current) {
        let called = call(observed, scale, &mut writing, &mut events);
        metrics = called.statuses;
        computed = called.computed;
        let (wanted, metric) = match called.replicas {
            Ok(found) => found,
            Err(why) => {
                let desired = writing.status.desired_replicas;
                writing.count(autoscaler, current, desired, metrics);
                events.push((EventType::Warning, "FailedComputeMetricsReplicas", why));
                return Plan { events, status: writing.status, rescale: None, computed, failed: true };
            }
        };
        if wanted > current {
            reason = format!("{metric} above target");
        } else if wanted < current {
            reason = "All metrics below target".into();
        }
        let bounds = Bounds { least, most: spec.max_replicas, current };
        let normalized = history.normalize(spec.behavior.as_ref(), bounds, wanted, observed.now);
        writing.set("AbleToScale", true, normalized.able.0, normalized.able.1);
        writing.set("ScalingLimited", normalized.limited, normalized.limit.0, normalized.limit.1);
        desired = normalized.replicas;
        if current == 0 && desired < least {
            desired = least;
            if reason.is_empty() {
                reason = "Current number of replicas below Spec.MinReplicas".into();
            }
        }
    } else if current == 0 {
        let message = "scaling is disabled since the replica count of the target is zero";
        writing.set("ScalingActive", false, "ScalingDisabled", message);
    } else if current > spec.max_replicas {
        reason = "Current number of replicas above Spec.MaxReplicas".into();
        desired = spec.max_replicas;
    } else {
        reason = "Current number of replicas below Spec.MinReplicas".into();
        desired = least;
    }
    writing.count(autoscaler, current, desired, metrics);
    let rescale = (desired != current).then_some(Rescale { from: current, to: desired, reason });
    Plan { events, status: writing.status, rescale, computed, failed: false }
}

/// The most that any metric calls for. Where one fails, nothing is taken away.
fn call(observed: &Observed<'_>, scale: &Scale, writing: &mut Writing, events: &mut Vec<Told>) -> Called {
    let autoscaler = observed.autoscaler;
    let namespace = autoscaler.metadata.namespace.as_deref().unwrap_or("");
    let refused =
        |why: &str| Called { replicas: Err(why.to_owned()), statuses: Vec::new(), computed: Vec::new() };
    if scale.selector.is_empty() {
        let why = "selector is required";
        events.push((EventType::Warning, "SelectorRequired", why.into()));
        let message = "the HPA target's scale is missing a selector";
        writing.set("ScalingActive", false, "InvalidSelector", message);
        return refused(why);
    }
    let pods = match &observed.pods {
        Ok(pods) => pods,
        Err(why) => {
            let why =
                format!("couldn't convert selector into a corresponding internal selector object: {why}");
            events.push((EventType::Warning, "InvalidSelector", why.clone()));
            writing.set("ScalingActive", false, "InvalidSelector", why.clone());
            return refused(&why);
        }
    };
    if observed.rivals.len() > 1 {
        let why = format!(
            "pods by selector {} are controlled by more than one HPA (e.g. [{}])",
            scale.selector,
            observed.rivals.join(" ")
        );
        events.push((EventType::Warning, "AmbiguousSelector", why.clone()));
        writing.set("ScalingActive", false, "AmbiguousSelector", why.clone());
        return refused(&why);
    }
    let target = Target {
        namespace,
        replicas: scale.replicas,
        observed: scale.observed,
        pods,
        tolerances: Tolerances::of(autoscaler.spec.behavior.as_ref()),
        now: observed.now,
    };
    let specs = autoscaler.spec.metrics.as_deref().unwrap_or_default();
    let (mut found, mut statuses, mut failures) = (None::<(i32, String)>, Vec::new(), Vec::new());
    let before = autoscaler.status.as_ref().and_then(|status| status.current_replicas).unwrap_or(0);
    let mut computed = Vec::new();
    for (spec, reading) in specs.iter().zip(&observed.readings) {
        let proposed = replicas::propose(spec, reading, &target);
        computed.push(Computed {
            metric: spec.type_.clone(),
            action: proposed.as_ref().map_or("none", |proposal| action(before, proposal.replicas)),
            error: match &proposed {
                Ok(_) => "none",
                Err(failure) if failure.reason == replicas::UNKNOWN_TYPE => "spec",
                Err(_) => "internal",
            },
        });
        match proposed {
            Ok(proposal) => {
                statuses.push(proposal.status);
                if found.as_ref().is_none_or(|(most, _)| *most == 0 || proposal.replicas > *most) {
                    found = Some((proposal.replicas, proposal.metric));
                }
            }
            Err(failure) => {
                statuses.push(MetricStatus::default());
                events.push((EventType::Warning, failure.reason, failure.cause.clone()));
                failures.push(failure);
            }
        }
    }
    let by_failure = |writing: &mut Writing, failure: &replicas::Failure| {
        let message = format!("the HPA was unable to compute the replica count: {}", failure.cause);
        writing.set("ScalingActive", false, failure.reason, message);
        format!(
            "invalid metrics ({} invalid out of {}), first error is: {}",
            failures.len(),
            specs.len(),
            failure.told
        )
    };
    let replicas = match (found, failures.first()) {
        (Some((replicas, _)), Some(failure)) if replicas < scale.replicas => {
            Err(by_failure(writing, failure))
        }
        (Some((replicas, metric)), _) => {
            let message = format!("the HPA was able to successfully calculate a replica count from {metric}");
            writing.set("ScalingActive", true, "ValidMetricFound", message);
            Ok((replicas, metric))
        }
        (None, Some(failure)) => Err(by_failure(writing, failure)),
        (None, None) => Err("invalid metrics: none is given".into()),
    };
    Called { replicas, statuses, computed }
}

/// The plan after its rescaling, which may have failed.
pub fn rescaled(
    observed: &Observed<'_>,
    history: &mut History,
    plan: Plan,
    result: Result<(), String>,
) -> Plan {
    let Plan { mut events, status, rescale, computed, mut failed } = plan;
    let Some(Rescale { from, to, reason }) = rescale.clone() else {
        return Plan { events, status, rescale, computed, failed };
    };
    let autoscaler = observed.autoscaler;
    let mut writing = Writing { status, now: observed.now };
    match result {
        Err(why) => {
            failed = true;
            let told = format!("New size: {to}; reason: {reason}; error: {why}");
            events.push((EventType::Warning, "FailedRescale", told));
            let message = format!("the HPA controller was unable to update the target scale: {why}");
            writing.set("AbleToScale", false, "FailedUpdateScale", message);
            let before = autoscaler.status.as_ref().map_or(0, |status| status.desired_replicas);
            writing.status.desired_replicas = before;
        }
        Ok(()) => {
            let message = format!("the HPA controller was able to update the target scale to {to}");
            writing.set("AbleToScale", true, "SucceededRescale", message);
            events.push((
                EventType::Normal,
                "SuccessfulRescale",
                format!("New size: {to}; reason: {reason}"),
            ));
            history.scaled(autoscaler.spec.behavior.as_ref(), from, to, observed.now);
            if from > 0 && to == 0 && least(autoscaler) == 0 && has_metrics_without_pods(autoscaler) {
                let message = "the HPA controller scaled the workload to zero";
                writing.set("ScaledToZero", true, "ScaledToZero", message);
            } else {
                let message = "the HPA controller did not scale the workload to zero";
                writing.set("ScaledToZero", false, "NotScaledToZero", message);
            }
            writing.status.last_scale_time = Some(Time(observed.now));
        }
    }
    Plan { events, status: writing.status, rescale, computed, failed }
}
