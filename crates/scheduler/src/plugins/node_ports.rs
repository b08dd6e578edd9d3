//! NodePorts (PreFilter, Filter): two pods cannot have the same host port.

use crate::PodInfo;
use crate::cluster::NodeInfo;
use crate::framework::{Change, Cycle, Filter, Hint, Plugin, PreFilter, Prepared, Rejection};
use crate::pod_info::HostPort;

pub struct NodePorts;

impl Plugin for NodePorts {
    fn name(&self) -> &'static str {
        "NodePorts"
    }

    fn hint(&self, pod: &PodInfo, change: &Change) -> Hint {
        match change {
            Change::NodeAdded(_) => Hint::Queue,
            Change::PodLeft(gone) => Hint::queue_if(are_taken(&pod.host_ports, &gone.host_ports)),
            _ => Hint::Skip,
        }
    }

    fn as_pre_filter(&self) -> Option<&dyn PreFilter> {
        Some(self)
    }
}

fn are_taken(wanted: &[HostPort], used: &[HostPort]) -> bool {
    wanted.iter().any(|port| used.iter().any(|other| port.conflicts_with(other)))
}

impl PreFilter for NodePorts {
    fn pre_filter<'c>(&'c self, cycle: Cycle<'c>) -> Prepared<'c> {
        match cycle.pod.host_ports.as_slice() {
            [] => Prepared::Skip,
            ports => Prepared::Filter(Box::new(Free(ports))),
        }
    }
}

struct Free<'c>(&'c [HostPort]);

impl Filter for Free<'_> {
    fn filter(&self, node: &NodeInfo) -> Result<(), Rejection> {
        match are_taken(self.0, &node.host_ports) {
            true => Err(Rejection::resolvable("node(s) didn't have free ports for the requested pod ports")),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::testing::{cluster, filtered, node, place, pod};

    fn with_port(name: &str, port: i32) -> PodInfo {
        pod(
            name,
            json!({"spec": {"containers": [{"name": "c", "ports": [{"containerPort": 1, "hostPort": port}]}]}}),
        )
    }

    #[test]
    fn a_port_is_taken_once() {
        let mut cluster = cluster([node("a", json!({})), node("b", json!({}))]);
        place(&mut cluster, &with_port("there", 80), "a");
        let no = "node(s) didn't have free ports for the requested pod ports";
        assert_eq!(filtered(&NodePorts, &cluster, &with_port("p", 80)), [no, "ok"]);
        assert_eq!(filtered(&NodePorts, &cluster, &with_port("p", 81)), ["ok", "ok"]);
        assert_eq!(filtered(&NodePorts, &cluster, &pod("p", json!({}))), ["ok", "ok"]);
    }

    #[test]
    fn the_owner_of_the_port_must_go() {
        let left = |port| Change::PodLeft(Arc::new(with_port("gone", port)));
        assert_eq!(NodePorts.hint(&with_port("p", 80), &left(80)), Hint::Queue);
        assert_eq!(NodePorts.hint(&with_port("p", 80), &left(81)), Hint::Skip);
    }
}
