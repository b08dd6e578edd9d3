//! What the scheduler keeps of a pod: what the decision looks at, and no more.
//!
//! Of a pod that has a node only its weight on that node stays; its wishes
//! are dropped.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::requests::pod_requests;
use apimachinery::labels::Selector;
use client::{Document, Error};
use informer::{ObjectKey, Projection, Reference};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    NodeSelector, PodAffinityTerm, PodCondition, PodSpec, PreferredSchedulingTerm, Toleration,
    TopologySpreadConstraint, Volume,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use serde::Deserialize;

use crate::resources::{Amounts, NO_CPU_REQUEST, NO_MEMORY_REQUEST};
use crate::selector;

/// A pod, reduced to what scheduling decides by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodInfo {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub revision: u64,
    pub generation: i64,
    pub labels: BTreeMap<String, String>,
    pub scheduler_name: String,
    /// "" before it is bound.
    pub node: String,
    pub priority: i32,
    pub created: Timestamp,
    pub started: Option<Timestamp>,
    /// Being deleted.
    pub terminating: bool,
    /// `Succeeded` or `Failed`: it weighs nothing.
    pub ended: bool,
    /// The scheduler itself evicted it for a more important pod.
    pub preempted: bool,
    pub requests: Amounts,
    /// CPU and memory as scores count them: a container without a request
    /// counts for [`NO_CPU_REQUEST`] and [`NO_MEMORY_REQUEST`].
    pub scored_cpu: i64,
    pub scored_memory: i64,
    pub host_ports: Vec<HostPort>,
    pub affinity: Option<Box<PodAffinities>>,
    /// None once the pod has a node.
    pub wishes: Option<Box<Wishes>>,
}

/// A port of the node's own addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// `0.0.0.0` for all addresses.
    pub ip: String,
    pub protocol: String,
    pub port: i32,
}

impl HostPort {
    pub fn conflicts_with(&self, other: &HostPort) -> bool {
        let all = |port: &HostPort| port.ip == "0.0.0.0";
        self.port == other.port
            && self.protocol == other.protocol
            && (self.ip == other.ip || all(self) || all(other))
    }
}

/// Inter-pod affinity. It binds later pods too, so that it stays with the pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodAffinities {
    pub required: Vec<AffinityTerm>,
    pub required_anti: Vec<AffinityTerm>,
    pub preferred: Vec<(i64, AffinityTerm)>,
    pub preferred_anti: Vec<(i64, AffinityTerm)>,
}

/// PodAffinityTerm, ready to match. The server has merged `matchLabelKeys`
/// into the selector.
#[derive(Clone, Debug, PartialEq)]
pub struct AffinityTerm {
    pub topology_key: String,
    pub selector: Selector,
    pub namespaces: Vec<String>,
    pub namespace_selector: Selector,
}

/// What a pod without a node asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wishes {
    /// `spec.nodeSelector`.
    pub node_selector: BTreeMap<String, String>,
    pub required_nodes: Option<NodeSelector>,
    pub preferred_nodes: Vec<PreferredSchedulingTerm>,
    pub tolerations: Vec<Toleration>,
    pub spread: Vec<TopologySpreadConstraint>,
    /// Names of the scheduling gates that are left.
    pub gates: Vec<String>,
    /// The images of all containers.
    pub images: Vec<String>,
    /// The claims of its volumes, those of ephemeral ones too.
    pub claims: Vec<String>,
    /// `preemptionPolicy: Never`.
    pub never_preempts: bool,
    pub nominated_node: String,
    pub controller: Option<OwnerReference>,
    /// The condition `PodScheduled` as it is.
    pub scheduled: Option<Scheduled>,
}

/// What the condition `PodScheduled` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheduled {
    pub status: String,
    pub reason: String,
    pub message: String,
}

static NO_WISHES: Wishes = Wishes {
    node_selector: BTreeMap::new(),
    required_nodes: None,
    preferred_nodes: Vec::new(),
    tolerations: Vec::new(),
    spread: Vec::new(),
    gates: Vec::new(),
    images: Vec::new(),
    claims: Vec::new(),
    never_preempts: false,
    nominated_node: String::new(),
    controller: None,
    scheduled: None,
};

impl PodInfo {
    pub fn key(&self) -> ObjectKey {
        ObjectKey::new(self.namespace.clone(), self.name.clone())
    }

    pub fn wishes(&self) -> &Wishes {
        self.wishes.as_deref().unwrap_or(&NO_WISHES)
    }

    /// The same pod as if it were bound to `node`.
    pub fn on_node(&self, node: &str) -> Self {
        Self { node: node.to_owned(), ..self.clone() }
    }

