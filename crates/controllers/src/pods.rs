//! What the controllers keep of a pod.

use std::collections::BTreeMap;
use std::sync::Arc;

use client::{Document, Error};
use informer::{ObjectKey, Projection, Reference};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::Metadata;
use k8s_openapi::api::core::v1::{Affinity, ContainerStatus, Pod, PodTemplateSpec, Volume};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::owners::controlled_by;
use crate::volume_claims::ephemeral_claim;

/// PodPhase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    #[default]
    Pending,
    Running,
    Succeeded,
    Failed,
    Unknown,
}

/// A pod, reduced to what loops decide by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodView {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub labels: BTreeMap<String, String>,
    /// The owner with `controller: true`.
    pub controller: Option<OwnerReference>,
    pub created: Timestamp,
    pub terminating: bool,
    pub phase: Phase,
    /// "" before it is scheduled.
    pub node: String,
    /// The Ready condition is true.
    pub ready: bool,
    /// When Ready last changed.
    pub ready_changed: Option<Timestamp>,
    /// The most restarts of any container.
    pub restarts: i32,
    /// Those of all containers, init ones too.
    pub all_restarts: i32,
    /// When its deletion was asked for.
    pub deleted: Option<Timestamp>,
    /// `controller.kubernetes.io/pod-deletion-cost`, 0 where absent or wrong.
    pub deletion_cost: i32,
    pub ips: Vec<String>,
    pub hostname: String,
    pub subdomain: String,
    pub host_network: bool,
    /// Name (or ""), number and protocol of every container port.
    pub ports: Vec<(String, i32, String)>,
    /// Type and status of every condition, of an ended pod only.
    pub conditions: Vec<(String, String)>,
    /// Since when its DisruptionTarget condition is true, unless the node
    /// itself is what ends it.
    pub disrupted: Option<Timestamp>,
    pub finalizers: Vec<String>,
    /// The node that an unbound pod is meant for by its affinity
    /// (`metadata.name In [NODE]`), as a DaemonSet's pods are; "" for others.
    pub aims_at: String,
    /// `batch.kubernetes.io/job-completion-index`.
    pub completion_index: Option<i32>,
    /// `batch.kubernetes.io/job-index-failure-count`: failures of its index
    /// before this pod.
    pub index_failures: i32,
    /// `batch.kubernetes.io/job-index-ignored-failure-count`: those that the
    /// Job's policy did not count.
    pub index_ignored: i32,
    /// When the last container of an ended pod finished.
    pub finished: Option<Timestamp>,
    /// Name of each volume that shows a claim, and the claim's; ephemeral ones too.
    pub claims: Vec<(String, String)>,
    /// Containers of a failed pod (init ones too) with a non-zero exit code.
    pub exit_codes: Vec<(String, i32)>,
    /// The claims for devices that it names.
    pub device_claims: Vec<DeviceClaim>,
    /// The claim that the scheduler made for its extended resources.
    pub extended_claim: Option<String>,
}

/// An entry of a pod's `spec.resourceClaims`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceClaim {
    pub name: String,
    /// Where it names a ResourceClaim.
    pub claim: Option<String>,
    /// Where it names a template.
    pub template: Option<String>,
    /// What the pod's status says was made from the template: `Some(None)`
    /// where none is needed.
    pub made: Option<Option<String>>,
}

impl PodView {
    /// The pod as events speak of it.
    pub fn reference(&self) -> Reference {
        Reference {
            api_version: "v1".into(),
            kind: "Pod".into(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            uid: self.uid.clone(),
            ..Reference::default()
        }
    }

    /// Neither ended nor on its way out.
    pub fn is_active(&self) -> bool {
        !self.terminating && !self.has_ended()
    }

    pub fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Succeeded | Phase::Failed)
    }

    /// Ready for at least `min_ready` seconds.
    pub fn is_available(&self, min_ready: i32, now: Timestamp) -> bool {
        self.ready && self.available_at(min_ready).is_some_and(|at| at <= now)
    }

    /// When a ready pod becomes available.
    pub fn available_at(&self, min_ready: i32) -> Option<Timestamp> {
        let since = self.ready_changed.unwrap_or(self.created);
        self.ready.then(|| since.saturating_add(SignedDuration::from_secs(min_ready.into())).unwrap_or(since))
    }
}

