//! DefaultPreemption (PostFilter): makes room for a pod by evicting pods of
//! lower priority from one node, as few and as unimportant as will do, and
//! rather not against a PodDisruptionBudget.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::cluster::{Cluster, NodeIndex};
use crate::diagnosis::histogram;
use crate::framework::{Framework, Plugin, PostFilter, PostFiltered, Reason};
use crate::pod_info::SharedPod;
use crate::schedule::fits;
use crate::{FitError, PodInfo};

/// So many nodes (or a tenth of all, if more) on which eviction would do are
/// enough to choose among.
const CANDIDATES: usize = 100;

const NOT_HELPFUL: &str = "Preemption is not helpful for scheduling";
const NO_VICTIMS: &str = "No preemption victims found for incoming pod";

pub struct DefaultPreemption;

impl Plugin for DefaultPreemption {
    fn name(&self) -> &'static str {
        "DefaultPreemption"
    }

    fn as_post_filter(&self) -> Option<&dyn PostFilter> {
        Some(self)
    }
}

impl PostFilter for DefaultPreemption {
    fn post_filter(
        &self,
        framework: &Framework,
        cluster: &mut Cluster,
        pod: &PodInfo,
        error: &FitError,
        offset: u64,
    ) -> PostFiltered {
        if let Some(reason) = not_eligible(cluster, pod, error) {
            return PostFiltered { message: format!("preemption: {reason}"), ..PostFiltered::default() };
        }
        let mut reasons = BTreeMap::<Reason, usize>::new();
        let hopeless = error.nodes - error.resolvable.len();
        if hopeless > 0 {
            reasons.insert(Reason::Borrowed(NOT_HELPFUL), hopeless);
        }
        let mut candidates = Vec::new();
        let enough = (error.nodes / 10).max(CANDIDATES);
        let count = error.resolvable.len();
        let first = offset.checked_rem(count as u64).unwrap_or(0) as usize;
        for at in 0..count {
            let node = error.resolvable[(first + at) % count];
            match victims_on(framework, cluster, pod, node) {
                Ok(candidate) => candidates.push(candidate),
                Err(refused) => {
                    refused.into_iter().for_each(|reason| *reasons.entry(reason).or_default() += 1);
                }
            }
            if candidates.len() >= enough {
                break;
            }
        }
        match candidates.into_iter().min_by_key(Candidate::harm) {
            Some(best) => PostFiltered {
                nominate: Some(cluster.node(best.node).name().to_owned()),
                victims: best.victims,
                message: String::new(),
            },
            None => PostFiltered {
                nominate: Some(String::new()),
                victims: Vec::new(),
                message: format!(
                    "preemption: 0/{} nodes are available: {}.",
                    error.nodes,
                    histogram(&reasons)
                ),
            },
        }
    }
}

/// Why the pod may not have others evicted now.
fn not_eligible(cluster: &Cluster, pod: &PodInfo, error: &FitError) -> Option<&'static str> {
    let wishes = pod.wishes();
    if wishes.never_preempts {
        return Some("not eligible due to preemptionPolicy=Never.");
    }
    let node = cluster.find(&wishes.nominated_node)?;
    let leaving = |other: &SharedPod| other.priority < pod.priority && other.terminating && other.preempted;
    // Where the nominated node has become hopeless, the pod looks for another.
    let hopeful = error.resolvable.contains(&node);
    (hopeful && cluster.node(node).pods.iter().any(leaving))
        .then_some("not eligible due to a terminating pod on the nominated node.")
}

/// A node on which evicting `victims` makes room.
struct Candidate {
    node: NodeIndex,
    /// The most important first.
    victims: Vec<SharedPod>,
    /// Of these, how many against a budget.
    against_budget: usize,
}

impl Candidate {
    /// Orders candidates: the least harm first.
    fn harm(&self) -> (usize, i32, i64, usize, Reverse<Timestamp>) {
        let most = self.victims.first().map_or(i32::MIN, |pod| pod.priority);
        // Counted from the lowest priority, so that more pods are always more harm.
        let sum = self.victims.iter().map(|pod| i64::from(pod.priority) + i64::from(i32::MAX) + 1).sum();
        let started = self.victims.iter().filter(|pod| pod.priority == most).map(|pod| start(pod)).min();
        let started = started.unwrap_or(Timestamp::MIN);
        (self.against_budget, most, sum, self.victims.len(), Reverse(started))
    }
}

fn start(pod: &PodInfo) -> Timestamp {
    // A pod that has not started is the youngest.
    pod.started.unwrap_or(Timestamp::MAX)
}

/// Finds the fewest pods of `node` that must go. The cluster is tried without
/// them and put back as it was.
fn victims_on(
    framework: &Framework,
    cluster: &mut Cluster,
    pod: &PodInfo,
    node: NodeIndex,
) -> Result<Candidate, Vec<Reason>> {
    let mut possible: Vec<SharedPod> =
        cluster.node(node).pods.iter().filter(|other| other.priority < pod.priority).cloned().collect();
    if possible.is_empty() {
        return Err(vec![Reason::Borrowed(NO_VICTIMS)]);
    }
    // The most important first, and among equals the longest running.
    possible.sort_by_key(|pod| (Reverse(pod.priority), start(pod), pod.uid.clone()));
    let assumed: Vec<bool> = possible.iter().map(|pod| cluster.is_assumed(&pod.uid)).collect();
    for other in &possible {
        cluster.remove_pod(&other.uid);
    }
    let emptied = fits(framework, cluster, pod, node);
    let mut victims = Vec::new();
    let mut against_budget = 0;
    if emptied.is_ok() {
        let (violating, harmless) = by_budget(cluster, &possible);
        for (group, violates) in [(violating, true), (harmless, false)] {
            for other in group {
                cluster.put_pod(&other);
                if fits(framework, cluster, pod, node).is_err() {
                    cluster.remove_pod(&other.uid);
                    against_budget += usize::from(violates);
                    victims.push(other);
                }
            }
        }
        victims.sort_by_key(|pod| (Reverse(pod.priority), start(pod), pod.uid.clone()));
    }
    for (other, was_assumed) in possible.iter().zip(assumed) {
        cluster.restore(other, was_assumed);
    }
    match emptied {
        Err(rejection) => Err(rejection.reasons),
        Ok(()) if victims.is_empty() => Err(vec![Reason::Borrowed(NO_VICTIMS)]),
        Ok(()) => Ok(Candidate { node, victims, against_budget }),
    }
}

/// Splits pods into those whose eviction goes against a budget and the rest.
fn by_budget(cluster: &Cluster, pods: &[SharedPod]) -> (Vec<SharedPod>, Vec<SharedPod>) {
    let mut left: Vec<_> =
        cluster.budgets().map(|budget| (Arc::clone(budget), budget.disruptions_allowed)).collect();
    pods.iter().cloned().partition(|pod| {
        let mut violates = false;
        for (budget, allowed) in &mut left {
            let selects = budget.namespace == pod.namespace
                && !budget.selector.is_everything()
                && !pod.labels.is_empty()
                && budget.selector.matches(&pod.labels)
                && !budget.disrupted.contains(&pod.name);
            if selects {
                *allowed -= 1;
                violates |= *allowed < 0;
            }
        }
        violates
    })
}

#[cfg(test)]
mod tests;
