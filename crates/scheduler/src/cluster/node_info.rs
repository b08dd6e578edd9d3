//! A node with the pods on it, summed up.

use std::collections::BTreeMap;
use std::sync::Arc;

use client::{Document, Error};
use informer::{ObjectKey, Projection};
use k8s_openapi::api::core::v1::{NodeSpec, NodeStatus, Taint};
use serde::Deserialize;

use crate::pod_info::{HostPort, SharedPod};
use crate::resources::Amounts;

/// What the scheduler keeps of a Node object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeFacts {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub taints: Vec<Taint>,
    pub unschedulable: bool,
    pub allocatable: Amounts,
    /// `status.allocatable.pods`.
    pub allocatable_pods: i64,
    /// Bytes of each image on the node, by each of its names.
    pub images: BTreeMap<String, i64>,
}

impl NodeFacts {
    /// Whether any taint has one of `effects`.
    pub fn has_taint(&self, effects: &[&str]) -> bool {
        self.taints.iter().any(|taint| effects.contains(&taint.effect.as_str()))
    }
}

impl Projection for NodeFacts {
    fn project(document: &Document) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Part {
            metadata: Fields,
            #[serde(default)]
            spec: NodeSpec,
            #[serde(default)]
            status: NodeStatus,
        }
        #[derive(Deserialize)]
        struct Fields {
            name: String,
            labels: Option<BTreeMap<String, String>>,
        }
        let Part { metadata, spec, status } = document.decode_part()?;
        let allocatable = status.allocatable.or(status.capacity).unwrap_or_default();
        let pods = allocatable.get("pods");
        let images = status.images.into_iter().flatten().flat_map(|image| {
            let size = image.size_bytes.unwrap_or(0);
            image.names.into_iter().flatten().map(move |name| (name, size))
        });
        Ok(Self {
            name: metadata.name,
            labels: metadata.labels.unwrap_or_default(),
            taints: spec.taints.unwrap_or_default(),
            unschedulable: spec.unschedulable.unwrap_or(false),
            allocatable: Amounts::read(&allocatable),
            allocatable_pods: pods
                .and_then(|pods| apimachinery::quantity::Quantity::parse(&pods.0).ok())
                .map_or(0, |pods| pods.value()),
            images: images.collect(),
        })
    }

    fn key(&self) -> ObjectKey {
        ObjectKey::cluster(self.name.clone())
    }
}

/// A node and what its pods take of it, assumed ones included.
#[derive(Clone, Debug, Default)]
pub struct NodeInfo {
    pub facts: Arc<NodeFacts>,
    pub pods: Vec<SharedPod>,
    pub requested: Amounts,
    /// The pods' [`crate::PodInfo::scored_cpu`] and `scored_memory`.
    pub scored_cpu: i64,
    pub scored_memory: i64,
    pub host_ports: Vec<HostPort>,
    /// How many of the pods have inter-pod (anti-)affinity.
    pub pods_with_affinity: usize,
}

impl NodeInfo {
    pub fn name(&self) -> &str {
        &self.facts.name
    }

    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.facts.labels
    }

    pub fn add(&mut self, pod: SharedPod) {
        self.requested.add(&pod.requests);
        self.scored_cpu += pod.scored_cpu;
        self.scored_memory += pod.scored_memory;
        self.host_ports.extend(pod.host_ports.iter().cloned());
        self.pods_with_affinity += usize::from(pod.affinity.is_some());
        self.pods.push(pod);
    }

    /// Takes the pod with this uid off the node, if it is there.
    pub fn remove(&mut self, uid: &str) -> Option<SharedPod> {
        let at = self.pods.iter().position(|pod| pod.uid == uid)?;
        let pod = self.pods.swap_remove(at);
        self.requested.subtract(&pod.requests);
        self.scored_cpu -= pod.scored_cpu;
        self.scored_memory -= pod.scored_memory;
        for port in &pod.host_ports {
            if let Some(at) = self.host_ports.iter().position(|used| used == port) {
                self.host_ports.swap_remove(at);
            }
        }
        self.pods_with_affinity -= usize::from(pod.affinity.is_some());
        Some(pod)
    }

    pub fn free_milli_cpu(&self) -> i64 {
        self.facts.allocatable.milli_cpu - self.requested.milli_cpu
    }

    pub fn free_memory(&self) -> i64 {
        self.facts.allocatable.memory - self.requested.memory
    }

    pub fn has_room(&self) -> bool {
        (self.pods.len() as i64) < self.facts.allocatable_pods
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PodInfo;

    #[test]
    fn pods_come_and_go_without_a_trace() {
        let pod = Arc::new(PodInfo {
            uid: "u".into(),
            requests: Amounts { milli_cpu: 10, memory: 5, ..Amounts::default() },
            scored_cpu: 10,
            host_ports: vec![HostPort { ip: "0.0.0.0".into(), protocol: "TCP".into(), port: 80 }],
            affinity: Some(Box::default()),
            ..PodInfo::default()
        });
        let mut node = NodeInfo::default();
        node.add(pod.clone());
        assert_eq!((node.requested.milli_cpu, node.host_ports.len(), node.pods_with_affinity), (10, 1, 1));
        assert_eq!(node.remove("other"), None);
        assert_eq!(node.remove("u"), Some(pod));
        assert!(node.requested.is_zero() && node.host_ports.is_empty());
        assert_eq!((node.scored_cpu, node.pods_with_affinity), (0, 0));
    }

    #[test]
    fn a_node_is_read_from_its_object() {
        let bytes = br#"{"metadata":{"name":"n","labels":{"a":"b"}},
            "spec":{"taints":[{"key":"k","effect":"NoSchedule"}]},
            "status":{"allocatable":{"cpu":"2","memory":"1Gi","pods":"110"},
                      "images":[{"names":["x@sha256:1","x:1"],"sizeBytes":7}]}}"#;
        let node = NodeFacts::project(&Document::new(bytes.to_vec().into(), 1)).unwrap();
        assert_eq!((node.allocatable.milli_cpu, node.allocatable_pods), (2000, 110));
        assert_eq!(node.images.get("x:1"), Some(&7));
        assert!(node.has_taint(&["NoSchedule"]) && !node.has_taint(&["NoExecute"]));
    }
}