impl Projection for PodView {
    fn project(document: &Document) -> Result<Self, Error> {
        document.decode().map(Self::of)
    }

    fn key(&self) -> ObjectKey {
        ObjectKey::new(self.namespace.clone(), self.name.clone())
    }
}

impl PodView {
    pub fn of(pod: Pod) -> Self {
        let spec = pod.spec.unwrap_or_default();
        let status = pod.status.unwrap_or_default();
        let metadata = pod.metadata;
        let conditions = status.conditions.unwrap_or_default();
        let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
        let disrupted = conditions
            .iter()
            .find(|condition| condition.type_ == "DisruptionTarget" && condition.status == "True")
            .filter(|condition| condition.reason.as_deref() != Some("TerminationByKubelet"))
            .and_then(|condition| condition.last_transition_time.as_ref())
            .map(|time| time.0);
        let annotations = metadata.annotations.unwrap_or_default();
        let number = |key: &str| annotations.get(key).and_then(|text| text.parse::<i32>().ok());
        let mut statuses = status.container_statuses.unwrap_or_default();
        let restarts = statuses.iter().map(|container| container.restart_count).max().unwrap_or(0);
        let inits = status.init_container_statuses.iter().flatten();
        let all_restarts = statuses.iter().chain(inits).map(|container| container.restart_count).sum();
        let grace = SignedDuration::from_secs(metadata.deletion_grace_period_seconds.unwrap_or(0));
        let deleted = metadata.deletion_timestamp.as_ref().map(|time| time.0 - grace);
        let phase = match status.phase.as_deref() {
            Some("Running") => Phase::Running,
            Some("Succeeded") => Phase::Succeeded,
            Some("Failed") => Phase::Failed,
            Some("Unknown") => Phase::Unknown,
            _ => Phase::Pending,
        };
        let ended = matches!(phase, Phase::Succeeded | Phase::Failed);
        let finished = finish_time(&statuses).filter(|_| ended);
        statuses.extend(status.init_container_statuses.unwrap_or_default());
        let sidecars = spec
            .init_containers
            .iter()
            .flatten()
            .filter(|container| container.restart_policy.as_deref() == Some("Always"));
        let ports =
            spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten());
        let name = metadata.name.unwrap_or_default();
        let volumes = spec.volumes.iter().flatten();
        let made = status.resource_claim_statuses.unwrap_or_default();
        let device_claims = spec.resource_claims.iter().flatten().map(|claim| DeviceClaim {
            name: claim.name.clone(),
            claim: claim.resource_claim_name.clone(),
            template: claim.resource_claim_template_name.clone(),
            made: made
                .iter()
                .find(|status| status.name == claim.name)
                .map(|status| status.resource_claim_name.clone()),
        });
        let device_claims = device_claims.collect();
        let claims = volumes.filter_map(|volume| claimed(&name, volume)).collect();
        Self {
            namespace: metadata.namespace.unwrap_or_default(),
            name,
            uid: metadata.uid.unwrap_or_default(),
            labels: metadata.labels.unwrap_or_default(),
            controller: metadata
                .owner_references
                .unwrap_or_default()
                .into_iter()
                .find(|owner| owner.controller == Some(true)),
            created: metadata.creation_timestamp.map_or(Timestamp::UNIX_EPOCH, |time| time.0),
            terminating: metadata.deletion_timestamp.is_some(),
            phase,
            node: spec.node_name.clone().unwrap_or_default(),
            ready: ready.is_some_and(|condition| condition.status == "True"),
            ready_changed: ready
                .and_then(|condition| condition.last_transition_time.as_ref())
                .map(|time| time.0),
            restarts,
            all_restarts,
            deleted,
            disrupted,
            deletion_cost: number("controller.kubernetes.io/pod-deletion-cost").unwrap_or(0),
            ips: status.pod_ips.unwrap_or_default().into_iter().map(|ip| ip.ip).collect(),
            hostname: spec.hostname.clone().unwrap_or_default(),
            subdomain: spec.subdomain.clone().unwrap_or_default(),
            host_network: spec.host_network.unwrap_or(false),
            ports: ports
                .map(|port| {
                    let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".into());
                    (port.name.clone().unwrap_or_default(), port.container_port, protocol)
                })
                .collect(),
            aims_at: spec.affinity.as_ref().and_then(aimed_node).unwrap_or_default(),
            finalizers: metadata.finalizers.unwrap_or_default(),
            completion_index: number("batch.kubernetes.io/job-completion-index"),
            index_failures: number("batch.kubernetes.io/job-index-failure-count").unwrap_or(0),
            index_ignored: number("batch.kubernetes.io/job-index-ignored-failure-count").unwrap_or(0),
            finished,
            claims,
            exit_codes: if phase == Phase::Failed { exit_codes(&statuses) } else { Vec::new() },
            device_claims,
            extended_claim: status.extended_resource_claim_status.map(|status| status.resource_claim_name),
            conditions: conditions
                .into_iter()
                .filter(|_| ended)
                .map(|condition| (condition.type_, condition.status))
                .collect(),
        }
    }
}

