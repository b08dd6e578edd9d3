//! What of claims, volumes and classes a decision looks at.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{
    NodeSelector, PersistentVolume, PersistentVolumeClaim, PersistentVolumeSpec, PersistentVolumeStatus,
    TopologySelectorTerm,
};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Set by the scheduler: where the volume of a claim is to be reachable.
pub const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
/// Volumes of such a class are made by hand.
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

/// What of a PersistentVolumeClaim a decision looks at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claim {
    pub terminating: bool,
    /// The volume that it is bound to for good.
    pub volume: Option<String>,
    pub class: String,
    /// What it asks for, as long as it is not bound.
    pub unbound: Option<Arc<PersistentVolumeClaim>>,
}

impl Claim {
    pub fn of(claim: PersistentVolumeClaim) -> Self {
        let volume = bound_volume(&claim).map(str::to_owned);
        Self {
            terminating: claim.metadata.deletion_timestamp.is_some(),
            class: api::volume::class_of_claim(&claim),
            unbound: volume.is_none().then(|| {
                let metadata = pared(claim.metadata);
                Arc::new(PersistentVolumeClaim { metadata, spec: claim.spec, status: None })
            }),
            volume,
        }
    }
}

/// The volume that a claim is bound to for good.
pub fn bound_volume(claim: &PersistentVolumeClaim) -> Option<&str> {
    let annotations = claim.metadata.annotations.as_ref();
    let is_bound = annotations.is_some_and(|annotations| annotations.contains_key(BIND_COMPLETED));
    let volume = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref());
    volume.filter(|name| is_bound && !name.is_empty())
}

/// The node that was chosen for the volume of a claim.
pub fn selected_node(claim: &PersistentVolumeClaim) -> Option<&str> {
    claim.metadata.annotations.as_ref()?.get(SELECTED_NODE).map(String::as_str)
}

/// What of a PersistentVolume a decision looks at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Volume {
    /// The nodes that can mount it; None: any.
    pub nodes: Option<NodeSelector>,
    /// What it offers, as long as no claim has it for good.
    pub unbound: Option<Arc<PersistentVolume>>,
}

impl Volume {
    pub fn of(volume: PersistentVolume) -> Self {
        let spec = volume.spec.unwrap_or_default();
        let nodes = spec.node_affinity.as_ref().and_then(|affinity| affinity.required.clone());
        let phase = volume.status.and_then(|status| status.phase).unwrap_or_default();
        let unbound = (phase != "Bound").then(|| {
            Arc::new(PersistentVolume {
                metadata: pared(volume.metadata),
                spec: Some(PersistentVolumeSpec {
                    access_modes: spec.access_modes,
                    capacity: spec.capacity,
                    claim_ref: spec.claim_ref,
                    node_affinity: spec.node_affinity,
                    storage_class_name: spec.storage_class_name,
                    volume_attributes_class_name: spec.volume_attributes_class_name,
                    volume_mode: spec.volume_mode,
                    ..PersistentVolumeSpec::default()
                }),
                status: Some(PersistentVolumeStatus {
                    phase: Some(phase),
                    ..PersistentVolumeStatus::default()
                }),
            })
        });
        Self { nodes, unbound }
    }
}

/// What matching looks at.
fn pared(metadata: ObjectMeta) -> ObjectMeta {
    ObjectMeta {
        name: metadata.name,
        namespace: metadata.namespace,
        uid: metadata.uid,
        labels: metadata.labels,
        annotations: metadata.annotations,
        deletion_timestamp: metadata.deletion_timestamp,
        ..ObjectMeta::default()
    }
}

/// What of a StorageClass a decision looks at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Class {
    /// Its claims wait for a pod (`WaitForFirstConsumer`).
    pub binds_late: bool,
    /// Somebody makes volumes for its claims.
    pub provisions: bool,
    /// Where; empty is anywhere.
    topologies: Vec<TopologySelectorTerm>,
}

impl Class {
    pub fn of(class: StorageClass) -> Self {
        Self {
            binds_late: class.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer"),
            provisions: !["", NO_PROVISIONER].contains(&class.provisioner.as_str()),
            topologies: class.allowed_topologies.unwrap_or_default(),
        }
    }

    /// Whether volumes can be made for a node with these labels.
    pub fn provisions_on(&self, labels: &BTreeMap<String, String>) -> bool {
        let holds = |term: &TopologySelectorTerm| {
            term.match_label_expressions.iter().flatten().all(|expression| {
                labels.get(&expression.key).is_some_and(|value| expression.values.contains(value))
            })
        };
        // A term without expressions matches nothing.
        let matches = |term: &TopologySelectorTerm| {
            term.match_label_expressions.as_ref().is_some_and(|all| !all.is_empty()) && holds(term)
        };
        self.provisions && (self.topologies.is_empty() || self.topologies.iter().any(matches))
    }
}
