//! Nodes.

use apimachinery::{Value, meta};
use jiff::Timestamp;

use super::words::{NONE, UNKNOWN, age, cells, condition, name, or};

const ROLE_PREFIX: &str = "node-role.kubernetes.io/";
const ROLE: &str = "kubernetes.io/role";

/// Name, Status, Roles, Age, Version, Internal-IP, External-IP, OS-Image,
/// Kernel-Version, Container-Runtime.
pub fn node(node: &Value, now: Timestamp) -> Vec<Value> {
    let info = &node["status"]["nodeInfo"];
    cells![
        name(node),
        status(node),
        roles(node),
        age(node, now),
        info["kubeletVersion"].text(),
        address(node, "InternalIP"),
        address(node, "ExternalIP"),
        or(&info["osImage"], UNKNOWN),
        or(&info["kernelVersion"], UNKNOWN),
        or(&info["containerRuntimeVersion"], UNKNOWN),
    ]
}

fn status(node: &Value) -> String {
    let ready = match condition(node, "Ready")["status"].text() {
        "" => "Unknown",
        "True" => "Ready",
        _ => "NotReady",
    };
    let cordoned = if node["spec"]["unschedulable"].is_true() { ",SchedulingDisabled" } else { "" };
    format!("{ready}{cordoned}")
}

fn roles(node: &Value) -> String {
    let mut roles: Vec<&str> = meta::labels(node)
        .filter_map(|(key, value)| match key.strip_prefix(ROLE_PREFIX) {
            Some(role) => Some(role),
            None if key == ROLE => Some(value),
            None => None,
        })
        .filter(|role| !role.is_empty())
        .collect();
    roles.sort_unstable();
    roles.dedup();
    if roles.is_empty() { NONE.into() } else { roles.join(",") }
}

fn address<'a>(node: &'a Value, kind: &str) -> &'a str {
    node["status"]["addresses"]
        .items()
        .iter()
        .find(|address| address["type"].text() == kind)
        .map_or(NONE, |address| address["address"].text())
}
