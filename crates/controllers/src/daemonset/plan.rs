//! What a DaemonSet needs next. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, RollingUpdateDaemonSet};

use super::history::HASH;
use super::placement::{Fit, fit};
use crate::nodes::NodeView;
use crate::percent::scaled;
use crate::pods::{Phase, PodView};

/// Creations of one reconcile at most (`daemon.BurstReplicas`).
const BURST: usize = 250;

/// What was seen of a set.
pub struct Observed<'a> {
    pub set: &'a DaemonSet,
    pub nodes: Vec<Arc<NodeView>>,
    /// The pods it owns.
    pub pods: Vec<Arc<PodView>>,
    /// The hash of the current template.
    pub hash: &'a str,
    /// For how long yet the failed pod of each node is not replaced.
    pub backoff: &'a BTreeMap<String, Duration>,
    pub expectations_met: bool,
    pub now: Timestamp,
}

#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// Names of nodes that get a pod.
    pub create: Vec<String>,
    pub delete: Vec<Arc<PodView>>,
    /// Of those, pods that ended by themselves.
    pub ended: Vec<Arc<PodView>>,
    pub again: Option<Duration>,
}

/// The pods of each node: by binding, or by aim.
pub fn by_node(pods: &[Arc<PodView>]) -> BTreeMap<&str, Vec<Arc<PodView>>> {
    let mut nodes: BTreeMap<&str, Vec<Arc<PodView>>> = BTreeMap::new();
    for pod in pods {
        let node = if pod.node.is_empty() { &pod.aims_at } else { &pod.node };
        nodes.entry(node.as_str()).or_default().push(pod.clone());
    }
    for pods in nodes.values_mut() {
        pods.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
    }
    nodes
}

pub fn plan(observed: &Observed<'_>) -> Plan {
    let mut plan = Plan { again: next_available(observed), ..Plan::default() };
    if !observed.expectations_met || observed.set.metadata.deletion_timestamp.is_some() {
        return plan;
    }
    let on = by_node(&observed.pods);
    let nodes: Vec<(Fit, &NodeView, &[Arc<PodView>])> = observed
        .nodes
        .iter()
        .map(|node| {
            let pods = on.get(node.name.as_str()).map(Vec::as_slice).unwrap_or_default();
            (fit(observed.set, node), node.as_ref(), pods)
        })
        .collect();
    for (fit, node, pods) in &nodes {
        place(observed, *fit, node, pods, &mut plan);
    }
    // Pods for nodes that are gone and that no scheduler will bind.
    for (node, pods) in &on {
        if !observed.nodes.iter().any(|known| known.name == *node) {
            plan.delete.extend(pods.iter().filter(|pod| pod.node.is_empty() && !pod.terminating).cloned());
        }
    }
    // One thing after the other: an update begins when every node has its pod.
    let strategy = observed.set.spec.update_strategy.as_ref();
    let rolling = strategy.is_none_or(|strategy| strategy.type_.as_deref() != Some("OnDelete"));
    if rolling && plan.create.is_empty() && plan.delete.is_empty() {
        update(observed, &nodes, &mut plan);
    }
    plan.create.truncate(BURST);
    plan.delete.truncate(BURST);
    plan
}

fn min_ready(set: &DaemonSet) -> i32 {
    set.spec.min_ready_seconds.unwrap_or(0)
}

fn is_new(observed: &Observed<'_>, pod: &PodView) -> bool {
    pod.labels.get(HASH).is_some_and(|hash| hash == observed.hash)
}

fn available(observed: &Observed<'_>, pod: &PodView) -> bool {
    pod.is_available(min_ready(observed.set), observed.now)
}

fn next_available(observed: &Observed<'_>) -> Option<Duration> {
    let times = observed.pods.iter().filter_map(|pod| pod.available_at(min_ready(observed.set)));
    let next = times.filter(|at| *at > observed.now).min()?;
    Duration::try_from(next.duration_since(observed.now)).ok()
}

