//! The mirrored slices of Endpoints (`endpointslicemirroring`). Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{EndpointAddress, EndpointSubset, Endpoints, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::owners::controlled_by;
use crate::services;
use crate::slices::{Action, MANAGED_BY, SERVICE_NAME};

/// The value of [`MANAGED_BY`] on mirrored slices.
pub const MANAGER: &str = "endpointslicemirroring-controller.k8s.io";
const SKIP: &str = "endpointslice.kubernetes.io/skip-mirror";
/// Endpoints that are in truth a leader election's record.
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";
/// Annotations that are not mirrored.
const OWN_ANNOTATIONS: [&str; 2] =
    ["endpoints.kubernetes.io/last-change-trigger-time", "kubectl.kubernetes.io/last-applied-configuration"];
/// Addresses of one subset at most (`--mirroring-max-endpoints-per-subset`).
pub const MOST: usize = 1000;

/// What was seen of a name.
pub struct Observed<'a> {
    pub service: Option<&'a Service>,
    pub endpoints: Option<&'a Endpoints>,
    /// The mirrored slices of the name.
    pub slices: Vec<&'a EndpointSlice>,
}

#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    pub actions: Vec<Action>,
    /// Reason and message of warnings about the Endpoints.
    pub warnings: Vec<(&'static str, String)>,
    /// Addresses that are not mirrored.
    pub skipped: usize,
}

/// Address type and ports: what one slice has in common.
type Shape = (&'static str, Vec<Port>);

/// Name, number, protocol and application protocol.
type Port = (String, i32, String, Option<String>);

pub fn plan(observed: &Observed<'_>) -> Plan {
    let mut plan = Plan::default();
    let Some(endpoints) = mirrored(observed) else {
        plan.actions = observed.slices.iter().map(|slice| Action::delete(slice)).collect();
        return plan;
    };
    let mut wanted = wanted(endpoints, &mut plan);
    let metadata = metadata(endpoints);
    let (mut update, mut delete) = (Vec::new(), Vec::new());
    for slice in observed.slices.iter().filter(|slice| slice.metadata.deletion_timestamp.is_none()) {
        let shape = wanted.keys().find(|shape| **shape == shape_of(slice)).cloned();
        let Some(shape) = shape else {
            delete.push(Action::delete(slice));
            continue;
        };
        let endpoints = wanted.remove(&shape);
        let mut updated = EndpointSlice { endpoints, ..(*slice).clone() };
        updated.metadata.labels = metadata.labels.clone();
        updated.metadata.annotations = metadata.annotations.clone();
        updated.metadata.owner_references = metadata.owner_references.clone();
        if updated != **slice {
            update.push(Action::Update(Box::new(updated)));
        }
    }
    // Nothing is missing in between.
    let create = wanted.into_iter().map(|((family, ports), endpoints)| {
        Action::Create(Box::new(EndpointSlice {
            address_type: family.to_owned(),
            endpoints: Some(endpoints),
            metadata: metadata.clone(),
            ports: Some(ports.into_iter().map(port).collect()),
        }))
    });
    plan.actions = create.chain(update).chain(delete).collect();
    plan
}

/// The Endpoints, where they are somebody's own and of a Service without a selector.
fn mirrored<'a>(observed: &Observed<'a>) -> Option<&'a Endpoints> {
    let endpoints = observed.endpoints.filter(|endpoints| endpoints.metadata.deletion_timestamp.is_none())?;
    let skipped = endpoints.metadata.labels.as_ref().and_then(|labels| labels.get(SKIP));
    let elects = endpoints.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(LEADER));
    let service = observed.service?;
    let own = services::selector(service).is_none();
    (own && !elects && skipped.is_none_or(|skip| skip != "true")).then_some(endpoints)
}

