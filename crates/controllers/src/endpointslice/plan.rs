//! What the EndpointSlices of a Service need next. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ObjectReference, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::hints::hints;
use crate::owners::controlled_by;
use crate::pods::PodView;
use crate::services::{self, HEADLESS, Port};
use crate::slices::{Action, MANAGED_BY, SERVICE_NAME};

/// The value of [`MANAGED_BY`] on slices of this controller.
pub const MANAGER: &str = "endpointslice-controller.k8s.io";
/// When what the slice shows last changed its readiness.
pub const TRIGGER: &str = "endpoints.kubernetes.io/last-change-trigger-time";
/// `--max-endpoints-per-slice`.
pub const MOST: usize = 100;

/// What was seen of a Service.
pub struct Observed<'a> {
    pub service: &'a Service,
    /// Every pod that its selector matches.
    pub pods: Vec<Arc<PodView>>,
    /// The zone of every node that there is.
    pub zones: BTreeMap<&'a str, Option<&'a str>>,
    /// The slices of this controller for the Service.
    pub slices: Vec<&'a EndpointSlice>,
}

/// The next actions: creations first, deletions last, so that no endpoint is
/// missing in between.
pub fn plan(observed: &Observed<'_>) -> Vec<Action> {
    let mut groups: BTreeMap<(String, Vec<Port>), Group<'_>> = BTreeMap::new();
    let families = services::families(observed.service);
    for family in &families {
        for pod in &observed.pods {
            if let Some(endpoint) = endpoint(observed, pod, family) {
                let ports = services::ports(observed.service, pod);
                let group = groups.entry((family.clone(), ports)).or_default();
                group.wanted.insert(pod.uid.clone(), (pod.clone(), endpoint));
            }
        }
        // A Service without endpoints keeps one empty slice.
        if !groups.keys().any(|(known, _)| known == family) {
            groups.insert((family.clone(), Vec::new()), Group::default());
        }
    }
    let mut actions = Actions::default();
    let mut slices = observed.slices.clone();
    slices.sort_by_key(|slice| slice.metadata.name.clone());
    for slice in slices {
        let dying = slice.metadata.deletion_timestamp.is_some();
        match groups.get_mut(&(slice.address_type.clone(), ports_of(slice))) {
            Some(group) if !dying => group.slices.push(slice),
            _ if dying => {}
            _ => actions.delete(slice),
        }
    }
    for ((family, ports), group) in groups {
        arrange(observed, &family, &ports, group, &mut actions);
    }
    actions.in_order()
}

/// The endpoints of one address family and set of ports.
#[derive(Default)]
struct Group<'a> {
    wanted: BTreeMap<String, (Arc<PodView>, Endpoint)>,
    slices: Vec<&'a EndpointSlice>,
}

#[derive(Default)]
struct Actions {
    create: Vec<Action>,
    update: Vec<Action>,
    delete: Vec<Action>,
}

impl Actions {
    fn delete(&mut self, slice: &EndpointSlice) {
        self.delete.push(Action::delete(slice));
    }

    fn in_order(self) -> Vec<Action> {
        let mut all = self.create;
        all.extend(self.update);
        all.extend(self.delete);
        all
    }
}

/// The pod as an endpoint, unless it has ended or cannot be reached.
fn endpoint(observed: &Observed<'_>, pod: &PodView, family: &str) -> Option<Endpoint> {
    let address = services::address(pod, family)?;
    if pod.has_ended() {
        return None;
    }
    let unready_too = services::publishes_unready(observed.service);
    let zone = observed.zones.get(pod.node.as_str());
    if zone.is_none() && !unready_too {
        return None;
    }
    let mut endpoint = Endpoint {
        addresses: vec![address.to_owned()],
        conditions: Some(EndpointConditions {
            ready: Some(unready_too || (pod.ready && !pod.terminating)),
            serving: Some(pod.ready),
            terminating: Some(pod.terminating),
        }),
        hostname: services::hostname(observed.service, pod),
        node_name: Some(pod.node.clone()).filter(|node| !node.is_empty()),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".into()),
            namespace: Some(pod.namespace.clone()),
            name: Some(pod.name.clone()),
            uid: Some(pod.uid.clone()),
            ..ObjectReference::default()
        }),
        zone: zone.copied().flatten().filter(|zone| !zone.is_empty()).map(str::to_owned),
        ..Endpoint::default()
    };
    endpoint.hints = hints(observed.service, &endpoint);
    Some(endpoint)
}

fn ports_of(slice: &EndpointSlice) -> Vec<Port> {
    let mut ports: Vec<Port> = slice
        .ports
        .iter()
        .flatten()
        .map(|port| Port {
            name: port.name.clone().unwrap_or_default(),
            number: port.port.unwrap_or(0),
            protocol: port.protocol.clone().unwrap_or_else(|| "TCP".into()),
            app_protocol: port.app_protocol.clone(),
        })
        .collect();
    ports.sort();
    ports
}

fn target(endpoint: &Endpoint) -> &str {
    endpoint.target_ref.as_ref().and_then(|target| target.uid.as_deref()).unwrap_or_default()
}

