//! NodeUnschedulable (Filter): a cordoned node takes only pods that tolerate
//! the taint `node.kubernetes.io/unschedulable:NoSchedule`.

use k8s_openapi::api::core::v1::Taint;

use crate::PodInfo;
use crate::cluster::NodeInfo;
use crate::framework::{Change, Cycle, Filter, Hint, Plugin, PreFilter, Prepared, Rejection};

const TAINT: &str = "node.kubernetes.io/unschedulable";

pub struct NodeUnschedulable;

impl Plugin for NodeUnschedulable {
    fn name(&self) -> &'static str {
        "NodeUnschedulable"
    }

    fn hint(&self, _: &PodInfo, change: &Change) -> Hint {
        Hint::queue_if(change.alters_node(|node| &node.unschedulable))
    }

    fn as_pre_filter(&self) -> Option<&dyn PreFilter> {
        Some(self)
    }
}

impl PreFilter for NodeUnschedulable {
    fn pre_filter<'c>(&'c self, cycle: Cycle<'c>) -> Prepared<'c> {
        let taint = Taint { key: TAINT.into(), effect: "NoSchedule".into(), ..Taint::default() };
        match api::tolerations::any_tolerates(&cycle.pod.wishes().tolerations, &taint) {
            true => Prepared::Skip,
            false => Prepared::Filter(Box::new(NotCordoned)),
        }
    }
}

struct NotCordoned;

impl Filter for NotCordoned {
    fn filter(&self, node: &NodeInfo) -> Result<(), Rejection> {
        match node.facts.unschedulable {
            true => Err(Rejection::unresolvable("node(s) were unschedulable")),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::cluster::NodeFacts;
    use crate::testing::{cluster, filtered, node, pod};

    #[test]
    fn cordoned_nodes_need_a_toleration() {
        let cluster = cluster([node("a", json!({})), node("b", json!({"spec": {"unschedulable": true}}))]);
        assert_eq!(
            filtered(&NodeUnschedulable, &cluster, &pod("p", json!({}))),
            ["ok", "!node(s) were unschedulable"]
        );
        let tolerant = pod("p", json!({"spec": {"tolerations": [{"key": TAINT, "operator": "Exists"}]}}));
        assert_eq!(filtered(&NodeUnschedulable, &cluster, &tolerant), ["ok", "ok"]);
    }

    #[test]
    fn uncordoning_helps() {
        let (open, shut) = (node("a", json!({})), node("a", json!({"spec": {"unschedulable": true}})));
        let hint = |old: &Arc<NodeFacts>, new: &Arc<NodeFacts>| {
            let change = Change::NodeChanged { old: old.clone(), new: new.clone() };
            NodeUnschedulable.hint(&pod("p", json!({})), &change)
        };
        assert_eq!((hint(&shut, &open), hint(&shut, &shut)), (Hint::Queue, Hint::Skip));
    }
}