    pub fn reference(&self) -> Reference {
        Reference {
            api_version: "v1".into(),
            kind: "Pod".into(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            uid: self.uid.clone(),
            resource_version: self.revision.to_string(),
            field_path: String::new(),
        }
    }
}

impl AffinityTerm {
    fn of(term: &PodAffinityTerm, own_namespace: &str) -> Self {
        let mut namespaces = term.namespaces.clone().unwrap_or_default();
        if namespaces.is_empty() && term.namespace_selector.is_none() {
            namespaces.push(own_namespace.to_owned());
        }
        Self {
            topology_key: term.topology_key.clone(),
            selector: selector::read(term.label_selector.as_ref()),
            namespaces,
            namespace_selector: selector::read(term.namespace_selector.as_ref()),
        }
    }

    /// Whether the term speaks of `pod`, whose namespace has `namespace_labels`.
    pub fn matches(&self, pod: &PodInfo, namespace_labels: &BTreeMap<String, String>) -> bool {
        (self.namespaces.contains(&pod.namespace) || self.namespace_selector.matches(namespace_labels))
            && self.selector.matches(&pod.labels)
    }
}

#[derive(Deserialize)]
struct Part {
    metadata: Fields,
    spec: PodSpec,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Fields {
    namespace: String,
    name: String,
    uid: String,
    generation: i64,
    labels: Option<BTreeMap<String, String>>,
    owner_references: Option<Vec<OwnerReference>>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    phase: String,
    start_time: Option<Time>,
    nominated_node_name: String,
    conditions: Option<Vec<PodCondition>>,
}

impl Projection for PodInfo {
    fn project(document: &Document) -> Result<Self, Error> {
        let Part { metadata, spec, status } = document.decode_part()?;
        let conditions = status.conditions.unwrap_or_default();
        let condition = |kind: &str| conditions.iter().find(|condition| condition.type_ == kind);
        let node = spec.node_name.clone().unwrap_or_default();
        let scheduled = condition("PodScheduled").map(|condition| Scheduled {
            status: condition.status.clone(),
            reason: condition.reason.clone().unwrap_or_default(),
            message: condition.message.clone().unwrap_or_default(),
        });
        let preempted = condition("DisruptionTarget").is_some_and(|condition| {
            condition.status == "True" && condition.reason.as_deref() == Some("PreemptionByScheduler")
        });
        let controller = metadata.owner_references.into_iter().flatten();
        let controller = controller.into_iter().find(|owner| owner.controller == Some(true));
        let wishes = node.is_empty().then(|| {
            let mut wishes = wishes_of(&metadata.name, &spec);
            wishes.nominated_node = status.nominated_node_name;
            wishes.controller = controller;
            wishes.scheduled = scheduled;
            Box::new(wishes)
        });
        let requests = Amounts::of(&pod_requests(&spec));
        let without = |resource: &str| {
            let asks = |container: &&k8s_openapi::api::core::v1::Container| {
                let requests = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
                requests.is_none_or(|requests| !requests.contains_key(resource))
            };
            spec.containers.iter().filter(asks).count() as i64
        };
        Ok(Self {
            scored_cpu: requests.milli_cpu + NO_CPU_REQUEST * without("cpu"),
            scored_memory: requests.memory + NO_MEMORY_REQUEST * without("memory"),
            requests,
            host_ports: host_ports(&spec),
            affinity: affinities(&spec, &metadata.namespace),
            namespace: metadata.namespace,
            name: metadata.name,
            uid: metadata.uid,
            revision: document.revision(),
            generation: metadata.generation,
            labels: metadata.labels.unwrap_or_default(),
            scheduler_name: spec.scheduler_name.unwrap_or_else(|| crate::SCHEDULER_NAME.into()),
            node,
            priority: spec.priority.unwrap_or(0),
            created: metadata.creation_timestamp.map_or(Timestamp::UNIX_EPOCH, |time| time.0),
            started: status.start_time.map(|time| time.0),
            terminating: metadata.deletion_timestamp.is_some(),
            ended: matches!(status.phase.as_str(), "Succeeded" | "Failed"),
            preempted,
            wishes,
        })
    }

