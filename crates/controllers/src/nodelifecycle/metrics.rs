//! What the node lifecycle controller counts (`node_collector_…`). There is no
//! pass over all nodes whose time could be told: each is looked at when due.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use serve::families::{Counter, Description, Families, Gauge, Histogram, exponential};
use tokio::time::Instant;

use super::zones::{sizes, zone_of};
use crate::nodes::NodeView;

pub(super) struct Metrics {
    health: Gauge,
    size: Gauge,
    unhealthy: Gauge,
    evictions: Counter,
    seconds: Histogram,
    /// Zones that were told of.
    zones: Mutex<BTreeSet<String>>,
}

impl Metrics {
    pub fn among(families: &Families) -> Self {
        let of = |name, help| Description { name, help, labels: &["zone"] };
        Self {
            health: families.gauge(of(
                "node_collector_zone_health",
                "[ALPHA] Gauge measuring percentage of healthy nodes per zone.",
            )),
            size: families.gauge(of(
                "node_collector_zone_size",
                "[ALPHA] Gauge measuring number of registered Nodes per zones.",
            )),
            unhealthy: families.gauge(of(
                "node_collector_unhealthy_nodes_in_zone",
                "[ALPHA] Gauge measuring number of not Ready Nodes per zones.",
            )),
            evictions: families.counter(of(
                "node_collector_evictions_total",
                "[STABLE] Number of Node evictions that happened since current instance of NodeController started.",
            )),
            seconds: families.histogram(
                Description {
                    name: "node_collector_update_node_health_duration_seconds",
                    help: "[ALPHA] Duration in seconds for NodeController to update the health of a single node.",
                    labels: &[],
                },
                exponential(0.001, 4.0, 8),
            ),
            zones: Mutex::default(),
        }
    }

    /// A node was looked at since then.
    pub fn looked(&self, since: Instant) {
        self.seconds.observe(&[], since.elapsed().as_secs_f64());
    }

    /// A node was given up.
    pub fn evicted(&self, node: &NodeView) {
        self.evictions.increase(&[&zone_of(node)]);
    }

    /// All nodes that there are.
    pub fn seen<'a>(&self, nodes: impl Iterator<Item = &'a NodeView>) {
        let sizes = sizes(nodes);
        let mut zones = self.zones.lock();
        zones.retain(|zone| {
            if !sizes.contains_key(zone) {
                self.tell(zone, 0, 0);
            }
            sizes.contains_key(zone)
        });
        for (zone, (ready, not_ready)) in sizes {
            self.tell(&zone, ready, not_ready);
            if !zones.contains(&zone) {
                self.evictions.add(&[&zone], 0.0);
                zones.insert(zone);
            }
        }
    }

    fn tell(&self, zone: &str, ready: usize, not_ready: usize) {
        let total = ready + not_ready;
        self.size.set(&[zone], total as f64);
        let health = if total == 0 { 100.0 } else { (100 * ready) as f64 / total as f64 };
        self.health.set(&[zone], health);
        self.unhealthy.set(&[zone], not_ready as f64);
    }
}
