//! What a range of addresses needs. Pure.

use std::net::IpAddr;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::networking::v1::ServiceCIDR;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

pub const FINALIZER: &str = "networking.k8s.io/service-cidr-finalizer";
/// Until everybody who allocates has heard that a range goes.
const GRACE: SignedDuration = SignedDuration::from_secs(10);

#[derive(Debug, PartialEq)]
pub enum Action {
    Nothing,
    /// Sets the finalizer.
    Protect,
    /// Sets the condition `Ready`.
    Tell(Box<Condition>),
    Again(Duration),
    /// Takes the finalizer away.
    Free,
}

/// An address and how many of its leading bits count.
#[derive(Clone, Copy, PartialEq)]
struct Range(IpAddr, u32);

impl Range {
    fn read(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        Some(Self(address.parse().ok()?, bits.parse().ok()?))
    }

    /// The address's bits, at the top of 128, and their number.
    fn bits(address: IpAddr) -> (u128, u32) {
        match address {
            IpAddr::V4(four) => (u128::from(u32::from(four)) << 96, 32),
            IpAddr::V6(six) => (u128::from(six), 128),
        }
    }

    fn contains(self, other: Self) -> bool {
        let ((mine, width), (others, its_width)) = (Self::bits(self.0), Self::bits(other.0));
        let mask = u128::MAX.checked_shl(128 - self.1).unwrap_or(0);
        width == its_width && self.1 <= other.1 && mine & mask == others & mask
    }

    fn of(address: IpAddr) -> Self {
        Self(address, Self::bits(address).1)
    }
}

fn ranges(of: &ServiceCIDR) -> Vec<Range> {
    let texts = of.spec.iter().flat_map(|spec| spec.cidrs.iter().flatten());
    texts.filter_map(|text| Range::read(text)).collect()
}

/// The names of what contains `inner`, without those that go.
fn containing<'a>(all: &[&'a ServiceCIDR], inner: Range) -> Vec<&'a ServiceCIDR> {
    let holds = |one: &&&ServiceCIDR| ranges(one).iter().any(|range| range.contains(inner));
    all.iter().filter(holds).copied().collect()
}

/// Whether every address in use would still have a range.
fn may_go(range: &ServiceCIDR, all: &[&ServiceCIDR], addresses: &[IpAddr]) -> bool {
    let is_alone = |found: Vec<&ServiceCIDR>| match found.as_slice() {
        [] => true,
        [only] => only.metadata.name == range.metadata.name,
        _ => false,
    };
    let own = ranges(range);
    if own.iter().all(|inner| !is_alone(containing(all, *inner))) {
        return true;
    }
    addresses.iter().all(|address| {
        let found = containing(all, Range::of(*address));
        !matches!(found.as_slice(), [only] if only.metadata.name == range.metadata.name)
    })
}

fn ready(status: &str, reason: &str, message: &str, now: Timestamp) -> Condition {
    Condition {
        type_: "Ready".into(),
        status: status.into(),
        reason: reason.into(),
        message: message.into(),
        last_transition_time: Time(now),
        observed_generation: None,
    }
}

fn tell(range: &ServiceCIDR, condition: Condition) -> Option<Action> {
    let mut conditions = range.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let same = conditions.any(|one| {
        (&one.type_, &one.status, &one.reason, &one.message)
            == (&condition.type_, &condition.status, &condition.reason, &condition.message)
    });
    (!same).then(|| Action::Tell(Box::new(condition)))
}

/// `addresses` are those in use.
pub fn plan(range: &ServiceCIDR, all: &[&ServiceCIDR], addresses: &[IpAddr], now: Timestamp) -> Action {
    let protected = range.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER);
    let Some(deleted) = &range.metadata.deletion_timestamp else {
        if !protected {
            return Action::Protect;
        }
        let condition = ready("True", "", "Kubernetes Service CIDR is ready", now);
        return tell(range, condition).unwrap_or(Action::Nothing);
    };
    if !protected {
        return Action::Nothing;
    }
    if !may_go(range, all, addresses) {
        let message = "There are still IPAddresses referencing the ServiceCIDR, please remove them or create \
                       a new ServiceCIDR";
        return tell(range, ready("False", "Terminating", message, now)).unwrap_or(Action::Nothing);
    }
    match Duration::try_from((deleted.0 + GRACE).duration_since(now)) {
        Ok(left) if !left.is_zero() => Action::Again(left),
        _ => Action::Free,
    }
}