    fn key(&self) -> ObjectKey {
        PodInfo::key(self)
    }
}

fn wishes_of(name: &str, spec: &PodSpec) -> Wishes {
    let node_affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let containers = spec.init_containers.iter().flatten().chain(&spec.containers);
    Wishes {
        node_selector: spec.node_selector.clone().unwrap_or_default(),
        required_nodes: node_affinity
            .and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.clone()),
        preferred_nodes: node_affinity
            .and_then(|affinity| affinity.preferred_during_scheduling_ignored_during_execution.clone())
            .unwrap_or_default(),
        tolerations: spec.tolerations.clone().unwrap_or_default(),
        spread: spec.topology_spread_constraints.clone().unwrap_or_default(),
        gates: spec.scheduling_gates.iter().flatten().map(|gate| gate.name.clone()).collect(),
        images: containers.filter_map(|container| container.image.clone()).collect(),
        claims: spec.volumes.iter().flatten().filter_map(|volume| claim_of(name, volume)).collect(),
        never_preempts: spec.preemption_policy.as_deref() == Some("Never"),
        ..Wishes::default()
    }
}

/// The claim that a volume shows.
fn claim_of(pod: &str, volume: &Volume) -> Option<String> {
    if volume.ephemeral.is_some() {
        return Some(format!("{pod}-{}", volume.name));
    }
    Some(volume.persistent_volume_claim.as_ref()?.claim_name.clone())
}

fn affinities(spec: &PodSpec, namespace: &str) -> Option<Box<PodAffinities>> {
    let affinity = spec.affinity.as_ref()?;
    let mut found = PodAffinities::default();
    let required = |terms: &Option<Vec<PodAffinityTerm>>| -> Vec<AffinityTerm> {
        terms.iter().flatten().map(|term| AffinityTerm::of(term, namespace)).collect()
    };
    if let Some(together) = &affinity.pod_affinity {
        found.required = required(&together.required_during_scheduling_ignored_during_execution);
        let preferred = together.preferred_during_scheduling_ignored_during_execution.iter().flatten();
        found.preferred = preferred
            .map(|term| (i64::from(term.weight), AffinityTerm::of(&term.pod_affinity_term, namespace)))
            .collect();
    }
    if let Some(apart) = &affinity.pod_anti_affinity {
        found.required_anti = required(&apart.required_during_scheduling_ignored_during_execution);
        let preferred = apart.preferred_during_scheduling_ignored_during_execution.iter().flatten();
        found.preferred_anti = preferred
            .map(|term| (i64::from(term.weight), AffinityTerm::of(&term.pod_affinity_term, namespace)))
            .collect();
    }
    (found != PodAffinities::default()).then(|| Box::new(found))
}

fn host_ports(spec: &PodSpec) -> Vec<HostPort> {
    let sidecars =
        spec.init_containers.iter().flatten().filter(|container| api::requests::is_sidecar(container));
    let ports = spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten());
    let filled = |text: &Option<String>, default: &str| {
        text.clone().filter(|text| !text.is_empty()).unwrap_or_else(|| default.to_owned())
    };
    ports
        .filter_map(|port| {
            let number = port.host_port.filter(|number| *number > 0)?;
            Some(HostPort {
                ip: filled(&port.host_ip, "0.0.0.0"),
                protocol: filled(&port.protocol, "TCP"),
                port: number,
            })
        })
        .collect()
}

/// A shared pod, as informers, queue and cluster hold it.
pub type SharedPod = Arc<PodInfo>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_pod_drops_its_wishes() {
        let bytes = br#"{"metadata":{"name":"a","namespace":"d","uid":"u"},
            "spec":{"nodeName":"n","containers":[{"name":"c","image":"i"}],"tolerations":[{"operator":"Exists"}]}}"#;
        let pod = PodInfo::project(&Document::new(bytes.to_vec().into(), 7)).unwrap();
        assert_eq!((pod.node.as_str(), pod.revision, &pod.wishes), ("n", 7, &None));
        assert_eq!(pod.wishes(), &Wishes::default());
        assert_eq!((pod.scored_cpu, pod.scored_memory), (NO_CPU_REQUEST, NO_MEMORY_REQUEST));
        assert_eq!(pod.scheduler_name, "default-scheduler");
    }

    #[test]
    fn host_ports_conflict_by_address() {
        let port =
            |ip: &str, protocol: &str, port| HostPort { ip: ip.into(), protocol: protocol.into(), port };
        for (a, b, expected) in [
            (port("0.0.0.0", "TCP", 80), port("10.0.0.1", "TCP", 80), true),
            (port("10.0.0.1", "TCP", 80), port("10.0.0.2", "TCP", 80), false),
            (port("10.0.0.1", "TCP", 80), port("10.0.0.1", "TCP", 80), true),
            (port("0.0.0.0", "TCP", 80), port("0.0.0.0", "UDP", 80), false),
            (port("0.0.0.0", "TCP", 80), port("0.0.0.0", "TCP", 81), false),
        ] {
            assert_eq!(a.conflicts_with(&b), expected, "{a:?} {b:?}");
            assert_eq!(b.conflicts_with(&a), expected, "{b:?} {a:?}");
        }
    }
}
