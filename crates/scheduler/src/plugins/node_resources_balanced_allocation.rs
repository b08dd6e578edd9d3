//! NodeResourcesBalancedAllocation (PreScore, Score): a node where the pod
//! evens out the shares of CPU and memory in use is better than one where it
//! makes them differ.

use crate::PodInfo;
use crate::cluster::{NodeIndex, NodeInfo};
use crate::framework::{Cycle, MAX_NODE_SCORE, Plugin, PreScore, Score};

pub struct NodeResourcesBalancedAllocation;

impl Plugin for NodeResourcesBalancedAllocation {
    fn name(&self) -> &'static str {
        "NodeResourcesBalancedAllocation"
    }

    fn as_pre_score(&self) -> Option<&dyn PreScore> {
        Some(self)
    }
}

impl PreScore for NodeResourcesBalancedAllocation {
    fn pre_score<'c>(&'c self, cycle: Cycle<'c>, _: &[NodeIndex]) -> Option<Box<dyn Score + 'c>> {
        // A pod that requests neither changes no balance.
        let requests = &cycle.pod.requests;
        (requests.milli_cpu > 0 || requests.memory > 0)
            .then(|| Box::new(Balance(cycle.pod)) as Box<dyn Score>)
    }
}

struct Balance<'c>(&'c PodInfo);

impl Score for Balance<'_> {
    fn score(&self, node: &NodeInfo) -> i64 {
        let all = &node.facts.allocatable;
        let (cpu, memory) = (node.requested.milli_cpu, node.requested.memory);
        let requests = &self.0.requests;
        let without = evenness([(cpu, all.milli_cpu), (memory, all.memory)]);
        let with =
            evenness([(cpu + requests.milli_cpu, all.milli_cpu), (memory + requests.memory, all.memory)]);
        // Half the points for leaving it as it is, more for making it better.
        MAX_NODE_SCORE / 2 + (MAX_NODE_SCORE / 2 + with - without) / 2
    }
}

/// 100 where the shares (used, all) are equal, less as they spread.
fn evenness(parts: [(i64, i64); 2]) -> i64 {
    let share = |(used, all): (i64, i64)| (used as f64 / all as f64).min(1.0);
    let spread = match parts.map(|(_, all)| all > 0) {
        [true, true] => (share(parts[0]) - share(parts[1])).abs() / 2.0,
        _ => 0.0,
    };
    ((1.0 - spread) * MAX_NODE_SCORE as f64) as i64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{cluster, node, place, pod, scored, sized};

    #[test]
    fn evening_out_is_better() {
        let mut cluster = cluster([node("a", json!({})), node("b", json!({})), node("c", json!({}))]);
        place(&mut cluster, &sized("one", "0", "4Gi"), "b");
        place(&mut cluster, &sized("two", "2", "0"), "c");
        // Without the pod: 100, 75, 75; with it (cpu 50 %): 75, 100, 50.
        let scores = scored(&NodeResourcesBalancedAllocation, &cluster, &sized("p", "2", "0"));
        assert_eq!(scores, [50 + 12, 50 + 37, 50 + 12]);
    }

    #[test]
    fn best_effort_pods_are_not_weighed() {
        let cluster = cluster([node("a", json!({}))]);
        assert_eq!(
            scored(&NodeResourcesBalancedAllocation, &cluster, &pod("p", json!({}))),
            Vec::<i64>::new()
        );
    }
}
