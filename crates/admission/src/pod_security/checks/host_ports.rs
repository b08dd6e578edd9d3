//! hostPorts: no container takes a port of the node.

use std::collections::BTreeSet;

use apimachinery::Value;

use super::{Check, Level, PodView, Violation, containers, plural};

pub(super) const CHECK: Check =
    Check { id: "hostPorts", level: Level::Baseline, revisions: &[(0, check)], overrides: &[] };

fn check(pod: PodView<'_>) -> Option<Violation> {
    let bad = pod.containers_that(|container| ports(container).next().is_some());
    // Sorted as texts.
    let ports: BTreeSet<String> = pod.containers().flat_map(ports).map(|port| port.to_string()).collect();
    (!bad.is_empty()).then(|| Violation {
        reason: "hostPort",
        detail: format!(
            "{} {} {} {}",
            containers(&bad),
            plural(bad.len(), "uses", "use"),
            plural(ports.len(), "hostPort", "hostPorts"),
            ports.into_iter().collect::<Vec<_>>().join(", ")
        ),
    })
}

fn ports(container: &Value) -> impl Iterator<Item = i64> {
    container["ports"].items().iter().filter_map(|port| port["hostPort"].as_i64()).filter(|port| *port != 0)
}