/// Puts the wanted endpoints into slices with as few writes as can be: each
/// stays where it is, new ones fill slices that change anyway, then those with
/// room, then new slices.
fn arrange(observed: &Observed<'_>, family: &str, ports: &[Port], group: Group<'_>, actions: &mut Actions) {
    let Group { mut wanted, slices } = group;
    let empty_group = wanted.is_empty();
    let meta = metadata(observed);
    let mut kept: Vec<(&EndpointSlice, Vec<Endpoint>, BTreeSet<String>, bool)> = Vec::new();
    for slice in slices {
        let mut endpoints = Vec::new();
        let mut triggers = BTreeSet::new();
        let mut differs = !same_metadata(slice, &meta);
        for old in slice.endpoints.iter().flatten() {
            match wanted.remove(target(old)) {
                Some((pod, new)) => {
                    if *old != new {
                        differs = true;
                        triggers.extend(pod.ready_changed.map(|time| time.to_string()));
                    }
                    endpoints.push(new);
                }
                None => differs = true,
            }
        }
        kept.push((slice, endpoints, triggers, differs));
    }
    let mut new: Vec<(Arc<PodView>, Endpoint)> = wanted.into_values().collect();
    new.sort_by(|a, b| (&a.0.name, &a.0.uid).cmp(&(&b.0.name, &b.0.uid)));
    // Slices that change anyway come first, then the fullest with room for all.
    let mut order: Vec<usize> = (0..kept.len()).collect();
    order.sort_by_key(|at| (!kept[*at].3, usize::MAX - kept[*at].1.len()));
    let mut left = new.into_iter();
    for at in order {
        let (_, endpoints, triggers, differs) = &mut kept[at];
        let room = MOST.saturating_sub(endpoints.len());
        for (pod, endpoint) in left.by_ref().take(room) {
            triggers.extend(pod.ready_changed.map(|time| time.to_string()));
            endpoints.push(endpoint);
            *differs = true;
        }
    }
    let left: Vec<_> = left.collect();
    for chunk in left.chunks(MOST) {
        let trigger = chunk.iter().filter_map(|(pod, _)| pod.ready_changed).max();
        let endpoints = chunk.iter().map(|(_, endpoint)| endpoint.clone()).collect();
        actions.create.push(create(&meta, family, ports, endpoints, trigger.map(|time| time.to_string())));
    }
    // An empty group keeps one slice, any other none that is empty.
    let mut placeholder = empty_group && left.is_empty();
    for (slice, endpoints, triggers, differs) in kept {
        if endpoints.is_empty() && !std::mem::take(&mut placeholder) {
            actions.delete(slice);
        } else if differs {
            actions.update.push(update(slice, &meta, endpoints, triggers.into_iter().next_back()));
        }
    }
    if placeholder {
        actions.create.push(create(&meta, family, ports, Vec::new(), None));
    }
}

/// The metadata that every slice of the Service has.
fn metadata(observed: &Observed<'_>) -> ObjectMeta {
    let service = &observed.service.metadata;
    let name = service.name.clone().unwrap_or_default();
    let mut labels = services::own_labels(observed.service);
    labels.insert(SERVICE_NAME.into(), name.clone());
    labels.insert(MANAGED_BY.into(), MANAGER.into());
    if services::is_headless(observed.service) {
        labels.insert(HEADLESS.into(), String::new());
    }
    ObjectMeta {
        generate_name: Some(format!("{name}-")),
        namespace: service.namespace.clone(),
        labels: Some(labels),
        owner_references: Some(vec![controlled_by(observed.service)]),
        ..ObjectMeta::default()
    }
}

fn same_metadata(slice: &EndpointSlice, wanted: &ObjectMeta) -> bool {
    let owners = slice.metadata.owner_references.iter().flatten();
    let owned = owners
        .into_iter()
        .any(|owner| wanted.owner_references.iter().flatten().any(|wanted| owner.uid == wanted.uid));
    owned && slice.metadata.labels == wanted.labels
}

fn create(
    meta: &ObjectMeta,
    family: &str,
    ports: &[Port],
    endpoints: Vec<Endpoint>,
    trigger: Option<String>,
) -> Action {
    let ports = ports
        .iter()
        .map(|port| EndpointPort {
            name: Some(port.name.clone()),
            port: Some(port.number),
            protocol: Some(port.protocol.clone()),
            app_protocol: port.app_protocol.clone(),
        })
        .collect();
    let mut metadata = meta.clone();
    metadata.annotations = trigger.map(|trigger| [(TRIGGER.to_owned(), trigger)].into());
    Action::Create(Box::new(EndpointSlice {
        address_type: family.to_owned(),
        endpoints: Some(endpoints),
        metadata,
        ports: Some(ports),
    }))
}

fn update(
    slice: &EndpointSlice,
    meta: &ObjectMeta,
    endpoints: Vec<Endpoint>,
    trigger: Option<String>,
) -> Action {
    let mut updated = slice.clone();
    updated.metadata.labels = meta.labels.clone();
    updated.metadata.owner_references = meta.owner_references.clone();
    if let Some(trigger) = trigger {
        updated.metadata.annotations.get_or_insert_default().insert(TRIGGER.into(), trigger);
    }
    updated.endpoints = Some(endpoints);
    Action::Update(Box::new(updated))
}
