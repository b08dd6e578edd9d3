//! Whether the node takes a pod that was bound to it. The scheduler has
//! decided already; this catches what it could not know. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, NodeSelectorRequirement, NodeSelectorTerm, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::record::Verdict;
use super::spec::PodExt;
use crate::container::resources::requested;
use crate::drivers::PortMapping;
use crate::quantity::{milli, value};
use crate::sandbox::port_mappings;

/// What the pods that run here take.
#[derive(Clone, Debug, Default)]
pub struct Used {
    pub pods: i64,
    pub cpu: i64,
    pub memory: i64,
    pub ports: Vec<PortMapping>,
}

impl Used {
    pub fn add(&mut self, pod: &Pod) {
        self.pods += 1;
        self.cpu += requested(pod, "cpu");
        self.memory += requested(pod, "memory");
        self.ports.extend(port_mappings(pod));
    }
}

/// None: the pod may run. `node` is None while the node's object is unknown.
pub fn refuse(
    pod: &Pod,
    used: &Used,
    allocatable: &BTreeMap<String, Quantity>,
    node: Option<&Node>,
) -> Option<Verdict> {
    let capacity = |name: &str, number: fn(&Quantity) -> i64| allocatable.get(name).map_or(i64::MAX, number);
    let rows = [
        ("pods", 1, used.pods, capacity("pods", value)),
        ("cpu", requested(pod, "cpu"), used.cpu, capacity("cpu", milli)),
        ("memory", requested(pod, "memory"), used.memory, capacity("memory", value)),
    ];
    for (name, wanted, used, capacity) in rows {
        if wanted > 0 && used.saturating_add(wanted) > capacity {
            return Some(verdict(
                format!("OutOf{name}"),
                format!(
                    "Node didn't have enough resource: {name}, requested: {wanted}, used: {used}, capacity: {capacity}"
                ),
            ));
        }
    }
    if port_mappings(pod).iter().any(|port| used.ports.iter().any(|other| conflict(port, other))) {
        return Some(verdict("NodePorts".into(), "Predicate NodePorts failed".into()));
    }
    if let Some(node) = node
        && !fits_node(pod, node)
    {
        return Some(verdict("NodeAffinity".into(), "Predicate NodeAffinity failed".into()));
    }
    None
}

/// Whether two pods cannot both have their host ports.
fn conflict(a: &PortMapping, b: &PortMapping) -> bool {
    let address = |port: &PortMapping| port.host_ip.filter(|address| !address.is_unspecified());
    let apart = matches!((address(a), address(b)), (Some(a), Some(b)) if a != b);
    a.host_port == b.host_port && a.protocol == b.protocol && !apart
}

fn verdict(reason: String, message: String) -> Verdict {
    Verdict { reason, message: format!("Pod was rejected: {message}") }
}

/// nodeSelector and the required part of the node affinity.
fn fits_node(pod: &Pod, node: &Node) -> bool {
    let none = BTreeMap::new();
    let labels = node.metadata.labels.as_ref().unwrap_or(&none);
    let selected =
        pod.spec().node_selector.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    let terms = pod
        .spec()
        .affinity
        .as_ref()
        .and_then(|affinity| affinity.node_affinity.as_ref())
        .and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref())
        .map(|selector| selector.node_selector_terms.as_slice());
    let name = node.metadata.name.as_deref().unwrap_or_default();
    selected && terms.is_none_or(|terms| terms.iter().any(|term| term_matches(term, labels, name)))
}

fn term_matches(term: &NodeSelectorTerm, labels: &BTreeMap<String, String>, name: &str) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    // An empty term matches nothing.
    !(expressions.is_empty() && fields.is_empty())
        && expressions.iter().all(|one| matches(one, labels.get(&one.key).map(String::as_str)))
        && fields.iter().all(|one| matches(one, (one.key == "metadata.name").then_some(name)))
}

fn matches(requirement: &NodeSelectorRequirement, is: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let listed = is.is_some_and(|is| values.iter().any(|value| value == is));
    let compared = || Some((is?.parse::<i64>().ok()?, values.first()?.parse::<i64>().ok()?));
    match requirement.operator.as_str() {
        "In" => listed,
        "NotIn" => !listed,
        "Exists" => is.is_some(),
        "DoesNotExist" => is.is_none(),
        "Gt" => compared().is_some_and(|(is, bound)| is > bound),
        "Lt" => compared().is_some_and(|(is, bound)| is < bound),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(spec: serde_json::Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec})).unwrap()
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let allocatable: BTreeMap<String, Quantity> = [("pods", "2"), ("cpu", "2"), ("memory", "1Gi")]
            .map(|(name, text)| (name.to_owned(), Quantity(text.into())))
            .into();
        let node: Node =
            serde_json::from_value(json!({"metadata": {"name": "n", "labels": {"disk": "ssd", "n": "5"}}}))
                .unwrap();
        let cpu =
            |text: &str| json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": text}}}]});
        let affinity = |key: &str, operator: &str, values: serde_json::Value| {
            json!({"containers": [], "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
                {"nodeSelectorTerms": [{"matchExpressions": [{"key": key, "operator": operator, "values": values}]}]}}}})
        };
        let port = |address: &str, protocol: &str| {
            json!({"containers": [{"name": "c", "ports": [
                {"containerPort": 1, "hostPort": 80, "hostIP": address, "protocol": protocol}]}]})
        };
        let rows = [
            (cpu("1500m"), None),
            (cpu("1501m"), Some("OutOfcpu")),
            (json!({"containers": [], "nodeSelector": {"disk": "ssd"}}), None),
            (json!({"containers": [], "nodeSelector": {"disk": "hdd"}}), Some("NodeAffinity")),
            (affinity("disk", "In", json!(["ssd", "nvme"])), None),
            (affinity("disk", "NotIn", json!(["ssd"])), Some("NodeAffinity")),
            (affinity("n", "Gt", json!(["4"])), None),
            (affinity("gone", "Exists", json!([])), Some("NodeAffinity")),
            (
                json!({"containers": [{"name": "c", "ports": [{"containerPort": 1, "hostPort": 80}]}]}),
                Some("NodePorts"),
            ),
            (port("0.0.0.0", "TCP"), Some("NodePorts")),
            (port("127.0.0.1", "TCP"), Some("NodePorts")),
            (port("192.0.2.10", "TCP"), None),
            (port("127.0.0.1", "UDP"), None),
        ];
        let taken = port_mappings(&pod(port("127.0.0.1", "TCP")));
        let used = Used { pods: 1, cpu: 500, memory: 0, ports: taken };
        for (spec, expected) in rows {
            let verdict = refuse(&pod(spec.clone()), &used, &allocatable, Some(&node));
            assert_eq!(verdict.map(|verdict| verdict.reason).as_deref(), expected, "{spec}");
        }
        let full = Used { pods: 2, ..Used::default() };
        let verdict = refuse(&pod(json!({"containers": []})), &full, &allocatable, None).unwrap();
        assert_eq!(
            (verdict.reason.as_str(), verdict.message.as_str()),
            (
                "OutOfpods",
                "Pod was rejected: Node didn't have enough resource: pods, requested: 1, used: 2, capacity: 2"
            )
        );
    }
}