/// The claim that a volume shows; that of an ephemeral one is called after its pod.
fn claimed(pod: &str, volume: &Volume) -> Option<(String, String)> {
    let claim = match &volume.ephemeral {
        Some(_) => ephemeral_claim(pod, &volume.name),
        None => volume.persistent_volume_claim.as_ref()?.claim_name.clone(),
    };
    Some((volume.name.clone(), claim))
}

fn finish_time(statuses: &[ContainerStatus]) -> Option<Timestamp> {
    let ends = statuses.iter().map(|container| {
        container.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref().map(|time| time.0)
    });
    // One that has not ended leaves the time unknown.
    ends.collect::<Option<Vec<_>>>()?.into_iter().max()
}

fn exit_codes(statuses: &[ContainerStatus]) -> Vec<(String, i32)> {
    let codes = statuses.iter().filter_map(|container| {
        let code = container.state.as_ref()?.terminated.as_ref()?.exit_code;
        Some((container.name.clone(), code))
    });
    codes.filter(|(_, code)| *code != 0).collect()
}

fn aimed_node(affinity: &Affinity) -> Option<String> {
    let affinity = affinity.node_affinity.as_ref()?;
    let required = affinity.required_during_scheduling_ignored_during_execution.as_ref()?;
    let fields = required.node_selector_terms.iter().flat_map(|term| term.match_fields.iter().flatten());
    let by_name = fields.filter(|field| field.key == "metadata.name" && field.operator == "In");
    by_name.filter_map(|field| field.values.as_ref()?.first().cloned()).next()
}

/// A new pod of `owner`'s template (`controller.GetPodFromTemplate`).
pub fn pod_of_template<K>(owner: &K, template: &PodTemplateSpec) -> Pod
where
    K: k8s_openapi::Resource + Metadata<Ty = ObjectMeta>,
{
    let of_owner = owner.metadata();
    let of_template = template.metadata.clone().unwrap_or_default();
    let name = of_owner.name.clone().unwrap_or_default();
    Pod {
        metadata: ObjectMeta {
            generate_name: Some(format!("{name}-")),
            namespace: of_owner.namespace.clone(),
            labels: of_template.labels,
            annotations: of_template.annotations,
            finalizers: of_template.finalizers,
            owner_references: Some(vec![controlled_by(owner)]),
            ..ObjectMeta::default()
        },
        spec: template.spec.clone(),
        status: None,
    }
}

