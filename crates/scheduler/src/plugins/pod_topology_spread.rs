//! PodTopologySpread (PreFilter, Filter, PreScore, Score): pods that a
//! selector finds lie evenly over the domains of a topology key. Hard
//! constraints (DoNotSchedule) filter, soft ones (ScheduleAnyway) score.
//!
//! A pod without constraints has upstream's soft defaults over zones and hosts,
//! for the pods of its Services and its ReplicaSet, ReplicationController or
//! StatefulSet. The pods of the latter are told by the labels of their
//! template, which all of them have, rather than by their owner's selector.

use std::collections::BTreeMap;

use api::node::ZONE;
use api::tolerations::first_untolerated;
use apimachinery::labels::{Operator, Requirement, Selector};
use k8s_openapi::api::core::v1::TopologySpreadConstraint;

use super::node_affinity::is_wanted;
use crate::PodInfo;
use crate::cluster::{Cluster, NodeIndex, NodeInfo};
use crate::framework::{
    Change, Cycle, Filter, Hint, MAX_NODE_SCORE, Plugin, PreFilter, PreScore, Prepared, Rejection, Score,
};
use crate::selector;

const HOSTNAME: &str = "kubernetes.io/hostname";
/// Labels by which the pods of one StatefulSet differ.
const OWN_LABELS: [&str; 2] = ["statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index"];

pub struct PodTopologySpread;

impl Plugin for PodTopologySpread {
    fn name(&self) -> &'static str {
        "PodTopologySpread"
    }

    fn hint(&self, pod: &PodInfo, change: &Change) -> Hint {
        let concerns = |other: &PodInfo| {
            other.namespace == pod.namespace
                && constraints(pod, "DoNotSchedule").iter().any(|own| own.selector.matches(&other.labels))
        };
        match change {
            Change::NodeAdded(_) => Hint::Queue,
            Change::NodeChanged { .. } => Hint::queue_if(
                change.alters_node(|node| &node.labels) || change.alters_node(|node| &node.taints),
            ),
            Change::PodPlaced(other) | Change::PodLeft(other) => Hint::queue_if(concerns(other)),
            Change::PlacedPodChanged { old, new } => {
                Hint::queue_if(old.labels != new.labels && (concerns(old) || concerns(new)))
            }
            Change::NamespaceChanged | Change::ServiceChanged | Change::StorageChanged => Hint::Skip,
        }
    }

    fn as_pre_filter(&self) -> Option<&dyn PreFilter> {
        Some(self)
    }

    fn as_pre_score(&self) -> Option<&dyn PreScore> {
        Some(self)
    }
}

/// TopologySpreadConstraint, ready to count.
struct Constraint {
    key: String,
    max_skew: i64,
    min_domains: usize,
    selector: Selector,
    honors_affinity: bool,
    honors_taints: bool,
}

impl Constraint {
    fn of(constraint: &TopologySpreadConstraint, pod: &PodInfo) -> Self {
        let mut selector = selector::read(constraint.label_selector.as_ref());
        let keys = constraint.match_label_keys.iter().flatten();
        let same = keys.filter_map(|key| {
            Requirement::new(key, Operator::Equals, vec![pod.labels.get(key)?.clone()]).ok()
        });
        let more: Vec<_> = same.collect();
        if !more.is_empty() && !selector.is_nothing() {
            selector = Selector::of(selector.requirements().iter().cloned().chain(more).collect());
        }
        Self {
            key: constraint.topology_key.clone(),
            max_skew: i64::from(constraint.max_skew),
            min_domains: usize::try_from(constraint.min_domains.unwrap_or(1)).unwrap_or(1),
            selector,
            honors_affinity: constraint.node_affinity_policy.as_deref() != Some("Ignore"),
            honors_taints: constraint.node_taints_policy.as_deref() == Some("Honor"),
        }
    }

    /// Whether pods on this node count.
    fn counts_on(&self, pod: &PodInfo, node: &NodeInfo) -> bool {
        let wishes = pod.wishes();
        let tolerated = || {
            first_untolerated(&node.facts.taints, &wishes.tolerations, &["NoSchedule", "NoExecute"]).is_none()
        };
        (!self.honors_affinity || is_wanted(wishes, &node.facts)) && (!self.honors_taints || tolerated())
    }

