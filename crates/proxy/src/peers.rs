//! Follows Nodes and keeps the routes to their pods in step: what a routing
//! daemon or a cloud's route controller does elsewhere. Nodes must share a
//! link, for packets are routed and not wrapped.

use std::sync::Arc;
use std::time::Duration;

use edge::Edge;
use informer::Informer;
use ipnet::IpNet;
use network::{Peers, Ways};
use tokio::sync::Notify;

use crate::model::NodeView;

/// How long to wait after the kernel refused, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// The ways from the node `own` to the pods of the others. A range that two
/// nodes claim is the first one's by name, and none may claim this node's.
fn ways<'a>(own: &str, nodes: impl IntoIterator<Item = &'a NodeView>) -> Ways {
    let mut nodes: Vec<&NodeView> = nodes.into_iter().collect();
    nodes.sort_by(|a, b| (a.name != own, &a.name).cmp(&(b.name != own, &b.name)));
    let mut taken: Vec<IpNet> = Vec::new();
    let mut ways = Ways::new();
    for node in nodes {
        for range in &node.ranges {
            if taken.iter().any(|other| other.contains(range) || range.contains(other)) {
                continue;
            }
            taken.push(*range);
            let gateway = node.addresses.iter().find(|address| address.is_ipv4() == range.addr().is_ipv4());
            if let Some(gateway) = gateway.filter(|_| node.name != own) {
                ways.insert(*range, *gateway);
            }
        }
    }
    ways
}

/// Starts the loop in the network namespace of the calling thread, on the node `own`.
///
/// # Errors
/// The kernel gives no netlink socket.
pub fn follow_peers(edge: &Edge, nodes: Informer<NodeView>, own: &str) -> Result<(), network::Error> {
    let peers = Peers::open()?;
    let own = own.to_owned();
    edge.tasks.spawn(async move {
        let bell = Arc::new(Notify::new());
        let ring = bell.clone();
        // Leases tell that a node lives; its Node changes seldom, and mostly in nothing that matters here.
        nodes.on_change(move |change| {
            if change.old != change.new {
                ring.notify_one();
            }
        });
        nodes.synced().await;
        let mut pause = RETRY.0;
        loop {
            let all = nodes.list();
            match peers.set(&ways(&own, all.iter().map(AsRef::as_ref))).await {
                Ok(()) => {
                    pause = RETRY.0;
                    bell.notified().await;
                }
                Err(error) => {
                    tracing::error!(%error, ?pause, "pods of another node cannot be reached; trying again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RETRY.1);
                }
            }
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::{Value, value};

    fn peer(name: &str, addresses: &[&str], ranges: &[&str]) -> NodeView {
        let addresses: Vec<Value> =
            addresses.iter().map(|address| value!({"type": "InternalIP", "address": *address})).collect();
        let ranges: Vec<Value> = ranges.iter().map(|range| Value::from(*range)).collect();
        NodeView::of(
            &value!({"metadata": {"name": name}, "spec": {"podCIDRs": ranges}, "status": {"addresses": addresses}}),
        )
    }

    #[test]
    fn other_nodes_are_reached_by_their_addresses() {
        let nodes = [
            peer("own", &["192.0.2.1"], &["10.42.0.0/24"]),
            peer("b", &["192.0.2.2", "2001:db8::2"], &["10.42.1.0/24", "fd42:1::/64"]),
            peer("no address yet", &[], &["10.42.3.0/24"]),
            peer("claims what is b's", &["192.0.2.5"], &["10.42.1.128/25"]),
            peer("claims what is here", &["192.0.2.6"], &["10.42.0.0/16"]),
        ];
        let wanted: Ways = [("10.42.1.0/24", "192.0.2.2"), ("fd42:1::/64", "2001:db8::2")]
            .map(|(range, gateway)| (range.parse().unwrap(), gateway.parse().unwrap()))
            .into();
        assert_eq!(ways("own", &nodes), wanted);
    }
}
