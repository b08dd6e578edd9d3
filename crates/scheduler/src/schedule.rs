//! The decision: which node a pod is to run on.
//!
//! A pure function of cluster, pod and [`Choice`]. Indexes first take out the
//! nodes that surely do not fit; the rest is filtered only until enough nodes
//! fit (kube-scheduler's percentageOfNodesToScore). Only when none fits are
//! all nodes asked, for the reasons.

use crate::cluster::{Cluster, NodeIndex, NodeInfo, NodeSet};
use crate::framework::{Cycle, Filter, Framework, PreScore, Prepared, Rejection};
use crate::{FitError, PodInfo};

/// What chance decides, drawn outside.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choice {
    /// The node to begin with: the one after the last that the decision
    /// before looked at.
    pub start: NodeIndex,
    /// Chooses among nodes that are equally good.
    pub tie: u64,
}

/// Where a pod is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub node: String,
    /// Where the next decision begins.
    pub next: NodeIndex,
    /// How many nodes were filtered.
    pub evaluated: usize,
    /// How many of them fit.
    pub feasible: usize,
}

/// Chooses a node for `pod`.
pub fn schedule(
    framework: &Framework,
    cluster: &Cluster,
    pod: &PodInfo,
    choice: Choice,
) -> Result<Decision, Box<FitError>> {
    let mut error = Box::new(FitError { nodes: cluster.len(), ..FitError::default() });
    if cluster.is_empty() {
        return Err(error);
    }
    let cycle = Cycle { pod, cluster };
    let filters = match Filters::prepare(framework, cycle) {
        Ok(filters) => filters,
        Err((plugin, rejection)) => {
            error.plugins.insert(plugin);
            error.pre_filter = Some(rejection.reasons.join(", "));
            if rejection.resolvable {
                error.resolvable = cluster.all().iter().collect();
            }
            return Err(error);
        }
    };
    // Room was made for the pod there: no other node is looked at while it fits.
    let nominated = cluster.find(&pod.wishes().nominated_node);
    if let Some(node) = nominated.filter(|node| filters.allow(cycle, *node)) {
        let node = cluster.node(node).name().to_owned();
        return Ok(Decision { node, next: choice.start, evaluated: 1, feasible: 1 });
    }
    let mut found = filters.search(cycle, choice.start);
    if found.feasible.is_empty() {
        filters.diagnose(cycle, &mut error);
        return Err(error);
    }
    let best = match found.feasible.as_slice() {
        [only] => *only,
        feasible => best_of(framework, cycle, feasible, choice.tie),
    };
    found.next.0 %= cluster.span().max(1);
    Ok(Decision {
        node: cluster.node(best).name().to_owned(),
        next: found.next,
        evaluated: found.evaluated,
        feasible: found.feasible.len(),
    })
}

/// Whether `pod` would fit on `node` as it is now (for preemption).
pub(crate) fn fits(
    framework: &Framework,
    cluster: &Cluster,
    pod: &PodInfo,
    node: NodeIndex,
) -> Result<(), Rejection> {
    let cycle = Cycle { pod, cluster };
    let filters = Filters::prepare(framework, cycle).map_err(|(_, rejection)| rejection)?;
    filters.run(cycle, node).map_err(|(_, rejection)| rejection)
}

/// How many nodes that fit are enough, of `nodes` in all.
pub(crate) fn enough(nodes: usize) -> usize {
    const LEAST: usize = 100;
    if nodes < LEAST {
        return nodes;
    }
    let percentage = 50usize.saturating_sub(nodes / 125).max(5);
    (nodes * percentage / 100).max(LEAST)
}

/// The filters of one cycle.
struct Filters<'c> {
    run: Vec<(&'static str, Box<dyn Filter + 'c>)>,
    /// The nodes that every PreFilter leaves, and the plugins that left few.
    only: Option<NodeSet>,
    restricting: Vec<&'static str>,
}

struct Found {
    feasible: Vec<NodeIndex>,
    evaluated: usize,
    next: NodeIndex,
}

