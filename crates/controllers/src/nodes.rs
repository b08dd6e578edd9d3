//! What the controllers keep of a node.

use std::collections::BTreeMap;

use client::{Document, Error};
use informer::{ObjectKey, Projection};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, NodeCondition, Taint};

/// A node, reduced to what loops decide by: no images, no capacity.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeView {
    pub name: String,
    pub uid: String,
    pub revision: u64,
    pub labels: BTreeMap<String, String>,
    pub taints: Vec<Taint>,
    /// `spec.unschedulable`: cordoned.
    pub unschedulable: bool,
    pub conditions: Vec<NodeCondition>,
    pub created: Timestamp,
    pub terminating: bool,
    /// `node.alpha.kubernetes.io/ttl`.
    pub ttl: Option<String>,
}

impl NodeView {
    pub fn condition(&self, kind: &str) -> Option<&NodeCondition> {
        self.conditions.iter().find(|condition| condition.type_ == kind)
    }

    pub fn is_ready(&self) -> bool {
        self.condition("Ready").is_some_and(|condition| condition.status == "True")
    }

    /// `topology.kubernetes.io/zone`.
    pub fn zone(&self) -> Option<&str> {
        self.labels.get(api::node::ZONE).map(String::as_str)
    }

    pub fn has_taint(&self, key: &str, effect: &str) -> bool {
        self.taints.iter().any(|taint| taint.key == key && taint.effect == effect)
    }
}

impl Projection for NodeView {
    fn project(document: &Document) -> Result<Self, Error> {
        let node: Node = document.decode()?;
        let spec = node.spec.unwrap_or_default();
        let metadata = node.metadata;
        Ok(Self {
            name: metadata.name.unwrap_or_default(),
            uid: metadata.uid.unwrap_or_default(),
            revision: document.revision(),
            labels: metadata.labels.unwrap_or_default(),
            taints: spec.taints.unwrap_or_default(),
            unschedulable: spec.unschedulable.unwrap_or(false),
            conditions: node.status.unwrap_or_default().conditions.unwrap_or_default(),
            created: metadata.creation_timestamp.map_or(Timestamp::UNIX_EPOCH, |time| time.0),
            terminating: metadata.deletion_timestamp.is_some(),
            ttl: metadata.annotations.and_then(|mut all| all.remove("node.alpha.kubernetes.io/ttl")),
        })
    }

    fn key(&self) -> ObjectKey {
        ObjectKey::cluster(self.name.clone())
    }
}