/// Orders pods so that those to be deleted first come first
/// (`controller.ActivePodsWithRanks`). `ranks` tells how many active pods of
/// related sets run on a pod's node.
pub fn deletion_order(pods: &mut [Arc<PodView>], ranks: &BTreeMap<&str, usize>, now: Timestamp) {
    pods.sort_by(|a, b| deletion_preference(a, b, ranks, now));
}

fn deletion_preference(
    a: &PodView,
    b: &PodView,
    ranks: &BTreeMap<&str, usize>,
    now: Timestamp,
) -> std::cmp::Ordering {
    let phase_rank = |pod: &PodView| match pod.phase {
        Phase::Pending => 0,
        Phase::Unknown => 1,
        _ => 2,
    };
    let rank = |pod: &PodView| ranks.get(pod.node.as_str()).copied().unwrap_or(0);
    // Younger first; ages are compared by order of magnitude, so that a
    // second's difference does not always hit the same pod.
    let magnitude = |time: Timestamp| {
        let seconds = now.duration_since(time).as_secs().max(0);
        seconds.checked_ilog2().map_or(0, |log| log + 1)
    };
    let ready_age = |pod: &PodView| if pod.ready { pod.ready_changed.map_or(0, magnitude) } else { 0 };
    (!a.node.is_empty())
        .cmp(&!b.node.is_empty())
        .then_with(|| phase_rank(a).cmp(&phase_rank(b)))
        .then_with(|| a.ready.cmp(&b.ready))
        .then_with(|| a.deletion_cost.cmp(&b.deletion_cost))
        .then_with(|| rank(b).cmp(&rank(a)))
        .then_with(|| ready_age(a).cmp(&ready_age(b)))
        .then_with(|| b.restarts.cmp(&a.restarts))
        .then_with(|| magnitude(a.created).cmp(&magnitude(b.created)))
        .then_with(|| a.uid.cmp(&b.uid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_useful_pods_go_first() {
        let now = Timestamp::from_second(100_000).unwrap();
        let base = PodView {
            node: "n".into(),
            phase: Phase::Running,
            ready: true,
            ready_changed: Some(Timestamp::from_second(50_000).unwrap()),
            ..PodView::default()
        };
        let named =
            |name: &str, pod: PodView| Arc::new(PodView { name: name.into(), uid: name.into(), ..pod });
        let mut pods = vec![
            named("good", base.clone()),
            named("restarting", PodView { restarts: 3, ..base.clone() }),
            named("cheap", PodView { deletion_cost: -5, ..base.clone() }),
            named("unready", PodView { ready: false, ..base.clone() }),
            named("pending", PodView { phase: Phase::Pending, ready: false, ..base.clone() }),
            named(
                "unassigned",
                PodView { node: "".into(), phase: Phase::Pending, ready: false, ..base.clone() },
            ),
            named("crowded", PodView { node: "full".into(), ..base.clone() }),
        ];
        deletion_order(&mut pods, &[("full", 4), ("n", 1)].into(), now);
        let names: Vec<_> = pods.iter().map(|pod| pod.name.as_str()).collect();
        assert_eq!(names, ["unassigned", "pending", "unready", "cheap", "crowded", "restarting", "good"]);
    }

    #[test]
    fn availability_needs_time() {
        let pod = PodView {
            ready: true,
            ready_changed: Some(Timestamp::from_second(100).unwrap()),
            ..PodView::default()
        };
        assert!(pod.is_available(0, Timestamp::from_second(100).unwrap()));
        assert!(!pod.is_available(10, Timestamp::from_second(109).unwrap()));
        assert!(pod.is_available(10, Timestamp::from_second(110).unwrap()));
        assert!(!PodView { ready: false, ..pod }.is_available(0, Timestamp::from_second(500).unwrap()));
    }
}
