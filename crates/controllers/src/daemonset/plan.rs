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
    match limits(observed) {
        (0, max_unavailable) => replace(observed, nodes, max_unavailable, plan),
        (max_surge, _) => surge(observed, nodes, max_surge, plan),
    }
}

/// The living pods of a node: of the current template, and of an older one.
fn new_and_old<'a>(
    observed: &Observed<'_>,
    pods: &'a [Arc<PodView>],
) -> (Option<&'a Arc<PodView>>, Option<&'a Arc<PodView>>) {
    let living = || pods.iter().filter(|pod| !pod.terminating);
    (living().find(|pod| is_new(observed, pod)), living().find(|pod| !is_new(observed, pod)))
}

/// Old pods go first; where one was, a new one comes. Those that serve nobody
/// go at once, and count as unavailable all the same.
fn replace(
    observed: &Observed<'_>,
    nodes: &[(Fit, &NodeView, &[Arc<PodView>])],
    max_unavailable: i32,
    plan: &mut Plan,
) {
    let mut unavailable = 0;
    let (mut sure, mut candidates) = (Vec::new(), Vec::new());
    // On a node that no more gets a pod, one that may stay is replaced by none.
    for (_, _, pods) in nodes.iter().filter(|(fit, _, pods)| fit.run || !pods.is_empty()) {
        match new_and_old(observed, pods) {
            // The next look brings it in order.
            (None, None) | (Some(_), Some(_)) => unavailable += 1,
            (Some(new), None) => unavailable += i32::from(!available(observed, new)),
            (None, Some(old)) if !available(observed, old) => {
                unavailable += 1;
                sure.push(old.clone());
            }
            (None, Some(old)) => candidates.push(old.clone()),
        }
    }
    let left = usize::try_from(max_unavailable - unavailable).unwrap_or(0);
    plan.delete.extend(sure.into_iter().chain(candidates.into_iter().take(left)));
}

/// New pods come beside the old ones, which go once the new ones are available.
fn surge(
    observed: &Observed<'_>,
    nodes: &[(Fit, &NodeView, &[Arc<PodView>])],
    max_surge: i32,
    plan: &mut Plan,
) {
    let (mut surging, mut serving, mut wanted) = (0, 0, 0);
    let (mut sure, mut candidates, mut leaving) = (Vec::new(), Vec::new(), Vec::new());
    for (fit, node, pods) in nodes {
        wanted += i32::from(fit.run);
        let (new, old) = new_and_old(observed, pods);
        serving += i32::from(old.or(new).is_some_and(|pod| available(observed, pod)));
        match (new, old) {
            (_, None) => {}
            (Some(new), Some(_)) if !available(observed, new) => surging += 1,
            (Some(_), Some(old)) => plan.delete.push(old.clone()),
            (None, Some(old)) => match (available(observed, old), fit.run) {
                (false, true) => sure.push(node.name.clone()),
                (false, false) => plan.delete.push(old.clone()),
                (true, true) => candidates.push(node.name.clone()),
                (true, false) => leaving.push(old.clone()),
            },
        }
    }
    // What serves where it no more belongs goes once others serve instead.
    let spare = usize::try_from(serving - wanted).unwrap_or(0);
    plan.delete.extend(leaving.into_iter().take(spare));
    let left = usize::try_from(max_surge - surging).unwrap_or(0);
    plan.create.extend(sure.into_iter().chain(candidates.into_iter().take(left)));
}
