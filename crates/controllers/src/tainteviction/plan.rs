//! Which pods a node's taints drive out, and when. Pure.

use std::time::Duration;

use api::tolerations::tolerates;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, Taint, Toleration};

/// What was seen of a node with NoExecute taints.
pub struct Observed<'a> {
    /// Its NoExecute taints, each with the time since when it is there.
    pub taints: Vec<(Taint, Timestamp)>,
    pub pods: &'a [Pod],
    pub now: Timestamp,
}

#[derive(Debug, PartialEq)]
pub struct Plan<'a> {
    /// Each with the time since when it has to go.
    pub evict: Vec<(&'a Pod, Timestamp)>,
    /// The next toleration ends then.
    pub again: Option<Duration>,
}

/// The taints that drive out.
pub fn no_execute(taints: &[Taint]) -> Vec<Taint> {
    taints.iter().filter(|taint| taint.effect == "NoExecute").cloned().collect()
}

pub fn plan<'a>(observed: &Observed<'a>) -> Plan<'a> {
    let mut plan = Plan { evict: Vec::new(), again: None };
    for pod in observed.pods {
        if pod.metadata.deletion_timestamp.is_some() || api::pod::is_terminal(pod) {
            continue;
        }
        let tolerations = pod.spec.as_ref().and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default();
        match due(&observed.taints, tolerations) {
            Due::Never => {}
            Due::Now => plan.evict.push((pod, observed.now)),
            Due::At(at) if at <= observed.now => plan.evict.push((pod, at)),
            Due::At(at) => {
                let left = Duration::try_from(at.duration_since(observed.now)).ok();
                plan.again = [plan.again, left].into_iter().flatten().min();
            }
        }
    }
    plan
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Due {
    Now,
    At(Timestamp),
    Never,
}

/// Every taint must be tolerated; of the tolerations used, the shortest counts.
fn due(taints: &[(Taint, Timestamp)], tolerations: &[Toleration]) -> Due {
    let mut shortest: Option<i64> = None;
    for (taint, _) in taints {
        let mut used = tolerations.iter().filter(|toleration| tolerates(toleration, taint)).peekable();
        if used.peek().is_none() {
            return Due::Now;
        }
        let least = used.filter_map(|toleration| toleration.toleration_seconds).min();
        shortest = [shortest, least].into_iter().flatten().min();
    }
    let since = taints.iter().map(|(_, since)| *since).min();
    match (shortest, since) {
        (Some(seconds), _) if seconds <= 0 => Due::Now,
        (Some(seconds), Some(since)) => {
            Due::At(since.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX))
        }
        _ => Due::Never,
    }
}