    /// The pods on the node that the selector finds.
    fn found_on(&self, pod: &PodInfo, node: &NodeInfo) -> i64 {
        let found = node.pods.iter().filter(|other| {
            !other.terminating && other.namespace == pod.namespace && self.selector.matches(&other.labels)
        });
        found.count() as i64
    }
}

fn constraints(pod: &PodInfo, when: &str) -> Vec<Constraint> {
    let own = pod.wishes().spread.iter().filter(|constraint| constraint.when_unsatisfiable == when);
    own.map(|constraint| Constraint::of(constraint, pod)).collect()
}

/// Whether the node has a value for every key.
fn has_all(node: &NodeInfo, constraints: &[Constraint]) -> bool {
    constraints.iter().all(|constraint| node.labels().contains_key(&constraint.key))
}

impl PreFilter for PodTopologySpread {
    fn pre_filter<'c>(&'c self, cycle: Cycle<'c>) -> Prepared<'c> {
        let Cycle { pod, cluster } = cycle;
        let constraints = constraints(pod, "DoNotSchedule");
        if constraints.is_empty() {
            return Prepared::Skip;
        }
        let mut counts = vec![BTreeMap::<&str, i64>::new(); constraints.len()];
        for (_, node) in cluster.nodes().filter(|(_, node)| has_all(node, &constraints)) {
            for (constraint, counts) in constraints.iter().zip(&mut counts) {
                if constraint.counts_on(pod, node) {
                    let value = node.labels()[&constraint.key].as_str();
                    *counts.entry(value).or_default() += constraint.found_on(pod, node);
                }
            }
        }
        let hard = constraints.into_iter().zip(counts).map(|(constraint, counts)| {
            let enough = counts.len() >= constraint.min_domains;
            let least = if enough { counts.values().copied().min().unwrap_or(0) } else { 0 };
            let own = i64::from(constraint.selector.matches(&pod.labels));
            Hard { room: constraint.max_skew + least - own, key: constraint.key, counts }
        });
        Prepared::Filter(Box::new(Even(hard.collect())))
    }
}

/// A hard constraint with what was counted.
struct Hard<'c> {
    key: String,
    /// A domain with more pods than that takes no further one.
    room: i64,
    counts: BTreeMap<&'c str, i64>,
}

struct Even<'c>(Vec<Hard<'c>>);

impl Filter for Even<'_> {
    fn filter(&self, node: &NodeInfo) -> Result<(), Rejection> {
        for hard in &self.0 {
            let Some(value) = node.labels().get(&hard.key) else {
                return Err(Rejection::unresolvable(
                    "node(s) didn't match pod topology spread constraints (missing required label)",
                ));
            };
            if hard.counts.get(value.as_str()).copied().unwrap_or(0) > hard.room {
                return Err(Rejection::resolvable("node(s) didn't match pod topology spread constraints"));
            }
        }
        Ok(())
    }
}

impl PreScore for PodTopologySpread {
    fn pre_score<'c>(&'c self, cycle: Cycle<'c>, feasible: &[NodeIndex]) -> Option<Box<dyn Score + 'c>> {
        let Cycle { pod, cluster } = cycle;
        let own = constraints(pod, "ScheduleAnyway");
        // Defaults need not apply to every node: one may lie in no zone.
        let (constraints, all_keys) = match pod.wishes().spread.is_empty() {
            true => (defaults(pod, cluster), false),
            false => (own, true),
        };
        if constraints.is_empty() {
            return None;
        }
        let counted = |node: &NodeInfo| !all_keys || has_all(node, &constraints);
        let soft: Vec<Soft<'c>> =
            constraints.iter().map(|constraint| soft(constraint, cycle, feasible, &counted)).collect();
        Some(Box::new(Spread { pod, constraints, soft, all_keys }))
    }
}

