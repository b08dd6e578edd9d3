//! The Endpoints that a Service deserves. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{
    EndpointAddress, EndpointPort, EndpointSubset, Endpoints, ObjectReference, Service,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::pods::PodView;
use crate::services::{self, HEADLESS, Port};

const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const MANAGER: &str = "endpoint-controller";
const TRIGGER: &str = "endpoints.kubernetes.io/last-change-trigger-time";
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
/// Endpoints that are in truth a leader election's record.
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";
/// Addresses in one object at most; the rest is cut off.
const MOST: usize = 1000;

/// What was seen of a Service's name.
pub struct Observed<'a> {
    /// None: there is no such Service (any more).
    pub service: Option<&'a Service>,
    /// Every pod that its selector matches.
    pub pods: Vec<Arc<PodView>>,
    pub current: Option<&'a Endpoints>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Create(Box<Endpoints>),
    Update(Box<Endpoints>),
    Delete { uid: String },
}

/// The next action, where one is needed.
pub fn plan(observed: &Observed<'_>) -> Option<Action> {
    let Some(service) = observed.service else { return leftover(observed.current?) };
    services::selector(service)?;
    if service.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let (subsets, cut) = cut(subsets(service, &observed.pods));
    let mut labels = services::own_labels(service);
    labels.insert(MANAGED_BY.into(), MANAGER.into());
    if services::is_headless(service) {
        labels.insert(HEADLESS.into(), String::new());
    }
    let subsets = Some(subsets).filter(|subsets| !subsets.is_empty());
    let mut metadata = match observed.current {
        Some(current) => current.metadata.clone(),
        None => ObjectMeta {
            name: service.metadata.name.clone(),
            namespace: service.metadata.namespace.clone(),
            ..ObjectMeta::default()
        },
    };
    let annotations = metadata.annotations.get_or_insert_default();
    let was_cut = match cut {
        true => annotations.insert(OVER_CAPACITY.into(), "truncated".into()).as_deref() == Some("truncated"),
        false => annotations.remove(OVER_CAPACITY).is_some(),
    };
    if let Some(current) = observed.current {
        let given = current.subsets.clone().filter(|subsets| !subsets.is_empty());
        if given == subsets && current.metadata.labels.as_ref() == Some(&labels) && was_cut == cut {
            return None;
        }
    }
    if let Some(time) = observed.pods.iter().filter_map(|pod| pod.ready_changed).max() {
        annotations.insert(TRIGGER.into(), time.to_string());
    }
    metadata.annotations.take_if(|annotations| annotations.is_empty());
    metadata.labels = Some(labels);
    let wanted = Box::new(Endpoints { metadata, subsets });
    Some(if observed.current.is_some() { Action::Update(wanted) } else { Action::Create(wanted) })
}

/// Endpoints without a Service: this controller's own go.
fn leftover(endpoints: &Endpoints) -> Option<Action> {
    let has = |map: &Option<BTreeMap<String, String>>, key: &str| {
        map.as_ref().is_some_and(|map| map.contains_key(key))
    };
    let ours = endpoints.metadata.labels.as_ref().and_then(|labels| labels.get(MANAGED_BY));
    let election = has(&endpoints.metadata.annotations, LEADER);
    (ours.is_some_and(|manager| manager == MANAGER) && !election)
        .then(|| Action::Delete { uid: endpoints.metadata.uid.clone().unwrap_or_default() })
}

/// Addresses by the ports that they serve, in a stable order
/// (`endpoints.RepackSubsets`).
fn subsets(service: &Service, pods: &[Arc<PodView>]) -> Vec<EndpointSubset> {
    let unready_too = services::publishes_unready(service);
    let Some(family) = services::families(service).into_iter().next() else { return Vec::new() };
    let has_ports = services::spec(service).is_some_and(|spec| spec.ports.iter().flatten().next().is_some());
    let mut groups: BTreeMap<Vec<Port>, EndpointSubset> = BTreeMap::new();
    for pod in pods {
        let Some(ip) = services::address(pod, &family) else { continue };
        if pod.has_ended() || (pod.terminating && !unready_too) {
            continue;
        }
        let ports = services::ports(service, pod);
        if ports.is_empty() && (has_ports || !services::is_headless(service)) {
            continue;
        }
        let address = EndpointAddress {
            ip: ip.to_owned(),
            hostname: services::hostname(service, pod),
            node_name: Some(pod.node.clone()).filter(|node| !node.is_empty()),
            target_ref: Some(ObjectReference {
                kind: Some("Pod".into()),
                namespace: Some(pod.namespace.clone()),
                name: Some(pod.name.clone()),
                uid: Some(pod.uid.clone()),
                ..ObjectReference::default()
            }),
        };
        let subset = groups.entry(ports).or_default();
        let list = match pod.ready || unready_too {
            true => &mut subset.addresses,
            false => &mut subset.not_ready_addresses,
        };
        list.get_or_insert_default().push(address);
    }
    groups
        .into_iter()
        .map(|(ports, mut subset)| {
            let key = |address: &EndpointAddress| {
                let uid = address.target_ref.as_ref().and_then(|target| target.uid.clone());
                (address.ip.clone(), uid)
            };
            for list in [&mut subset.addresses, &mut subset.not_ready_addresses].into_iter().flatten() {
                list.sort_by_key(key);
            }
            subset.ports = Some(ports.into_iter().map(port).collect::<Vec<_>>()).filter(|p| !p.is_empty());
            subset
        })
        .collect()
}

fn port(port: Port) -> EndpointPort {
    EndpointPort {
        name: Some(port.name).filter(|name| !name.is_empty()),
        port: port.number,
        protocol: Some(port.protocol),
        app_protocol: port.app_protocol,
    }
}

/// At most [`MOST`] addresses, ready ones first; and whether any were cut off.
fn cut(mut subsets: Vec<EndpointSubset>) -> (Vec<EndpointSubset>, bool) {
    let count = |list: &Option<Vec<EndpointAddress>>| list.as_ref().map_or(0, Vec::len);
    let total: usize = subsets.iter().map(|s| count(&s.addresses) + count(&s.not_ready_addresses)).sum();
    if total <= MOST {
        return (subsets, false);
    }
    let mut room = MOST;
    for pick in [ready as fn(&mut EndpointSubset) -> &mut Option<Vec<EndpointAddress>>, unready] {
        for subset in &mut subsets {
            let list = pick(subset);
            if let Some(addresses) = list {
                addresses.truncate(room);
                room -= addresses.len();
            }
            list.take_if(|addresses| addresses.is_empty());
        }
    }
    subsets.retain(|subset| subset.addresses.is_some() || subset.not_ready_addresses.is_some());
    (subsets, true)
}

fn ready(subset: &mut EndpointSubset) -> &mut Option<Vec<EndpointAddress>> {
    &mut subset.addresses
}

fn unready(subset: &mut EndpointSubset) -> &mut Option<Vec<EndpointAddress>> {
    &mut subset.not_ready_addresses
}