impl<'c> Filters<'c> {
    fn prepare(framework: &'c Framework, cycle: Cycle<'c>) -> Result<Self, (&'static str, Rejection)> {
        let mut filters = Filters { run: Vec::with_capacity(8), only: None, restricting: Vec::new() };
        for plugin in framework.plugins() {
            let Some(pre_filter) = plugin.as_pre_filter() else { continue };
            match pre_filter.pre_filter(cycle) {
                Prepared::Skip => {}
                Prepared::Filter(filter) => filters.run.push((plugin.name(), filter)),
                Prepared::Only(nodes, filter) => {
                    let mut only: NodeSet = nodes.into_iter().collect();
                    if let Some(others) = &filters.only {
                        only.retain_common(others);
                    }
                    filters.only = Some(only);
                    filters.restricting.push(plugin.name());
                    filters.run.push((plugin.name(), filter));
                }
                Prepared::Reject(rejection) => return Err((plugin.name(), rejection)),
            }
        }
        Ok(filters)
    }

    fn search(&self, cycle: Cycle<'_>, start: NodeIndex) -> Found {
        let mut candidates = self.only.clone().unwrap_or_else(|| cycle.cluster.all().clone());
        for (_, filter) in &self.run {
            filter.narrow(cycle.cluster, &mut candidates);
        }
        let enough = enough(cycle.cluster.len());
        let mut found = Found { feasible: Vec::with_capacity(enough.min(128)), evaluated: 0, next: start };
        for node in candidates.iter_from(start) {
            found.evaluated += 1;
            found.next = NodeIndex(node.0 + 1);
            if self.run(cycle, node).is_ok() {
                found.feasible.push(node);
                if found.feasible.len() == enough {
                    break;
                }
            }
        }
        found
    }

    /// Asks every node why it does not fit.
    fn diagnose(&self, cycle: Cycle<'_>, error: &mut FitError) {
        if self.only.as_ref().is_some_and(NodeSet::is_empty) {
            error.plugins.extend(&self.restricting);
        }
        for node in cycle.cluster.all().iter() {
            match &self.only {
                Some(only) if !only.contains(node) => {
                    let names = self.restricting.join(" ");
                    let reason = format!("node(s) didn't satisfy plugin(s) [{names}]");
                    for plugin in &self.restricting {
                        error.plugins.insert(plugin);
                    }
                    *error.reasons.entry(reason.into()).or_default() += 1;
                }
                _ => {
                    if let Err((plugin, rejection)) = self.run(cycle, node) {
                        error.refuse(node, plugin, rejection);
                    }
                }
            }
        }
    }

    fn allow(&self, cycle: Cycle<'_>, node: NodeIndex) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(node)) && self.run(cycle, node).is_ok()
    }

    /// Runs every filter on a node, up to the first that refuses.
    fn run(&self, cycle: Cycle<'_>, node: NodeIndex) -> Result<(), (&'static str, Rejection)> {
        let info = cycle.cluster.node(node);
        let nominated = cycle.cluster.nominated(info.name());
        let mut before = nominated
            .iter()
            .filter(|other| other.priority >= cycle.pod.priority && other.uid != cycle.pod.uid)
            .peekable();
        if before.peek().is_none() {
            return self.ask(info);
        }
        // Pods for which room was made count as there; but since they may
        // never come, the node must fit without them too.
        let mut crowded = info.clone();
        before.for_each(|pod| crowded.add(pod.clone()));
        self.ask(&crowded)?;
        self.ask(info)
    }

    fn ask(&self, info: &NodeInfo) -> Result<(), (&'static str, Rejection)> {
        self.run
            .iter()
            .try_for_each(|(plugin, filter)| filter.filter(info).map_err(|rejection| (*plugin, rejection)))
    }
}

/// The node with the best sum of weighted scores; `tie` chooses among equals.
fn best_of(framework: &Framework, cycle: Cycle<'_>, feasible: &[NodeIndex], tie: u64) -> NodeIndex {
    let mut totals = vec![0i64; feasible.len()];
    let mut scores = vec![0i64; feasible.len()];
    for (plugin, weight) in framework.weighted() {
        let Some(scorer) = plugin.as_pre_score().and_then(|pre| PreScore::pre_score(pre, cycle, feasible))
        else {
            continue;
        };
        for (score, node) in scores.iter_mut().zip(feasible) {
            *score = scorer.score(cycle.cluster.node(*node));
        }
        scorer.normalize(&mut scores);
        for (total, score) in totals.iter_mut().zip(&scores) {
            *total += weight * score;
        }
    }
    let most = totals.iter().copied().max().unwrap_or(0);
    let equals = totals.iter().filter(|total| **total == most).count() as u64;
    let chosen = tie.checked_rem(equals).unwrap_or(0) as usize;
    let mut best = feasible.iter().zip(&totals).filter(|(_, total)| **total == most).map(|(node, _)| *node);
    best.nth(chosen).unwrap_or(feasible[0])
}

#[cfg(test)]
mod tests;