/// Counts what a soft constraint finds in the domains of the nodes that fit.
fn soft<'c>(
    constraint: &Constraint,
    cycle: Cycle<'c>,
    feasible: &[NodeIndex],
    counted: &impl Fn(&NodeInfo) -> bool,
) -> Soft<'c> {
    let Cycle { pod, cluster } = cycle;
    let fitting = feasible.iter().map(|index| cluster.node(*index)).filter(|node| counted(node));
    if constraint.key == HOSTNAME {
        // Each node is a domain, counted when it is scored.
        return Soft { weight: weight(fitting.count()), counts: BTreeMap::new() };
    }
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    for node in fitting {
        if let Some(value) = node.labels().get(&constraint.key) {
            counts.entry(value).or_default();
        }
    }
    for (_, node) in cluster.nodes().filter(|(_, node)| counted(node) && constraint.counts_on(pod, node)) {
        let count = node.labels().get(&constraint.key).and_then(|value| counts.get_mut(value.as_str()));
        if let Some(count) = count {
            *count += constraint.found_on(pod, node);
        }
    }
    Soft { weight: weight(counts.len()), counts }
}

/// The fewer domains, the less a pod more in one of them says.
fn weight(domains: usize) -> f64 {
    (domains as f64 + 2.0).ln()
}

struct Soft<'c> {
    weight: f64,
    counts: BTreeMap<&'c str, i64>,
}

/// Upstream's `systemDefaultConstraints`, where something tells which pods
/// belong together.
fn defaults(pod: &PodInfo, cluster: &Cluster) -> Vec<Constraint> {
    let mut requirements: Vec<Requirement> =
        cluster.services_of(pod).flat_map(|selector| selector.requirements().iter().cloned()).collect();
    let kinds = ["ReplicaSet", "ReplicationController", "StatefulSet"];
    let controller = pod.wishes().controller.as_ref();
    if controller.is_some_and(|owner| kinds.contains(&owner.kind.as_str())) {
        let shared = pod.labels.iter().filter(|(key, _)| !OWN_LABELS.contains(&key.as_str()));
        let labels = Selector::of_labels(shared.map(|(key, value)| (key.as_str(), value.as_str())));
        requirements.extend(labels.requirements().iter().cloned());
    }
    if requirements.is_empty() {
        return Vec::new();
    }
    let selector = Selector::of(requirements);
    let constraint = |key: &str, max_skew| Constraint {
        key: key.to_owned(),
        max_skew,
        min_domains: 1,
        selector: selector.clone(),
        honors_affinity: true,
        honors_taints: false,
    };
    vec![constraint(HOSTNAME, 3), constraint(ZONE, 5)]
}

struct Spread<'c> {
    pod: &'c PodInfo,
    constraints: Vec<Constraint>,
    soft: Vec<Soft<'c>>,
    all_keys: bool,
}

/// The score of a node that lacks a key, before scores are normalized.
const LEFT_OUT: i64 = i64::MIN;

