//! InterPodAffinity (PreFilter, Filter, PreScore, Score): where a pod may run
//! by the pods that run there: near those it requires, away from those it
//! shuns and from those that shun it; preferences of both sides score.

use std::collections::BTreeMap;

use crate::PodInfo;
use crate::cluster::{Cluster, NodeIndex, NodeInfo};
use crate::framework::{
    Change, Cycle, Filter, Hint, MAX_NODE_SCORE, Plugin, PreFilter, PreScore, Prepared, Rejection, Score,
};
use crate::pod_info::{AffinityTerm, PodAffinities};

/// What the required affinity of a pod that runs weighs for one that comes
/// (`hardPodAffinityWeight`).
const REQUIRED_WEIGHT: i64 = 1;

pub struct InterPodAffinity;

impl Plugin for InterPodAffinity {
    fn name(&self) -> &'static str {
        "InterPodAffinity"
    }

    fn hint(&self, pod: &PodInfo, change: &Change) -> Hint {
        let wants = |other: &PodInfo| {
            let affinity = pod.affinity.as_deref();
            affinity.is_some_and(|own| own.required.iter().any(|term| term.selector.matches(&other.labels)))
        };
        match change {
            Change::NodeAdded(_) | Change::NamespaceChanged => Hint::Queue,
            Change::NodeChanged { .. } => Hint::queue_if(change.alters_node(|node| &node.labels)),
            Change::PodPlaced(new) => Hint::queue_if(wants(new)),
            Change::PlacedPodChanged { old, new } => Hint::queue_if(old.labels != new.labels),
            // It may have been shunned, or have shunned the pod.
            Change::PodLeft(gone) => {
                let shunned = pod.affinity.as_deref().is_some_and(|own| {
                    own.required_anti.iter().any(|term| term.selector.matches(&gone.labels))
                });
                let shuns = gone.affinity.as_deref().is_some_and(|theirs| {
                    theirs.required_anti.iter().any(|term| term.selector.matches(&pod.labels))
                });
                Hint::queue_if(shunned || shuns)
            }
            Change::ServiceChanged | Change::StorageChanged => Hint::Skip,
        }
    }

    fn as_pre_filter(&self) -> Option<&dyn PreFilter> {
        Some(self)
    }

    fn as_pre_score(&self) -> Option<&dyn PreScore> {
        Some(self)
    }
}

/// Whether the term speaks of `pod`.
fn speaks_of(term: &AffinityTerm, pod: &PodInfo, cluster: &Cluster) -> bool {
    term.matches(pod, cluster.namespace_labels(&pod.namespace))
}

static NONE: PodAffinities = PodAffinities {
    required: Vec::new(),
    required_anti: Vec::new(),
    preferred: Vec::new(),
    preferred_anti: Vec::new(),
};

fn affinities(pod: &PodInfo) -> &PodAffinities {
    pod.affinity.as_deref().unwrap_or(&NONE)
}

/// What counts in each domain, by topology key and value.
#[derive(Default)]
struct Domains<'c>(BTreeMap<&'c str, BTreeMap<&'c str, i64>>);

