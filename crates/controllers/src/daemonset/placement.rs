//! Which nodes a DaemonSet's pods belong on. Pure.

use api::node::matches_pod;
use api::tolerations::any_tolerates;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{
    NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec, Toleration,
};

use crate::nodes::NodeView;
use crate::pods::pod_of_template;

/// What a node means for a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// A pod belongs there.
    pub run: bool,
    /// One that is there may stay.
    pub stay: bool,
}

/// `daemon.NodeShouldRunDaemonPod`.
pub fn fit(set: &DaemonSet, node: &NodeView) -> Fit {
    const NO: Fit = Fit { run: false, stay: false };
    let Some(spec) = &set.spec.template.spec else { return NO };
    if spec.node_name.as_ref().is_some_and(|name| !name.is_empty() && *name != node.name) {
        return NO;
    }
    if !matches_pod(spec, api::node::NodeView { name: &node.name, labels: &node.labels }) {
        return NO;
    }
    let tolerations = tolerations(spec);
    let untolerated = |effects: &[&str]| {
        let mut taints = node.taints.iter().filter(|taint| effects.contains(&taint.effect.as_str()));
        taints.any(|taint| !any_tolerates(&tolerations, taint))
    };
    Fit { run: !untolerated(&["NoSchedule", "NoExecute"]), stay: !untolerated(&["NoExecute"]) }
}

/// The template's tolerations and those that every daemon has: it stays on a
/// node in trouble.
fn tolerations(spec: &PodSpec) -> Vec<Toleration> {
    let mut tolerations = spec.tolerations.clone().unwrap_or_default();
    let mut add = |key: &str, effect: &str| {
        let toleration = Toleration {
            key: Some(format!("node.kubernetes.io/{key}")),
            operator: Some("Exists".into()),
            effect: Some(effect.into()),
            ..Toleration::default()
        };
        if !tolerations.contains(&toleration) {
            tolerations.push(toleration);
        }
    };
    add("not-ready", "NoExecute");
    add("unreachable", "NoExecute");
    add("disk-pressure", "NoSchedule");
    add("memory-pressure", "NoSchedule");
    add("pid-pressure", "NoSchedule");
    add("unschedulable", "NoSchedule");
    if spec.host_network == Some(true) {
        add("network-unavailable", "NoSchedule");
    }
    tolerations
}

/// A new pod of the set that only `node` suits.
pub fn pod_for(set: &DaemonSet, node: &str, hash: &str) -> Pod {
    let mut pod = pod_of_template(set, &set.spec.template);
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert(super::history::HASH.into(), hash.into());
    if let Some(generation) = set
        .metadata
        .annotations
        .as_ref()
        .and_then(|annotations| annotations.get("deprecated.daemonset.template.generation"))
    {
        labels.insert("pod-template-generation".into(), generation.clone());
    }
    let spec = pod.spec.get_or_insert_default();
    spec.tolerations = Some(tolerations(spec));
    let required = spec
        .affinity
        .get_or_insert_default()
        .node_affinity
        .get_or_insert_default()
        .required_during_scheduling_ignored_during_execution
        .get_or_insert_with(|| NodeSelector { node_selector_terms: Vec::new() });
    // The node was chosen by the terms there were; now it alone is left.
    required.node_selector_terms = vec![NodeSelectorTerm {
        match_fields: Some(vec![NodeSelectorRequirement {
            key: "metadata.name".into(),
            operator: "In".into(),
            values: Some(vec![node.to_owned()]),
        }]),
        ..NodeSelectorTerm::default()
    }];
    pod
}
