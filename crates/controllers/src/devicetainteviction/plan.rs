//! Which pods the taints of devices drive out, and what a rule says of it. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use informer::{ObjectKey, Whole};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::resource::v1::{
    Device, DeviceRequestAllocationResult, DeviceTaint, DeviceTaintRule, DeviceToleration, ResourceClaim,
    ResourceSlice,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::pods::PodView;
use crate::resourceclaim;

/// The condition of a rule.
pub const IN_PROGRESS: &str = "EvictionInProgress";
/// What a rule says changes no more often.
pub const STATUS_PAUSE: Duration = Duration::from_secs(10);

const NO_EXECUTE: &str = "NoExecute";

/// Where a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place<'a> {
    pub driver: &'a str,
    pub pool: &'a str,
    pub device: &'a str,
}

impl<'a> Place<'a> {
    pub fn of(device: &'a DeviceRequestAllocationResult) -> Self {
        Self { driver: &device.driver, pool: &device.pool, device: &device.device }
    }
}

/// A taint, by where it stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    Rule {
        name: String,
        uid: String,
    },
    /// The taint of this number of a device.
    Slice {
        driver: String,
        pool: String,
        device: String,
        taint: usize,
    },
}

/// When a pod has to go, and for what.
#[derive(Clone, Debug, PartialEq)]
pub struct Eviction {
    pub at: Timestamp,
    pub reasons: BTreeSet<Reason>,
}

impl Eviction {
    /// For both: at the earlier time.
    fn and(self, other: Self) -> Self {
        let reasons = self.reasons.into_iter().chain(other.reasons).collect();
        Self { at: self.at.min(other.at), reasons }
    }

    /// The rules among its reasons.
    pub fn rules(&self) -> impl Iterator<Item = (&str, &str)> {
        self.reasons.iter().filter_map(|reason| match reason {
            Reason::Rule { name, uid } => Some((name.as_str(), uid.as_str())),
            Reason::Slice { .. } => None,
        })
    }
}

/// What was seen of devices, claims and rules.
pub struct Observed {
    pub claims: BTreeMap<ObjectKey, Arc<Whole<ResourceClaim>>>,
    pub slices: Vec<Arc<Whole<ResourceSlice>>>,
    pub rules: Vec<Arc<Whole<DeviceTaintRule>>>,
}

/// The devices that a claim was given.
pub fn devices(claim: &ResourceClaim) -> impl Iterator<Item = &DeviceRequestAllocationResult> {
    let allocation = claim.status.as_ref().and_then(|status| status.allocation.as_ref());
    let devices = allocation.and_then(|allocation| allocation.devices.as_ref());
    devices.into_iter().flat_map(|devices| devices.results.iter().flatten())
}

/// Whether any device of a slice bears a taint that drives out.
pub fn drives_out(slice: &ResourceSlice) -> bool {
    let devices = slice.spec.devices.iter().flatten();
    devices.flat_map(|device| device.taints.iter().flatten()).any(|taint| taint.effect == NO_EXECUTE)
}

/// Whether a rule is about a device. Without a selector it is about none.
pub fn selects(rule: &DeviceTaintRule, place: Place<'_>) -> bool {
    let Some(selector) = &rule.spec.device_selector else { return false };
    let fits = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
    fits(&selector.driver, place.driver)
        && fits(&selector.pool, place.pool)
        && fits(&selector.device, place.device)
}