fn wanted(endpoints: &Endpoints, plan: &mut Plan) -> BTreeMap<Shape, Vec<Endpoint>> {
    let mut wanted: BTreeMap<Shape, Vec<Endpoint>> = BTreeMap::new();
    let (mut invalid, mut skipped) = (0, 0);
    for subset in endpoints.subsets.iter().flatten() {
        let mut room = MOST;
        let ready = subset.addresses.iter().flatten().map(|address| (address, true));
        let unready = subset.not_ready_addresses.iter().flatten().map(|address| (address, false));
        for (address, ready) in ready.chain(unready) {
            let Ok(ip) = address.ip.parse::<IpAddr>() else {
                invalid += 1;
                continue;
            };
            if room == 0 {
                skipped += 1;
                continue;
            }
            room -= 1;
            let family = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
            let group = wanted.entry((family, ports(subset))).or_default();
            // A canonical form: each address once, and ready if it ever is.
            match group.iter_mut().find(|known| known.addresses == [address.ip.as_str()]) {
                Some(known) if ready => *known = endpoint(address, true),
                Some(_) => {}
                None => group.push(endpoint(address, ready)),
            }
        }
    }
    plan.skipped = invalid + skipped;
    if invalid > 0 {
        let message = format!("Skipped {invalid} invalid IP addresses when mirroring to EndpointSlices");
        plan.warnings.push(("InvalidIPAddress", message));
    }
    if skipped > 0 {
        let message = format!(
            "A max of {MOST} addresses can be mirrored to EndpointSlices per Endpoints subset. {} addresses \
             were skipped",
            skipped + invalid
        );
        plan.warnings.push(("TooManyAddressesToMirror", message));
    }
    for group in wanted.values_mut() {
        group.sort_by(|a, b| a.addresses.cmp(&b.addresses));
    }
    wanted
}

fn endpoint(address: &EndpointAddress, ready: bool) -> Endpoint {
    Endpoint {
        addresses: vec![address.ip.clone()],
        conditions: Some(EndpointConditions { ready: Some(ready), ..EndpointConditions::default() }),
        hostname: address.hostname.clone().filter(|hostname| !hostname.is_empty()),
        node_name: address.node_name.clone(),
        target_ref: address.target_ref.clone(),
        ..Endpoint::default()
    }
}

fn ports(subset: &EndpointSubset) -> Vec<Port> {
    let mut ports: Vec<Port> = subset
        .ports
        .iter()
        .flatten()
        .map(|port| {
            let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".into());
            (port.name.clone().unwrap_or_default(), port.port, protocol, port.app_protocol.clone())
        })
        .collect();
    ports.sort();
    ports
}

fn port((name, number, protocol, app_protocol): Port) -> EndpointPort {
    EndpointPort { name: Some(name), port: Some(number), protocol: Some(protocol), app_protocol }
}

fn shape_of(slice: &EndpointSlice) -> Shape {
    let family = match slice.address_type.as_str() {
        "IPv4" => "IPv4",
        "IPv6" => "IPv6",
        _ => "",
    };
    let mut ports: Vec<Port> = slice
        .ports
        .iter()
        .flatten()
        .map(|port| {
            let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".into());
            let (name, number) = (port.name.clone().unwrap_or_default(), port.port.unwrap_or(0));
            (name, number, protocol, port.app_protocol.clone())
        })
        .collect();
    ports.sort();
    (family, ports)
}

/// The metadata that every slice of the Endpoints has.
fn metadata(endpoints: &Endpoints) -> ObjectMeta {
    let own = &endpoints.metadata;
    let name = own.name.clone().unwrap_or_default();
    let mut labels = own.labels.clone().unwrap_or_default();
    labels.insert(SERVICE_NAME.into(), name.clone());
    labels.insert(MANAGED_BY.into(), MANAGER.into());
    let mut annotations = own.annotations.clone().unwrap_or_default();
    annotations.retain(|key, _| !OWN_ANNOTATIONS.contains(&key.as_str()));
    ObjectMeta {
        generate_name: Some(format!("{name}-")),
        namespace: own.namespace.clone(),
        labels: Some(labels),
        annotations: Some(annotations).filter(|annotations| !annotations.is_empty()),
        owner_references: Some(vec![controlled_by(endpoints)]),
        ..ObjectMeta::default()
    }
}
