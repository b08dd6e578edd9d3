//! NodeAffinity (PreFilter, Filter, PreScore, Score): `spec.nodeSelector` and
//! required node affinity say where a pod may run, preferred node affinity
//! where it likes to.

use std::collections::BTreeSet;

use api::node::{NodeView, matches, matches_term};
use k8s_openapi::api::core::v1::{NodeSelectorTerm, PreferredSchedulingTerm};

use crate::PodInfo;
use crate::cluster::{Cluster, NodeFacts, NodeIndex, NodeInfo, NodeSet};
use crate::framework::{
    Change, Cycle, Filter, Hint, Plugin, PreFilter, PreScore, Prepared, Rejection, Score, normalize_default,
};
use crate::pod_info::Wishes;

pub struct NodeAffinity;

impl Plugin for NodeAffinity {
    fn name(&self) -> &'static str {
        "NodeAffinity"
    }

    fn hint(&self, pod: &PodInfo, change: &Change) -> Hint {
        Hint::queue_if(
            change.alters_node(|node| &node.labels)
                && change.node().is_some_and(|node| is_wanted(pod.wishes(), node)),
        )
    }

    fn as_pre_filter(&self) -> Option<&dyn PreFilter> {
        Some(self)
    }

    fn as_pre_score(&self) -> Option<&dyn PreScore> {
        Some(self)
    }
}

/// Whether the node meets selector and required affinity.
pub(super) fn is_wanted(wishes: &Wishes, node: &NodeFacts) -> bool {
    let labels_agree = wishes.node_selector.iter().all(|(key, value)| node.labels.get(key) == Some(value));
    let view = NodeView { name: &node.name, labels: &node.labels };
    labels_agree && wishes.required_nodes.as_ref().is_none_or(|selector| matches(selector, view))
}

impl PreFilter for NodeAffinity {
    fn pre_filter<'c>(&'c self, cycle: Cycle<'c>) -> Prepared<'c> {
        let wishes = cycle.pod.wishes();
        if wishes.node_selector.is_empty() && wishes.required_nodes.is_none() {
            return Prepared::Skip;
        }
        match named_nodes(wishes) {
            None => Prepared::Filter(Box::new(Wanted(wishes))),
            Some(names) if names.is_empty() => {
                Prepared::Reject(Rejection::unresolvable("pod affinity terms conflict"))
            }
            Some(names) => {
                let nodes = names.into_iter().filter_map(|name| cycle.cluster.find(name)).collect();
                Prepared::Only(nodes, Box::new(Wanted(wishes)))
            }
        }
    }
}

/// The nodes that required affinity names by `metadata.name`, as a DaemonSet's
/// pods do; None where some term names none.
fn named_nodes(wishes: &Wishes) -> Option<BTreeSet<&str>> {
    let terms = &wishes.required_nodes.as_ref()?.node_selector_terms;
    let mut all = BTreeSet::new();
    for term in terms {
        all.extend(named_by(term)?);
    }
    (!terms.is_empty()).then_some(all)
}

fn named_by(term: &NodeSelectorTerm) -> Option<BTreeSet<&str>> {
    let fields = term.match_fields.iter().flatten();
    let names = fields
        .filter(|field| field.key == "metadata.name" && field.operator == "In")
        .map(|field| field.values.iter().flatten().map(String::as_str).collect::<BTreeSet<_>>());
    names.reduce(|mut all, names| {
        all.retain(|name| names.contains(name));
        all
    })
}

struct Wanted<'c>(&'c Wishes);

impl Filter for Wanted<'_> {
    fn filter(&self, node: &NodeInfo) -> Result<(), Rejection> {
        match is_wanted(self.0, &node.facts) {
            true => Ok(()),
            false => Err(Rejection::unresolvable("node(s) didn't match Pod's node affinity/selector")),
        }
    }

    fn narrow(&self, cluster: &Cluster, candidates: &mut NodeSet) {
        for (key, value) in &self.0.node_selector {
            candidates.retain_common(&cluster.labelled(key, value).collect());
        }
        // Any one of several terms is enough; one alone must hold.
        let terms = self.0.required_nodes.as_ref().map(|selector| selector.node_selector_terms.as_slice());
        let Some([term]) = terms else { return };
        for requirement in term.match_expressions.iter().flatten().filter(|one| one.operator == "In") {
            let values = requirement.values.iter().flatten();
            let nodes = values.flat_map(|value| cluster.labelled(&requirement.key, value));
            candidates.retain_common(&nodes.collect());
        }
    }
}

