//! How fast nodes of a zone may be given up. Pure.
//!
//! When a whole zone falls silent the fault is rather in between than in its
//! nodes, so that giving them up would make matters worse.

use std::collections::BTreeMap;
use std::time::Duration;

use api::node::{REGION, ZONE};

use crate::nodes::NodeView;

/// `--node-eviction-rate` of 0.1 a second.
const PACE: Duration = Duration::from_secs(10);
/// `--secondary-node-eviction-rate` of 0.01 a second.
const SLOW_PACE: Duration = Duration::from_secs(100);
/// `--unhealthy-zone-threshold`, in percent.
const UNHEALTHY: usize = 55;
/// `--large-cluster-size-threshold`.
const LARGE: usize = 50;

/// How long to wait between two nodes of a zone. None: give up none.
pub type Pace = Option<Duration>;

/// The zone's name among zones, as upstream writes it (`nodetopology.GetZoneKey`).
pub fn zone_of(node: &NodeView) -> String {
    let label = |key: &str| node.labels.get(key).map_or("", String::as_str);
    match (label(REGION), label(ZONE)) {
        ("", "") => String::new(),
        (region, zone) => format!("{region}:\0:{zone}"),
    }
}

/// How many nodes of each zone are ready, and how many are not.
pub fn sizes<'a>(nodes: impl IntoIterator<Item = &'a NodeView>) -> BTreeMap<String, (usize, usize)> {
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for node in nodes {
        let (ready, not_ready) = counts.entry(zone_of(node)).or_default();
        match node.is_ready() {
            true => *ready += 1,
            false => *not_ready += 1,
        }
    }
    counts
}

/// The pace of every zone. Where every zone is silent none gives up a node.
pub fn paces<'a>(nodes: impl IntoIterator<Item = &'a NodeView>) -> BTreeMap<String, Pace> {
    let counts = sizes(nodes);
    if counts.values().all(|(ready, _)| *ready == 0) {
        return counts.into_keys().map(|zone| (zone, None)).collect();
    }
    let pace = |(ready, not_ready): (usize, usize)| {
        let total = ready + not_ready;
        let partly = ready > 0 && not_ready > 2 && not_ready * 100 >= UNHEALTHY * total;
        match partly {
            false => Some(PACE),
            true if total > LARGE => Some(SLOW_PACE),
            true => None,
        }
    };
    counts.into_iter().map(|(zone, count)| (zone, pace(count))).collect()
}