impl Score for Spread<'_> {
    fn score(&self, node: &NodeInfo) -> i64 {
        if self.all_keys && !has_all(node, &self.constraints) {
            return LEFT_OUT;
        }
        let mut sum = 0.0;
        for (constraint, soft) in self.constraints.iter().zip(&self.soft) {
            let Some(value) = node.labels().get(&constraint.key) else { continue };
            let count = match constraint.key.as_str() {
                HOSTNAME => constraint.found_on(self.pod, node),
                _ => soft.counts.get(value.as_str()).copied().unwrap_or(0),
            };
            sum += count as f64 * soft.weight + (constraint.max_skew - 1) as f64;
        }
        sum.round() as i64
    }

    fn normalize(&self, scores: &mut [i64]) {
        let known = || scores.iter().copied().filter(|score| *score != LEFT_OUT);
        let (least, most) = (known().min().unwrap_or(0), known().max().unwrap_or(0));
        for score in scores {
            *score = match *score {
                LEFT_OUT => 0,
                _ if most == 0 => MAX_NODE_SCORE,
                // Few pods are good.
                found => MAX_NODE_SCORE * (most + least - found) / most,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{cluster, filtered, node, place, pod, scored};

    fn web(name: &str, more: Value) -> PodInfo {
        let mut web = pod(name, more);
        web.labels = [("app".to_owned(), "web".to_owned())].into();
        web
    }

    /// Nodes a and b in zone x, c in zone y, d in none, with pods
    /// (a: 2, b: 0, c: 1, d: 1).
    fn zones() -> Cluster {
        let zone =
            |name: &str, zone: &str| node(name, json!({"metadata": {"labels": {"zone": zone, ZONE: zone}}}));
        let mut cluster = cluster([zone("a", "x"), zone("b", "x"), zone("c", "y"), node("d", json!({}))]);
        for (name, node) in [("w1", "a"), ("w2", "a"), ("w3", "c"), ("w4", "d")] {
            place(&mut cluster, &web(name, json!({})), node);
        }
        cluster
    }

    fn spread(when: &str, key: &str, max_skew: i32, more: Value) -> PodInfo {
        let mut constraint = json!({
            "maxSkew": max_skew, "topologyKey": key, "whenUnsatisfiable": when,
            "labelSelector": {"matchLabels": {"app": "web"}}
        });
        constraint.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        web("p", json!({"spec": {"topologySpreadConstraints": [constraint]}}))
    }

    #[test]
    fn domains_stay_even() {
        let no = "node(s) didn't match pod topology spread constraints";
        let missing = "!node(s) didn't match pod topology spread constraints (missing required label)";
        let hard = |key, max_skew, more| spread("DoNotSchedule", key, max_skew, more);
        for (pod, expected) in [
            (pod("p", json!({})), ["ok"; 4]),
            (hard("zone", 1, json!({})), [no, no, "ok", missing]),
            (hard("zone", 2, json!({})), ["ok", "ok", "ok", missing]),
            (hard(HOSTNAME, 1, json!({})), [no, "ok", no, no]),
            // Fewer domains than wanted: the least is none at all.
            (hard("zone", 2, json!({"minDomains": 3})), [no, no, "ok", missing]),
            // Another generation of pods does not count.
            (hard("zone", 1, json!({"matchLabelKeys": ["hash"]})), [no, no, "ok", missing]),
        ] {
            assert_eq!(filtered(&PodTopologySpread, &zones(), &pod), expected, "{:?}", pod.wishes().spread);
        }
        let mut next = hard("zone", 1, json!({"matchLabelKeys": ["hash"]}));
        next.labels.insert("hash".into(), "2".into());
        assert_eq!(filtered(&PodTopologySpread, &zones(), &next), ["ok", "ok", "ok", missing]);
    }

    #[test]
    fn nodes_that_the_pod_cannot_use_do_not_count() {
        let mut selective = spread("DoNotSchedule", HOSTNAME, 1, json!({}));
        let wishes = selective.wishes.as_mut().unwrap();
        wishes.node_selector = [("zone".to_owned(), "y".to_owned())].into();
        // Only c counts, which has one: one more is even.
        assert_eq!(filtered(&PodTopologySpread, &zones(), &selective)[2], "ok");
    }

    #[test]
    fn emptier_domains_are_better() {
        let soft = |key| spread("ScheduleAnyway", key, 1, json!({}));
        // Hosts: 2, 0, 1, 1 pods by ln 6; zones x: 2, y: 1 by ln 4.
        assert_eq!(scored(&PodTopologySpread, &zones(), &soft(HOSTNAME)), [0, 100, 50, 50]);
        assert_eq!(scored(&PodTopologySpread, &zones(), &soft("zone")), [33, 33, 100, 0]);
    }

    #[test]
    fn defaults_spread_the_pods_of_a_set() {
        let owned = |kind: &str| {
            let owner =
                json!({"apiVersion": "apps/v1", "kind": kind, "name": "o", "uid": "o", "controller": true});
            web("p", json!({"metadata": {"ownerReferences": [owner]}}))
        };
        let scores = scored(&PodTopologySpread, &zones(), &owned("ReplicaSet"));
        assert!(scores[1] > scores[0] && scores[2] > scores[0], "{scores:?}");
        assert_eq!(scored(&PodTopologySpread, &zones(), &owned("Job")), Vec::<i64>::new());
        let mut served = zones();
        served.put_service("default", "web", Some(Selector::of_labels([("app", "web")])));
        assert_eq!(scored(&PodTopologySpread, &served, &web("p", json!({}))), scores);
    }
}
