//! From what the metrics call for to what is allowed now: stabilization,
//! policies and limits. Pure.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::autoscaling::v2::{HPAScalingRules, HorizontalPodAutoscalerBehavior};

/// `--horizontal-pod-autoscaler-downscale-stabilization`.
const DOWNSCALE: SignedDuration = SignedDuration::from_mins(5);
/// Without behavior a target may double, or come to so many.
const FACTOR: i32 = 2;
const AT_LEAST: i32 = 4;

/// What is remembered of an autoscaler between looks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// What the metrics called for, before any limit.
    pub recommendations: Vec<(Timestamp, i32)>,
    /// By how many replicas the target grew.
    pub ups: Vec<(Timestamp, i32)>,
    pub downs: Vec<(Timestamp, i32)>,
}

/// Between what the count may lie, and where it is.
#[derive(Clone, Copy)]
pub struct Bounds {
    pub least: i32,
    pub most: i32,
    pub current: i32,
}

/// What came of it, with the reasons and messages of both conditions.
#[derive(Debug, PartialEq)]
pub struct Normalized {
    pub replicas: i32,
    /// AbleToScale.
    pub able: (&'static str, &'static str),
    /// ScalingLimited.
    pub limited: bool,
    pub limit: (&'static str, &'static str),
}

const READY: (&str, &str) = ("ReadyForNewScale", "recommended size matches current size");
const STABILIZED_UP: (&str, &str) = (
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
);
const STABILIZED_DOWN: (&str, &str) = (
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
);
const WITHIN: (&str, &str) = ("DesiredWithinRange", "the desired count is within the acceptable range");
const TOO_FEW: (&str, &str) =
    ("TooFewReplicas", "the desired replica count is less than the minimum replica count");
const TOO_MANY: (&str, &str) =
    ("TooManyReplicas", "the desired replica count is more than the maximum replica count");
const TOO_FAST_UP: (&str, &str) =
    ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate");
const TOO_FAST_DOWN: (&str, &str) =
    ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate");

impl History {
    /// The first look at a target: its size counts as a recommendation.
    pub fn begin(&mut self, current: i32, now: Timestamp) {
        if self.recommendations.is_empty() {
            self.recommendations.push((now, current));
        }
    }

    /// Brings what is called for within all bounds, and remembers it.
    pub fn normalize(
        &mut self,
        behavior: Option<&HorizontalPodAutoscalerBehavior>,
        bounds: Bounds,
        wanted: i32,
        now: Timestamp,
    ) -> Normalized {
        let Some(behavior) = behavior else { return self.by_default(bounds, wanted, now) };
        let up = behavior.scale_up.clone().unwrap_or_default();
        let down = behavior.scale_down.clone().unwrap_or_default();
        let (stable, why) = self.stabilize(&up, &down, bounds.current, wanted, now);
        let able = if stable == wanted { READY } else { why };
        let (replicas, limit) = self.limit(&up, &down, bounds, stable, now);
        Normalized { replicas, able, limited: replicas != stable, limit }
    }

    fn by_default(&mut self, bounds: Bounds, wanted: i32, now: Timestamp) -> Normalized {
        self.recommendations.retain(|(at, _)| now.duration_since(*at) <= DOWNSCALE);
        let highest = self.recommendations.iter().map(|(_, count)| *count).fold(wanted, i32::max);
        self.recommendations.push((now, wanted));
        let able = if highest == wanted { READY } else { STABILIZED_DOWN };
        let fastest = bounds.current.saturating_mul(FACTOR).max(AT_LEAST);
        let (most, at_most) =
            if bounds.most > fastest { (fastest, TOO_FAST_UP) } else { (bounds.most, TOO_MANY) };
        let (replicas, limit) = if highest < bounds.least {
            (bounds.least, TOO_FEW)
        } else if highest > most {
            (most, at_most)
        } else {
            (highest, WITHIN)
        };
        Normalized { replicas, able, limited: replicas != highest, limit }
    }