fn limits(observed: &Observed<'_>) -> (i32, i32) {
    let wanted = observed.nodes.iter().filter(|node| fit(observed.set, node).run).count() as i32;
    let strategy = observed.set.spec.update_strategy.as_ref();
    let rolling = strategy
        .and_then(|strategy| strategy.rolling_update.clone())
        .unwrap_or(RollingUpdateDaemonSet { max_surge: None, max_unavailable: None });
    let surge = scaled(rolling.max_surge.as_ref(), wanted, true);
    let unavailable = match &rolling.max_unavailable {
        None if surge == 0 => 1,
        other => scaled(other.as_ref(), wanted, true),
    };
    (surge, if surge == 0 { unavailable.max(1) } else { unavailable })
}

/// What one node needs so that exactly one pod runs where it should.
fn place(observed: &Observed<'_>, fit: Fit, node: &NodeView, pods: &[Arc<PodView>], plan: &mut Plan) {
    if !fit.stay {
        plan.delete.extend(pods.iter().filter(|pod| !pod.terminating).cloned());
        return;
    }
    if pods.is_empty() {
        if fit.run {
            plan.create.push(node.name.clone());
        }
        return;
    }
    let mut running = Vec::new();
    for pod in pods.iter().filter(|pod| !pod.terminating) {
        match pod.phase {
            Phase::Failed | Phase::Succeeded => {
                match observed.backoff.get(&node.name).filter(|_| pod.phase == Phase::Failed) {
                    Some(left) if !left.is_zero() => {
                        plan.again = Some(plan.again.map_or(*left, |again| again.min(*left)));
                    }
                    _ => {
                        plan.ended.push(pod.clone());
                        plan.delete.push(pod.clone());
                    }
                }
            }
            _ => running.push(pod.clone()),
        }
    }
    let (surge, _) = limits(observed);
    if surge == 0 {
        plan.delete.extend(running.into_iter().skip(1));
        return;
    }
    // One of the old template and one of the new may run side by side.
    let (mut new, mut old): (Vec<_>, Vec<_>) = running.into_iter().partition(|pod| is_new(observed, pod));
    plan.delete.extend(new.drain(1.min(new.len())..));
    plan.delete.extend(old.drain(1.min(old.len())..));
    if let (Some(new), Some(old)) = (new.first(), old.first())
        && (!old.ready || available(observed, new))
    {
        plan.delete.push(old.clone());
    }
}

/// Replaces pods of old templates, as fast as the limits allow
/// (`daemon.rollingUpdate`).
fn update(observed: &Observed<'_>, nodes: &[(Fit, &NodeView, &[Arc<PodView>])], plan: &mut Plan) {
    let (max_surge, max_unavailable) = limits(observed);
    let (mut surging, mut unavailable) = (0, 0);
    let (mut sure, mut candidates) = (Vec::new(), Vec::new());
    for (_, node, pods) in nodes.iter().filter(|(fit, _, _)| fit.run) {
        let living = || pods.iter().filter(|pod| !pod.terminating);
        let new = living().find(|pod| is_new(observed, pod));
        let old = living().find(|pod| !is_new(observed, pod));
        match (new, old) {
            (Some(new), _) if max_surge == 0 => {
                unavailable += i32::from(!available(observed, new));
            }
            (Some(new), Some(_)) => surging += i32::from(!available(observed, new)),
            (Some(_), None) => {}
            (None, Some(old)) if !available(observed, old) => sure.push((*node, old)),
            (None, Some(old)) => candidates.push((*node, old)),
            // The next look creates it.
            (None, None) => unavailable += 1,
        }
    }
    let left = match max_surge {
        0 => max_unavailable - unavailable,
        surge => surge - surging,
    };
    let left = usize::try_from(left).unwrap_or(0);
    let chosen = sure.into_iter().chain(candidates.into_iter().take(left));
    for (node, old) in chosen {
        match max_surge {
            0 => plan.delete.push(old.clone()),
            _ => plan.create.push(node.name.clone()),
        }
    }
}
