//! TaintToleration (Filter, PreScore, Score): a pod runs only where it
//! tolerates every NoSchedule and NoExecute taint, and rather where it
//! tolerates the PreferNoSchedule ones.

use api::tolerations::{any_tolerates, first_untolerated};
use k8s_openapi::api::core::v1::Toleration;

use crate::PodInfo;
use crate::cluster::{Cluster, NodeIndex, NodeInfo, NodeSet};
use crate::framework::{
    Change, Cycle, Filter, Hint, Plugin, PreFilter, PreScore, Prepared, Rejection, Score, normalize_default,
};

pub struct TaintToleration;

const HARD: [&str; 2] = ["NoSchedule", "NoExecute"];
const SOFT: &str = "PreferNoSchedule";

impl Plugin for TaintToleration {
    fn name(&self) -> &'static str {
        "TaintToleration"
    }

    fn hint(&self, pod: &PodInfo, change: &Change) -> Hint {
        let tolerated = |taints: &[_]| first_untolerated(taints, &pod.wishes().tolerations, &HARD).is_none();
        Hint::queue_if(
            change.alters_node(|node| &node.taints)
                && change.node().is_some_and(|node| tolerated(&node.taints)),
        )
    }

    fn as_pre_filter(&self) -> Option<&dyn PreFilter> {
        Some(self)
    }

    fn as_pre_score(&self) -> Option<&dyn PreScore> {
        Some(self)
    }
}

impl PreFilter for TaintToleration {
    fn pre_filter<'c>(&'c self, cycle: Cycle<'c>) -> Prepared<'c> {
        Prepared::Filter(Box::new(Tolerant(&cycle.pod.wishes().tolerations)))
    }
}

struct Tolerant<'c>(&'c [Toleration]);

impl Filter for Tolerant<'_> {
    fn filter(&self, node: &NodeInfo) -> Result<(), Rejection> {
        match first_untolerated(&node.facts.taints, self.0, &HARD) {
            Some(_) => Err(Rejection::unresolvable("node(s) had untolerated taint(s)")),
            None => Ok(()),
        }
    }

    fn narrow(&self, cluster: &Cluster, candidates: &mut NodeSet) {
        // Admission gives every pod two tolerations of NoExecute taints, which
        // do not let it near nodes that are not ready (NoSchedule as well).
        let never_hard = |toleration: &Toleration| toleration.effect.as_deref() == Some("NoExecute");
        if self.0.is_empty() {
            candidates.retain_common(cluster.open());
        } else if self.0.iter().all(never_hard) {
            candidates.retain_common(cluster.without_no_schedule());
        }
    }
}

impl PreScore for TaintToleration {
    fn pre_score<'c>(&'c self, cycle: Cycle<'c>, _: &[NodeIndex]) -> Option<Box<dyn Score + 'c>> {
        let tolerations = cycle.pod.wishes().tolerations.iter();
        let soft = |toleration: &&Toleration| matches!(toleration.effect.as_deref(), None | Some("" | SOFT));
        cycle
            .cluster
            .has_soft_taints()
            .then(|| Box::new(Counted(tolerations.filter(soft).cloned().collect())) as Box<dyn Score>)
    }
}

struct Counted(Vec<Toleration>);

impl Score for Counted {
    fn score(&self, node: &NodeInfo) -> i64 {
        let soft = node.facts.taints.iter().filter(|taint| taint.effect == SOFT);
        soft.filter(|taint| !any_tolerates(&self.0, taint)).count() as i64
    }

    fn normalize(&self, scores: &mut [i64]) {
        normalize_default(scores, true);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{cluster, filtered, node, pod, scored};

    fn tainted(name: &str, effects: &[&str]) -> std::sync::Arc<crate::cluster::NodeFacts> {
        let taints: Vec<Value> =
            effects.iter().map(|effect| json!({"key": "k", "value": effect, "effect": effect})).collect();
        node(name, json!({"spec": {"taints": taints}}))
    }

    #[test]
    fn hard_taints_must_be_tolerated() {
        let cluster = cluster([
            tainted("a", &[]),
            tainted("b", &["NoSchedule"]),
            tainted("c", &["NoExecute"]),
            tainted("d", &["PreferNoSchedule"]),
        ]);
        let no = "!node(s) had untolerated taint(s)";
        for (tolerations, expected) in [
            (json!([]), ["ok", no, no, "ok"]),
            (json!([{"key": "k", "operator": "Exists", "effect": "NoExecute"}]), ["ok", no, "ok", "ok"]),
            (json!([{"key": "k", "value": "NoSchedule"}]), ["ok", "ok", no, "ok"]),
            (json!([{"operator": "Exists"}]), ["ok"; 4]),
            (json!([{"key": "other", "operator": "Exists"}]), ["ok", no, no, "ok"]),
        ] {
            let pod = pod("p", json!({"spec": {"tolerations": tolerations}}));
            assert_eq!(filtered(&TaintToleration, &cluster, &pod), expected, "{tolerations}");
        }
    }

    #[test]
    fn soft_taints_cost_points() {
        let nodes = [
            tainted("a", &[]),
            tainted("b", &[SOFT]),
            tainted("c", &[SOFT, SOFT]),
            tainted("d", &["NoSchedule"]),
        ];
        let pod_with = |tolerations| pod("p", json!({"spec": {"tolerations": tolerations}}));
        let soft = cluster(nodes);
        assert_eq!(scored(&TaintToleration, &soft, &pod_with(json!([]))), [100, 50, 0, 100]);
        assert_eq!(
            scored(&TaintToleration, &soft, &pod_with(json!([{"operator": "Exists"}]))),
            [100, 100, 100, 100]
        );
        let hard = cluster([tainted("a", &["NoSchedule"])]);
        assert_eq!(scored(&TaintToleration, &hard, &pod_with(json!([]))), Vec::<i64>::new());
    }

    #[test]
    fn a_taint_that_goes_helps() {
        let pod = pod("p", json!({}));
        let changed = |old: &[&str], new: &[&str]| Change::NodeChanged {
            old: tainted("a", old),
            new: tainted("a", new),
        };
        for (change, expected) in [
            (changed(&["NoSchedule"], &[]), Hint::Queue),
            (changed(&["NoSchedule"], &["NoExecute"]), Hint::Skip),
            (changed(&[], &[]), Hint::Skip),
            (Change::NodeAdded(tainted("a", &["NoSchedule"])), Hint::Skip),
            (Change::NodeAdded(tainted("a", &[])), Hint::Queue),
        ] {
            assert_eq!(TaintToleration.hint(&pod, &change), expected, "{change:?}");
        }
    }
}