impl Observed {
    /// The slices of a pool that count: those of its last generation.
    fn current<'a>(&'a self, driver: &str, pool: &str) -> impl Iterator<Item = &'a ResourceSlice> {
        let of_pool: Vec<&ResourceSlice> = self
            .slices
            .iter()
            .map(|slice| &slice.0)
            .filter(|slice| slice.spec.driver == driver && slice.spec.pool.name == pool)
            .collect();
        let last = of_pool.iter().map(|slice| slice.spec.pool.generation).max();
        of_pool.into_iter().filter(move |slice| Some(slice.spec.pool.generation) == last)
    }

    fn device(&self, place: Place<'_>) -> Option<&Device> {
        let mut devices =
            self.current(place.driver, place.pool).flat_map(|slice| slice.spec.devices.iter().flatten());
        devices.find(|device| device.name == place.device)
    }

    /// The taints that drive out whoever has a device.
    fn taints(&self, place: Place<'_>) -> Vec<(Reason, &DeviceTaint)> {
        let own =
            self.device(place).into_iter().flat_map(|device| device.taints.iter().flatten().enumerate());
        let own = own.map(|(at, taint)| {
            let Place { driver, pool, device } = place;
            let (driver, pool, device) = (driver.to_owned(), pool.to_owned(), device.to_owned());
            (Reason::Slice { driver, pool, device, taint: at }, taint)
        });
        let rules = self.rules.iter().filter(|rule| selects(&rule.0, place));
        let of_rules = rules.map(|rule| (reason(&rule.0), &rule.0.spec.taint));
        own.chain(of_rules).filter(|(_, taint)| taint.effect == NO_EXECUTE).collect()
    }

    /// When those who use a claim have to go.
    pub fn of_claim(&self, claim: &ResourceClaim) -> Option<Eviction> {
        let of_device = |device: &DeviceRequestAllocationResult| {
            let tolerations = device.tolerations.as_deref().unwrap_or_default();
            let taints = self.taints(Place::of(device)).into_iter();
            let due = taints.filter_map(|(reason, taint)| Some((reason, due(taint, tolerations)?)));
            due.map(|(reason, at)| Eviction { at, reasons: [reason].into() }).collect::<Vec<_>>()
        };
        devices(claim).flat_map(of_device).reduce(Eviction::and)
    }

    /// When a pod has to go: with the first of its claims.
    pub fn of_pod(&self, pod: &PodView) -> Option<Eviction> {
        if pod.node.is_empty() {
            return None;
        }
        let claims = resourceclaim::used(pod).filter_map(|(name, made)| {
            let claim = &self.claims.get(&ObjectKey::new(pod.namespace.clone(), name))?.0;
            // It may be another's, or that of a pod of this name before.
            let is_its = !made || resourceclaim::is_for(claim, pod);
            let mut reserved = claim.status.iter().flat_map(|status| status.reserved_for.iter().flatten());
            (is_its && reserved.any(|consumer| consumer.uid == pod.uid)).then_some(claim)
        });
        claims.filter_map(|claim| self.of_claim(claim)).reduce(Eviction::and)
    }
}

fn reason(rule: &DeviceTaintRule) -> Reason {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    Reason::Rule { name: text(&rule.metadata.name), uid: text(&rule.metadata.uid) }
}

/// When a taint takes effect; None where it is tolerated for good.
fn due(taint: &DeviceTaint, tolerations: &[DeviceToleration]) -> Option<Timestamp> {
    let since = taint.time_added.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    let used = tolerations
        .iter()
        // One of no effect tolerates that a device is given, not that it is kept.
        .filter(|toleration| {
            toleration.effect.as_deref() == Some(NO_EXECUTE) && tolerates(toleration, taint)
        });
    let mut shortest: Option<i64> = None;
    for toleration in used {
        let seconds = toleration.toleration_seconds?.max(0);
        shortest = Some(shortest.map_or(seconds, |known| known.min(seconds)));
    }
    let seconds = SignedDuration::from_secs(shortest.unwrap_or(0));
    Some(since.saturating_add(seconds).unwrap_or(Timestamp::MAX))
}

/// By key and value.
fn tolerates(toleration: &DeviceToleration, taint: &DeviceTaint) -> bool {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    if toleration.key.as_ref().is_some_and(|key| !key.is_empty() && *key != taint.key) {
        return false;
    }
    match toleration.operator.as_deref() {
        None | Some("" | "Equal") => text(&toleration.value) == text(&taint.value),
        Some(operator) => operator == "Exists",
    }
}

/// What a rule does, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Effects {
    /// Pods that have to go, and in how many namespaces.
    pub pods: usize,
    pub namespaces: usize,
    /// Devices that are published, and that claims were given.
    pub published: usize,
    pub allocated: usize,
    /// Pods that went for it since this program started.
    pub evicted: u64,
}

/// Counts what a rule does; of one without effect, what it would do alone.
pub fn effects(
    mut observed: Observed,
    pods: &[Arc<PodView>],
    rule: &DeviceTaintRule,
    evicted: u64,
) -> Effects {
    let mut effects = Effects { evicted, ..Effects::default() };
    match rule.spec.taint.effect.as_str() {
        NO_EXECUTE => {}
        "None" => {
            let mut effective = rule.clone();
            effective.spec.taint.effect = NO_EXECUTE.into();
            observed.rules = vec![Arc::new(Whole(effective))];
            (effects.published, effects.allocated) = selected(&observed, rule);
        }
        _ => return effects,
    }
    let uid = rule.metadata.uid.as_deref().unwrap_or_default();
    let goes = |pod: &&Arc<PodView>| {
        !pod.terminating
            && observed.of_pod(pod).is_some_and(|eviction| eviction.rules().any(|(_, of)| of == uid))
    };
    let going: Vec<_> = pods.iter().filter(goes).collect();
    effects.pods = going.len();
    effects.namespaces = going.iter().map(|pod| &pod.namespace).collect::<BTreeSet<_>>().len();
    effects
}

