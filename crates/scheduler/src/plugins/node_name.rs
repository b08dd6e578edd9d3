//! NodeName (Filter): a pod that names its node fits no other.
//!
//! Such pods are bound from the start and never queued; the filter answers
//! whether a placement that is there is right.

use crate::PodInfo;
use crate::cluster::{Cluster, NodeInfo, NodeSet};
use crate::framework::{Change, Cycle, Filter, Hint, Plugin, PreFilter, Prepared, Rejection};

pub struct NodeName;

impl Plugin for NodeName {
    fn name(&self) -> &'static str {
        "NodeName"
    }

    fn hint(&self, _: &PodInfo, change: &Change) -> Hint {
        Hint::queue_if(matches!(change, Change::NodeAdded(_)))
    }

    fn as_pre_filter(&self) -> Option<&dyn PreFilter> {
        Some(self)
    }
}

impl PreFilter for NodeName {
    fn pre_filter<'c>(&'c self, cycle: Cycle<'c>) -> Prepared<'c> {
        match cycle.pod.node.as_str() {
            "" => Prepared::Skip,
            name => Prepared::Filter(Box::new(Named(name))),
        }
    }
}

struct Named<'c>(&'c str);

impl Filter for Named<'_> {
    fn filter(&self, node: &NodeInfo) -> Result<(), Rejection> {
        match node.name() == self.0 {
            true => Ok(()),
            false => Err(Rejection::unresolvable("node(s) didn't match the requested node name")),
        }
    }

    fn narrow(&self, cluster: &Cluster, candidates: &mut NodeSet) {
        candidates.retain_common(&cluster.find(self.0).into_iter().collect());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{cluster, filtered, node, pod};

    #[test]
    fn only_the_named_node_fits() {
        let cluster = cluster([node("a", json!({})), node("b", json!({}))]);
        assert_eq!(
            filtered(&NodeName, &cluster, &pod("p", json!({"spec": {"nodeName": "b"}}))),
            ["!node(s) didn't match the requested node name", "ok"]
        );
        assert_eq!(filtered(&NodeName, &cluster, &pod("p", json!({}))), ["ok", "ok"]);
    }
}
