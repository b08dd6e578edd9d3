//! NodeResourcesFit (PreFilter, Filter, PreScore, Score): what a pod requests
//! must be free on its node, and the emptier the node, the better
//! (LeastAllocated over CPU and memory).

use crate::PodInfo;
use crate::cluster::{Cluster, NodeFacts, NodeIndex, NodeInfo, NodeSet};
use crate::framework::{
    Change, Cycle, Filter, Hint, MAX_NODE_SCORE, Plugin, PreFilter, PreScore, Prepared, Reason, Rejection,
    Score,
};
use crate::resources::Amounts;

pub struct NodeResourcesFit;

impl Plugin for NodeResourcesFit {
    fn name(&self) -> &'static str {
        "NodeResourcesFit"
    }

    fn hint(&self, pod: &PodInfo, change: &Change) -> Hint {
        if let Change::NodeAdded(_) | Change::NodeChanged { .. } = change {
            let grown = change.alters_node(|node| &node.allocatable)
                || change.alters_node(|node| &node.allocatable_pods);
            return Hint::queue_if(grown && change.node().is_some_and(|node| could_hold(pod, node)));
        }
        let Some(gone) = change.gives_room() else { return Hint::Skip };
        // A pod that leaves always gives a place, one that shrinks only amounts.
        let gives = |wanted: i64, given: i64| wanted > 0 && given > 0;
        Hint::queue_if(
            matches!(change, Change::PodLeft(_))
                || gives(pod.requests.milli_cpu, gone.requests.milli_cpu)
                || gives(pod.requests.memory, gone.requests.memory)
                || gives(pod.requests.ephemeral_storage, gone.requests.ephemeral_storage)
                || pod.requests.others.iter().any(|(name, amount)| gives(*amount, gone.requests.other(name))),
        )
    }

    fn as_pre_filter(&self) -> Option<&dyn PreFilter> {
        Some(self)
    }

    fn as_pre_score(&self) -> Option<&dyn PreScore> {
        Some(self)
    }
}

/// Whether the node would do if it were empty.
fn could_hold(pod: &PodInfo, node: &NodeFacts) -> bool {
    node.allocatable_pods > 0 && lacking(&pod.requests, &Amounts::default(), &node.allocatable).is_empty()
}

/// The resources of which `wanted` is more than what is left, and whether the
/// node has too little of it even when empty.
fn lacking(wanted: &Amounts, used: &Amounts, all: &Amounts) -> Vec<(Reason, bool)> {
    let mut found = Vec::new();
    let mut check = |name: &str, known: Option<&'static str>, wanted: i64, used: i64, all: i64| {
        if wanted > 0 && wanted > all - used {
            let reason = known.map_or_else(|| format!("Insufficient {name}").into(), Reason::Borrowed);
            found.push((reason, wanted > all));
        }
    };
    check("", Some("Insufficient cpu"), wanted.milli_cpu, used.milli_cpu, all.milli_cpu);
    check("", Some("Insufficient memory"), wanted.memory, used.memory, all.memory);
    check(
        "",
        Some("Insufficient ephemeral-storage"),
        wanted.ephemeral_storage,
        used.ephemeral_storage,
        all.ephemeral_storage,
    );
    for (name, amount) in &wanted.others {
        check(name, None, *amount, used.other(name), all.other(name));
    }
    found
}

impl PreFilter for NodeResourcesFit {
    fn pre_filter<'c>(&'c self, cycle: Cycle<'c>) -> Prepared<'c> {
        Prepared::Filter(Box::new(Fits(cycle.pod)))
    }
}

struct Fits<'c>(&'c PodInfo);

impl Filter for Fits<'_> {
    fn filter(&self, node: &NodeInfo) -> Result<(), Rejection> {
        let full = !node.has_room();
        let lacking = lacking(&self.0.requests, &node.requested, &node.facts.allocatable);
        if !full && lacking.is_empty() {
            return Ok(());
        }
        let resolvable = !lacking.iter().any(|(_, never)| *never);
        let first = full.then_some(Reason::Borrowed("Too many pods"));
        let reasons = first.into_iter().chain(lacking.into_iter().map(|(reason, _)| reason)).collect();
        Err(Rejection { reasons, resolvable })
    }

    fn narrow(&self, cluster: &Cluster, candidates: &mut NodeSet) {
        cluster.keep_with_room(self.0, candidates);
    }
}