impl<'c> Domains<'c> {
    fn add(&mut self, term: &'c AffinityTerm, node: &'c NodeInfo, amount: i64) {
        if let Some(value) = node.labels().get(&term.topology_key) {
            *self.0.entry(&term.topology_key).or_default().entry(value).or_default() += amount;
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What counts in the domains of this node.
    fn of<'d>(&'d self, node: &'d NodeInfo) -> impl Iterator<Item = i64> + 'd {
        let count = |(key, values): (&&str, &BTreeMap<&str, i64>)| {
            values.get(node.labels().get(*key)?.as_str()).copied()
        };
        self.0.iter().filter_map(count)
    }

    fn has(&self, key: &str, value: &str) -> bool {
        self.0.get(key).is_some_and(|values| values.contains_key(value))
    }
}

impl PreFilter for InterPodAffinity {
    fn pre_filter<'c>(&'c self, cycle: Cycle<'c>) -> Prepared<'c> {
        let Cycle { pod, cluster } = cycle;
        let own = affinities(pod);
        let mut state = Required {
            own,
            shunning: Domains::default(),
            near: Domains::default(),
            away: Domains::default(),
            alone: false,
        };
        for (_, node) in cluster.with_affinity().iter().map(|index| (index, cluster.node(index))) {
            for other in &node.pods {
                for term in
                    affinities(other).required_anti.iter().filter(|term| speaks_of(term, pod, cluster))
                {
                    state.shunning.add(term, node, 1);
                }
            }
        }
        if !own.required.is_empty() || !own.required_anti.is_empty() {
            for (_, node) in cluster.nodes() {
                for other in node.pods.iter().filter(|other| !other.terminating) {
                    // All of the required terms must hold for the same pod.
                    if own.required.iter().all(|term| speaks_of(term, other, cluster)) {
                        own.required.iter().for_each(|term| state.near.add(term, node, 1));
                    }
                }
                for other in &node.pods {
                    let shunned = own.required_anti.iter().filter(|term| speaks_of(term, other, cluster));
                    shunned.for_each(|term| state.away.add(term, node, 1));
                }
            }
        }
        // The first of a group that wants to be together starts the group.
        state.alone = state.near.is_empty() && own.required.iter().all(|term| speaks_of(term, pod, cluster));
        if own.required.is_empty() && state.away.is_empty() && state.shunning.is_empty() {
            return Prepared::Skip;
        }
        Prepared::Filter(Box::new(state))
    }
}

struct Required<'c> {
    own: &'c PodAffinities,
    /// Domains of pods that shun this one.
    shunning: Domains<'c>,
    /// Domains of pods that it requires.
    near: Domains<'c>,
    /// Domains of pods that it shuns.
    away: Domains<'c>,
    alone: bool,
}

impl Filter for Required<'_> {
    fn filter(&self, node: &NodeInfo) -> Result<(), Rejection> {
        let near = self.own.required.iter().all(|term| {
            let value = node.labels().get(&term.topology_key);
            value.is_some_and(|value| self.alone || self.near.has(&term.topology_key, value))
        });
        if !near {
            return Err(Rejection::unresolvable("node(s) didn't match pod affinity rules"));
        }
        if self.away.of(node).next().is_some() {
            return Err(Rejection::resolvable("node(s) didn't match pod anti-affinity rules"));
        }
        if self.shunning.of(node).next().is_some() {
            return Err(Rejection::resolvable("node(s) didn't satisfy existing pods anti-affinity rules"));
        }
        Ok(())
    }
}

impl PreScore for InterPodAffinity {
    fn pre_score<'c>(&'c self, cycle: Cycle<'c>, _: &[NodeIndex]) -> Option<Box<dyn Score + 'c>> {
        let Cycle { pod, cluster } = cycle;
        let own = affinities(pod);
        let mut points = Domains::default();
        let prefers = !own.preferred.is_empty() || !own.preferred_anti.is_empty();
        let nodes = if prefers { cluster.all() } else { cluster.with_affinity() };
        for node in nodes.iter().map(|index| cluster.node(index)) {
            for other in &node.pods {
                for (weight, term) in &own.preferred {
                    weigh(&mut points, *weight, term, other, node, cluster);
                }
                for (weight, term) in &own.preferred_anti {
                    weigh(&mut points, -weight, term, other, node, cluster);
                }
                let theirs = affinities(other);
                for term in &theirs.required {
                    weigh(&mut points, REQUIRED_WEIGHT, term, pod, node, cluster);
                }
                for (weight, term) in &theirs.preferred {
                    weigh(&mut points, *weight, term, pod, node, cluster);
                }
                for (weight, term) in &theirs.preferred_anti {
                    weigh(&mut points, -weight, term, pod, node, cluster);
                }
            }
        }
        (!points.is_empty()).then(|| Box::new(Points(points)) as Box<dyn Score>)
    }
}

fn weigh<'c>(
    points: &mut Domains<'c>,
    weight: i64,
    term: &'c AffinityTerm,
    pod: &PodInfo,
    node: &'c NodeInfo,
    cluster: &Cluster,
) {
    if speaks_of(term, pod, cluster) {
        points.add(term, node, weight);
    }
}

struct Points<'c>(Domains<'c>);