    /// The count nearest to the present one that no recommendation within the
    /// windows speaks against.
    fn stabilize(
        &mut self,
        up: &HPAScalingRules,
        down: &HPAScalingRules,
        current: i32,
        wanted: i32,
        now: Timestamp,
    ) -> (i32, (&'static str, &'static str)) {
        let seconds = |seconds: i32| SignedDuration::from_secs(seconds.into());
        let up_window = up.stabilization_window_seconds.map_or(SignedDuration::ZERO, seconds);
        let down_window = down.stabilization_window_seconds.map_or(DOWNSCALE, seconds);
        let within = |at: &Timestamp, window| now.duration_since(*at) < window;
        self.recommendations.retain(|(at, _)| within(at, up_window.max(down_window)));
        let (mut lowest, mut highest) = (wanted, wanted);
        for (at, count) in &self.recommendations {
            if within(at, up_window) {
                lowest = lowest.min(*count);
            }
            if within(at, down_window) {
                highest = highest.max(*count);
            }
        }
        self.recommendations.push((now, wanted));
        let why = if wanted >= current { STABILIZED_UP } else { STABILIZED_DOWN };
        (current.max(lowest).min(highest), why)
    }

    fn limit(
        &self,
        up: &HPAScalingRules,
        down: &HPAScalingRules,
        bounds: Bounds,
        wanted: i32,
        now: Timestamp,
    ) -> (i32, (&'static str, &'static str)) {
        if wanted > bounds.current {
            let fastest = self.most_by(up, bounds.current, now).max(bounds.current);
            let (most, why) =
                if bounds.most > fastest { (fastest, TOO_FAST_UP) } else { (bounds.most, TOO_MANY) };
            if wanted > most {
                return (most, why);
            }
        } else if wanted < bounds.current {
            let fastest = self.least_by(down, bounds.current, now).min(bounds.current);
            let (least, why) =
                if bounds.least < fastest { (fastest, TOO_FAST_DOWN) } else { (bounds.least, TOO_FEW) };
            if wanted < least {
                return (least, why);
            }
        }
        (wanted, WITHIN)
    }

    /// What the target had when the policy's period began.
    fn at_start(&self, current: i32, period: i32, now: Timestamp) -> i32 {
        let period = SignedDuration::from_secs(period.into());
        let sum = |events: &[(Timestamp, i32)]| -> i32 {
            let recent = events.iter().filter(|(at, _)| now.duration_since(*at) < period);
            recent.map(|(_, change)| change).sum()
        };
        current - sum(&self.ups) + sum(&self.downs)
    }

    fn most_by(&self, rules: &HPAScalingRules, current: i32, now: Timestamp) -> i32 {
        let allowed = rules.policies.iter().flatten().map(|policy| {
            let start = self.at_start(current, policy.period_seconds, now);
            match policy.type_.as_str() {
                "Percent" => (f64::from(start) * (1.0 + f64::from(policy.value) / 100.0)).ceil() as i32,
                _ => start.saturating_add(policy.value),
            }
        });
        match rules.select_policy.as_deref() {
            Some("Disabled") => current,
            Some("Min") => allowed.min().unwrap_or(i32::MAX),
            _ => allowed.max().unwrap_or(i32::MIN),
        }
    }

    fn least_by(&self, rules: &HPAScalingRules, current: i32, now: Timestamp) -> i32 {
        let allowed = rules.policies.iter().flatten().map(|policy| {
            let start = self.at_start(current, policy.period_seconds, now);
            match policy.type_.as_str() {
                "Percent" => (f64::from(start) * (1.0 - f64::from(policy.value) / 100.0)) as i32,
                _ => start.saturating_sub(policy.value),
            }
        });
        match rules.select_policy.as_deref() {
            Some("Disabled") => current,
            // The least change leaves the most.
            Some("Min") => allowed.max().unwrap_or(i32::MIN),
            _ => allowed.min().unwrap_or(i32::MAX),
        }
    }

    /// The target was rescaled.
    pub fn scaled(
        &mut self,
        behavior: Option<&HorizontalPodAutoscalerBehavior>,
        from: i32,
        to: i32,
        now: Timestamp,
    ) {
        let Some(behavior) = behavior else { return };
        let rules = [behavior.scale_up.as_ref(), behavior.scale_down.as_ref()];
        let policies = rules.into_iter().flatten().flat_map(|rules| rules.policies.iter().flatten());
        let longest = policies.map(|policy| policy.period_seconds).max().unwrap_or(0);
        let longest = SignedDuration::from_secs(longest.into());
        for events in [&mut self.ups, &mut self.downs] {
            events.retain(|(at, _)| now.duration_since(*at) <= longest);
        }
        if to > from { self.ups.push((now, to - from)) } else { self.downs.push((now, from - to)) }
    }
}
