//! Which pods nobody answers for. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::nodes::NodeView;
use crate::pods::PodView;

/// Taint by which an administrator says that a node is off.
pub const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";
/// A node must be missing for so long before its pods go.
pub const QUARANTINE: Duration = Duration::from_secs(40);
/// `--terminated-pod-gc-threshold`.
pub const MOST_ENDED: usize = 12_500;

/// What was seen.
pub struct Observed {
    pub pods: Vec<Arc<PodView>>,
    pub nodes: BTreeMap<String, Arc<NodeView>>,
    /// Nodes that pods name and that are not there, and since when.
    pub missing: BTreeMap<String, Duration>,
}

/// Why a pod goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its node is gone.
    Orphaned,
    /// It was deleted before it had a node.
    Unscheduled,
    /// Its node is out of service.
    OutOfService,
    /// There are too many ended pods.
    TooMany,
}

#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    pub delete: Vec<(Arc<PodView>, Why)>,
    pub again: Option<Duration>,
}

pub fn plan(observed: &Observed) -> Plan {
    let mut plan = Plan::default();
    let mut ended = Vec::new();
    for pod in &observed.pods {
        if pod.node.is_empty() {
            if pod.terminating {
                plan.delete.push((pod.clone(), Why::Unscheduled));
            }
            continue;
        }
        match observed.nodes.get(&pod.node) {
            None => match observed.missing.get(&pod.node).map(|gone| QUARANTINE.saturating_sub(*gone)) {
                Some(Duration::ZERO) => plan.delete.push((pod.clone(), Why::Orphaned)),
                left => {
                    let left = left.unwrap_or(QUARANTINE);
                    plan.again = Some(plan.again.map_or(left, |again| again.min(left)));
                }
            },
            Some(node)
                if pod.terminating && !node.is_ready() && node.has_taint(OUT_OF_SERVICE, "NoExecute") =>
            {
                plan.delete.push((pod.clone(), Why::OutOfService));
            }
            Some(_) if pod.has_ended() && !pod.terminating => ended.push(pod),
            Some(_) => {}
        }
    }
    let surplus = ended.len().saturating_sub(MOST_ENDED);
    if surplus > 0 {
        // The oldest first.
        ended.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
        plan.delete.extend(ended.into_iter().take(surplus).map(|pod| (pod.clone(), Why::TooMany)));
    }
    plan
}