/// How many published devices a rule is about, and how many that claims have.
fn selected(observed: &Observed, rule: &DeviceTaintRule) -> (usize, usize) {
    let pools: BTreeSet<_> =
        observed.slices.iter().map(|slice| (&slice.spec.driver, &slice.spec.pool.name)).collect();
    let published = pools.into_iter().flat_map(|(driver, pool)| {
        let devices = observed.current(driver, pool).flat_map(|slice| slice.spec.devices.iter().flatten());
        devices.map(move |device| Place { driver, pool, device: &device.name })
    });
    let allocated = observed.claims.values().flat_map(|claim| devices(&claim.0)).map(Place::of);
    let is_selected = |place: &Place<'_>| selects(rule, *place);
    (published.filter(is_selected).count(), allocated.filter(is_selected).count())
}

/// What to do about a rule's condition.
#[derive(Debug, PartialEq)]
pub enum Told {
    /// It says so already.
    Nothing,
    /// It was told a moment ago.
    Again(Duration),
    Condition(Box<Condition>),
}

fn known(rule: &DeviceTaintRule) -> Option<&Condition> {
    let conditions = rule.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == IN_PROGRESS)
}

/// How long until a rule may be told anew.
pub fn pause(rule: &DeviceTaintRule, now: Timestamp) -> Option<Duration> {
    let known = known(rule).filter(|known| known.observed_generation == rule.metadata.generation)?;
    let passed = Duration::try_from(now.duration_since(known.last_transition_time.0)).unwrap_or_default();
    STATUS_PAUSE.checked_sub(passed).filter(|left| !left.is_zero())
}

/// What a rule says of its effects.
pub fn tell(rule: &DeviceTaintRule, effects: &Effects, now: Timestamp) -> Told {
    if let Some(left) = pause(rule, now) {
        return Told::Again(left);
    }
    let (progresses, reason, message) = words(&rule.spec.taint.effect, effects);
    let condition = Condition {
        type_: IN_PROGRESS.into(),
        status: if progresses { "True" } else { "False" }.into(),
        reason: reason.into(),
        message,
        observed_generation: rule.metadata.generation,
        last_transition_time: Time(now),
    };
    let same = known(rule).is_some_and(|known| {
        Condition { last_transition_time: known.last_transition_time.clone(), ..condition.clone() } == *known
    });
    if same { Told::Nothing } else { Told::Condition(Box::new(condition)) }
}

fn words(effect: &str, effects: &Effects) -> (bool, &'static str, String) {
    let Effects { pods, namespaces, published, allocated, evicted } = *effects;
    let many = |count: usize, one: &str, more: &str| match count {
        1 => format!("1 {one}"),
        count => format!("{count} {more}"),
    };
    let spaces = many(namespaces, "namespace", "different namespaces");
    let (progresses, reason, mut message) = match effect {
        NO_EXECUTE if pods > 0 => {
            let going = many(pods, "pod needs", "pods need");
            (true, "PodsPendingEviction", format!("{going} to be evicted in {spaces}."))
        }
        NO_EXECUTE if evicted > 0 => (false, "Completed", String::new()),
        NO_EXECUTE => (false, "NotStarted", String::new()),
        "None" => {
            let message = format!(
                "{} selected. {} selected. {} would be evicted in {spaces} if the effect was NoExecute. This \
                 information will not be updated again. Recreate the DeviceTaintRule to trigger an update.",
                many(published, "published device", "published devices"),
                many(allocated, "allocated device", "allocated devices"),
                many(pods, "pod", "pods")
            );
            (false, "NoEffect", message)
        }
        _ => (false, "OtherEffect", "Eviction only happens for the NoExecute effect.".into()),
    };
    if evicted > 0 {
        let space = if message.is_empty() { "" } else { " " };
        let pods = many(usize::try_from(evicted).unwrap_or(usize::MAX), "pod", "pods");
        // Writing to a text cannot fail.
        let _ = write!(message, "{space}{pods} evicted since starting the controller.");
    }
    (progresses, reason, message)
}