impl PreScore for NodeAffinity {
    fn pre_score<'c>(&'c self, cycle: Cycle<'c>, _: &[NodeIndex]) -> Option<Box<dyn Score + 'c>> {
        match cycle.pod.wishes().preferred_nodes.as_slice() {
            [] => None,
            terms => Some(Box::new(Preferred(terms))),
        }
    }
}

struct Preferred<'c>(&'c [PreferredSchedulingTerm]);

impl Score for Preferred<'_> {
    fn score(&self, node: &NodeInfo) -> i64 {
        let view = NodeView { name: node.name(), labels: node.labels() };
        let liked = self.0.iter().filter(|term| matches_term(&term.preference, view));
        liked.map(|term| i64::from(term.weight)).sum()
    }

    fn normalize(&self, scores: &mut [i64]) {
        normalize_default(scores, false);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{cluster, filtered, node, pod, scored};

    fn three() -> Cluster {
        let zone = |name: &str, zone: &str| node(name, json!({"metadata": {"labels": {"zone": zone}}}));
        cluster([zone("a", "x"), zone("b", "y"), node("c", json!({}))])
    }

    fn affine(terms: Value) -> PodInfo {
        pod(
            "p",
            json!({"spec": {"affinity": {"nodeAffinity":
                {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}}}),
        )
    }

    #[test]
    fn selector_and_terms_say_where() {
        let no = "!node(s) didn't match Pod's node affinity/selector";
        let zones = |values: Value| json!({"matchExpressions": [{"key": "zone", "operator": "In", "values": values}]});
        let by_name = |names: Value| json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": names}]});
        for (pod, expected) in [
            (pod("p", json!({})), ["ok", "ok", "ok"]),
            (pod("p", json!({"spec": {"nodeSelector": {"zone": "x"}}})), ["ok", no, no]),
            (affine(json!([zones(json!(["x", "y"]))])), ["ok", "ok", no]),
            (affine(json!([zones(json!(["x"])), zones(json!(["y"]))])), ["ok", "ok", no]),
            (
                affine(json!([{"matchExpressions": [{"key": "zone", "operator": "DoesNotExist"}]}])),
                [no, no, "ok"],
            ),
            (affine(json!([by_name(json!(["c"]))])), ["left out", "left out", "ok"]),
            (affine(json!([by_name(json!(["gone"]))])), ["left out"; 3]),
            (affine(json!([by_name(json!([]))])), ["pod affinity terms conflict"; 3]),
        ] {
            assert_eq!(filtered(&NodeAffinity, &three(), &pod), expected, "{:?}", pod.wishes());
        }
    }

    #[test]
    fn preferences_add_up() {
        let pod = pod(
            "p",
            json!({"spec": {"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 20, "preference": {"matchExpressions": [{"key": "zone", "operator": "Exists"}]}},
                {"weight": 60, "preference": {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["y"]}]}}
            ]}}}}),
        );
        assert_eq!(scored(&NodeAffinity, &three(), &pod), [25, 100, 0]);
    }

    #[test]
    fn only_fitting_labels_help() {
        let wanting = pod("p", json!({"spec": {"nodeSelector": {"zone": "x"}}}));
        let zone = |zone: &str| node("n", json!({"metadata": {"labels": {"zone": zone}}}));
        for (change, expected) in [
            (Change::NodeAdded(zone("x")), Hint::Queue),
            (Change::NodeAdded(zone("y")), Hint::Skip),
            (Change::NodeChanged { old: zone("y"), new: zone("x") }, Hint::Queue),
            (Change::NodeChanged { old: zone("x"), new: zone("x") }, Hint::Skip),
        ] {
            assert_eq!(NodeAffinity.hint(&wanting, &change), expected, "{change:?}");
        }
    }
}