impl PreScore for NodeResourcesFit {
    fn pre_score<'c>(&'c self, cycle: Cycle<'c>, _: &[NodeIndex]) -> Option<Box<dyn Score + 'c>> {
        Some(Box::new(LeastAllocated(cycle.pod)))
    }
}

struct LeastAllocated<'c>(&'c PodInfo);

impl Score for LeastAllocated<'_> {
    fn score(&self, node: &NodeInfo) -> i64 {
        let all = &node.facts.allocatable;
        let parts = [
            (node.scored_cpu + self.0.scored_cpu, all.milli_cpu),
            (node.scored_memory + self.0.scored_memory, all.memory),
        ];
        let known = parts.iter().filter(|(_, all)| *all > 0);
        let (sum, count) =
            known.fold((0, 0), |(sum, count), (used, all)| (sum + free_share(*used, *all), count + 1));
        if count == 0 { 0 } else { sum / count }
    }
}

fn free_share(used: i64, all: i64) -> i64 {
    if used > all { 0 } else { ((all - used) as i128 * i128::from(MAX_NODE_SCORE) / i128::from(all)) as i64 }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::testing::{cluster, filtered, node, place, pod, scored, sized};

    #[test]
    fn what_is_requested_must_be_free() {
        let mut cluster = cluster([
            node("a", json!({})),
            node("b", json!({"status": {"allocatable": {"x/gpu": "2"}}})),
            node("c", json!({"status": {"allocatable": {"pods": "1"}}})),
        ]);
        place(&mut cluster, &sized("one", "3", "1Gi"), "a");
        place(&mut cluster, &sized("two", "100m", "1Gi"), "c");
        let gpus = |count: &str| {
            pod(
                "p",
                json!({"spec": {"containers": [{"name": "c", "resources": {"requests": {"x/gpu": count}}}]}}),
            )
        };
        for (pod, expected) in [
            (sized("p", "1", "1Gi"), ["ok", "ok", "Too many pods"]),
            (sized("p", "2", "1Gi"), ["Insufficient cpu", "ok", "Too many pods"]),
            (
                sized("p", "2", "7.5Gi"),
                ["Insufficient cpu, Insufficient memory", "ok", "Too many pods, Insufficient memory"],
            ),
            (
                sized("p", "5", "1Gi"),
                ["!Insufficient cpu", "!Insufficient cpu", "!Too many pods, Insufficient cpu"],
            ),
            (gpus("2"), ["!Insufficient x/gpu", "ok", "!Too many pods, Insufficient x/gpu"]),
            (sized("p", "0", "0"), ["ok", "ok", "Too many pods"]),
        ] {
            assert_eq!(filtered(&NodeResourcesFit, &cluster, &pod), expected, "{:?}", pod.requests);
        }
    }

    #[test]
    fn the_emptier_node_is_better() {
        let mut cluster = cluster([node("a", json!({})), node("b", json!({})), node("c", json!({}))]);
        place(&mut cluster, &sized("one", "2", "4Gi"), "b");
        place(&mut cluster, &sized("two", "3", "2Gi"), "c");
        // (75 + 87) / 2, (25 + 37) / 2, (0 + 62) / 2
        assert_eq!(scored(&NodeResourcesFit, &cluster, &sized("p", "1", "1Gi")), [81, 31, 31]);
        // A pod without requests counts 100m and 200Mi.
        assert_eq!(scored(&NodeResourcesFit, &cluster, &pod("p", json!({}))), [97, 47, 47]);
    }

    #[test]
    fn room_helps_whom_it_can() {
        let wanting = sized("p", "1", "1Gi");
        let left = |pod: PodInfo| Change::PodLeft(Arc::new(pod));
        let sized_node = |cpu: &str| node("n", json!({"status": {"allocatable": {"cpu": cpu}}}));
        for (change, expected) in [
            (left(sized("gone", "1", "1Gi")), Hint::Queue),
            (Change::NodeAdded(sized_node("8")), Hint::Queue),
            (Change::NodeAdded(sized_node("500m")), Hint::Skip),
            (Change::NodeChanged { old: sized_node("4"), new: sized_node("4") }, Hint::Skip),
            (Change::NodeChanged { old: sized_node("500m"), new: sized_node("4") }, Hint::Queue),
            (Change::PodPlaced(Arc::new(sized("new", "1", "1Gi"))), Hint::Skip),
        ] {
            assert_eq!(NodeResourcesFit.hint(&wanting, &change), expected, "{change:?}");
        }
    }
}