impl Score for Points<'_> {
    fn score(&self, node: &NodeInfo) -> i64 {
        self.0.of(node).sum()
    }

    fn normalize(&self, scores: &mut [i64]) {
        let least = scores.iter().copied().min().unwrap_or(0);
        let most = scores.iter().copied().max().unwrap_or(0);
        for score in scores {
            *score = if most > least { MAX_NODE_SCORE * (*score - least) / (most - least) } else { 0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{cluster, filtered, node, place, pod, scored};

    fn app(name: &str, app: &str, affinity: Value) -> PodInfo {
        pod(name, json!({"metadata": {"labels": {"app": app}}, "spec": {"affinity": affinity}}))
    }

    fn term(app: &str, key: &str) -> Value {
        json!({"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": key})
    }

    fn required(kind: &str, terms: Value) -> Value {
        json!({kind: {"requiredDuringSchedulingIgnoredDuringExecution": terms}})
    }

    /// Nodes a and b in zone x, c in zone y, d in none.
    fn zones() -> Cluster {
        let zone = |name: &str, zone: &str| node(name, json!({"metadata": {"labels": {"zone": zone}}}));
        cluster([zone("a", "x"), zone("b", "x"), zone("c", "y"), node("d", json!({}))])
    }

    #[test]
    fn required_terms_of_both_sides_hold() {
        let apart = "node(s) didn't match pod anti-affinity rules";
        let near = "!node(s) didn't match pod affinity rules";
        let shunned = "node(s) didn't satisfy existing pods anti-affinity rules";
        let mut cluster = zones();
        place(&mut cluster, &app("web", "web", Value::Null), "a");
        place(
            &mut cluster,
            &app("hermit", "hermit", required("podAntiAffinity", json!([term("noise", "zone")]))),
            "c",
        );
        for (pod, expected) in [
            (app("p", "p", Value::Null), ["ok"; 4]),
            (app("p", "p", required("podAffinity", json!([term("web", "zone")]))), ["ok", "ok", near, near]),
            (
                app("p", "p", required("podAntiAffinity", json!([term("web", "zone")]))),
                [apart, apart, "ok", "ok"],
            ),
            (
                app("p", "p", required("podAntiAffinity", json!([term("web", "kubernetes.io/hostname")]))),
                [apart, "ok", "ok", "ok"],
            ),
            (app("p", "noise", Value::Null), ["ok", "ok", shunned, "ok"]),
            // The first of a group may start it, where the topology is known.
            (
                app("p", "new", required("podAffinity", json!([term("new", "zone")]))),
                ["ok", "ok", "ok", near],
            ),
            (app("p", "new", required("podAffinity", json!([term("gone", "zone")]))), [near; 4]),
        ] {
            assert_eq!(filtered(&InterPodAffinity, &cluster, &pod), expected, "{:?}", pod.affinity);
        }
    }

    #[test]
    fn namespaces_are_their_own_unless_named() {
        let mut cluster = zones();
        cluster.put_namespace("other", Some([("team".to_owned(), "a".to_owned())].into()));
        let mut web = app("web", "web", Value::Null);
        web.namespace = "other".into();
        place(&mut cluster, &web, "a");
        let near = "!node(s) didn't match pod affinity rules";
        let with = |more: Value| {
            let mut term = term("web", "kubernetes.io/hostname");
            term.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            app("p", "p", required("podAffinity", json!([term])))
        };
        for (more, first) in [
            (json!({}), near),
            (json!({"namespaces": ["other"]}), "ok"),
            (json!({"namespaceSelector": {}}), "ok"),
            (json!({"namespaceSelector": {"matchLabels": {"team": "a"}}}), "ok"),
            (json!({"namespaceSelector": {"matchLabels": {"team": "b"}}}), near),
        ] {
            assert_eq!(
                filtered(&InterPodAffinity, &cluster, &with(more.clone())),
                [first, near, near, near],
                "{more}"
            );
        }
    }

    #[test]
    fn preferences_score_by_domain() {
        let mut cluster = zones();
        place(&mut cluster, &app("web", "web", Value::Null), "a");
        let preferred = |kind: &str, key: &str| {
            let terms = json!([{"weight": 10, "podAffinityTerm": term("web", key)}]);
            app("p", "p", json!({kind: {"preferredDuringSchedulingIgnoredDuringExecution": terms}}))
        };
        assert_eq!(scored(&InterPodAffinity, &cluster, &preferred("podAffinity", "zone")), [100, 100, 0, 0]);
        assert_eq!(
            scored(&InterPodAffinity, &cluster, &preferred("podAntiAffinity", "kubernetes.io/hostname")),
            [0, 100, 100, 100]
        );
        assert_eq!(scored(&InterPodAffinity, &cluster, &app("p", "p", Value::Null)), Vec::<i64>::new());
    }

    #[test]
    fn the_pods_that_matter_wake_it() {
        let shy = app("p", "p", required("podAntiAffinity", json!([term("web", "zone")])));
        let left = |name: &str| Change::PodLeft(Arc::new(app("gone", name, Value::Null)));
        assert_eq!(InterPodAffinity.hint(&shy, &left("web")), Hint::Queue);
        assert_eq!(InterPodAffinity.hint(&shy, &left("db")), Hint::Skip);
        let fond = app("p", "p", required("podAffinity", json!([term("web", "zone")])));
        let placed = |name: &str| Change::PodPlaced(Arc::new(app("new", name, Value::Null)));
        assert_eq!(InterPodAffinity.hint(&fond, &placed("web")), Hint::Queue);
        assert_eq!(InterPodAffinity.hint(&fond, &placed("db")), Hint::Skip);
    }
}
