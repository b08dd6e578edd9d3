//! What the proxy keeps of Services, EndpointSlices and Nodes.

use std::net::IpAddr;

use api::node::ZONE;
use apimachinery::Value;
use client::{Document, Error};
use informer::{ObjectKey, Projection};
use ipnet::IpNet;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use network::Protocol;

/// Set on a Service or slice that another proxy serves.
const PROXY_NAME_LABEL: &str = "service.kubernetes.io/service-proxy-name";
/// On a slice: the Service it belongs to.
const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// Where a Node is, and which pods it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeView {
    pub name: String,
    /// `topology.kubernetes.io/zone`.
    pub zone: Option<String>,
    /// `status.addresses` of type InternalIP.
    pub addresses: Vec<IpAddr>,
    /// `spec.podCIDRs`.
    pub ranges: Vec<IpNet>,
}

impl NodeView {
    pub(crate) fn of(node: &Value) -> Self {
        let metadata = &node["metadata"];
        let addresses = node["status"]["addresses"].items().iter();
        let internal = addresses.filter(|address| address["type"].text() == "InternalIP");
        let ranges = node["spec"]["podCIDRs"].items().iter();
        Self {
            name: metadata["name"].text().to_owned(),
            zone: Some(metadata["labels"][ZONE].text().to_owned()).filter(|zone| !zone.is_empty()),
            addresses: internal.filter_map(|address| address["address"].text().parse().ok()).collect(),
            ranges: ranges.filter_map(|range| range.text().parse().ok()).collect(),
        }
    }
}

impl Projection for NodeView {
    fn project(document: &Document) -> Result<Self, Error> {
        Ok(Self::of(&document.tree()?))
    }

    fn key(&self) -> ObjectKey {
        ObjectKey::cluster(self.name.clone())
    }
}

/// The parts of a Service that decide about packets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    pub key: ObjectKey,
    /// Empty for a headless Service and for ExternalName.
    pub cluster_ips: Vec<IpAddr>,
    /// `externalIPs` and the addresses of the load balancer.
    pub external_ips: Vec<IpAddr>,
    pub ports: Vec<ServicePort>,
    pub affinity: Option<Affinity>,
    /// `internalTrafficPolicy: Local`.
    pub internal_local: bool,
    /// `externalTrafficPolicy: Local`.
    pub external_local: bool,
    /// Where a load balancer asks whether this node has endpoints; 0: nowhere.
    pub health_check_node_port: u16,
}

/// `sessionAffinity: ClientIP`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Affinity {
    pub timeout_seconds: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    pub name: String,
    pub protocol: Protocol,
    pub port: u16,
    /// 0: none.
    pub node_port: u16,
}

/// The parts of an EndpointSlice that decide about packets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    pub key: ObjectKey,
    /// The Service's name, in the slice's namespace; empty: none.
    pub service: String,
    pub ports: Vec<SlicePort>,
    pub endpoints: Vec<Endpoint>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlicePort {
    pub name: String,
    pub protocol: Protocol,
    pub port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub address: IpAddr,
    pub node: Option<String>,
    pub ready: bool,
    /// Answers although it is on its way out.
    pub serving_while_terminating: bool,
    /// The nodes that it is meant for (`hints.forNodes`).
    pub for_nodes: Vec<String>,
    /// The zones that it is meant for (`hints.forZones`).
    pub for_zones: Vec<String>,
}

fn port(number: i32) -> u16 {
    u16::try_from(number).unwrap_or(0)
}

impl From<core::Service> for Service {
    fn from(service: core::Service) -> Self {
        let key = ObjectKey::of(&service.metadata);
        let labels = service.metadata.labels.unwrap_or_default();
        let spec = service.spec.unwrap_or_default();
        let kind = spec.type_.as_deref().unwrap_or("ClusterIP");
        if labels.contains_key(PROXY_NAME_LABEL) || kind == "ExternalName" {
            return Self { key, ..Self::default() };
        }
        let cluster_ips = spec.cluster_ips.or(spec.cluster_ip.map(|ip| vec![ip])).unwrap_or_default();
        let cluster_ips: Vec<IpAddr> = cluster_ips.iter().filter_map(|ip| ip.parse().ok()).collect();
        let status = service.status.and_then(|status| status.load_balancer);
        let ingress = status.and_then(|balancer| balancer.ingress).unwrap_or_default();
        let balanced = ingress
            .into_iter()
            .filter(|ingress| ingress.ip_mode.as_deref() != Some("Proxy"))
            .filter_map(|ingress| ingress.ip);
        let external_ips = spec.external_ips.unwrap_or_default().into_iter().chain(balanced);
        let exposed = kind == "NodePort" || kind == "LoadBalancer";
        let ports = spec.ports.unwrap_or_default().into_iter().filter_map(|item| {
            Some(ServicePort {
                name: item.name.unwrap_or_default(),
                protocol: Protocol::parse(item.protocol.as_deref())?,
                port: port(item.port),
                node_port: if exposed { port(item.node_port.unwrap_or(0)) } else { 0 },
            })
        });
        let affinity = (spec.session_affinity.as_deref() == Some("ClientIP")).then(|| {
            let client = spec.session_affinity_config.and_then(|config| config.client_ip);
            // The API's default: three hours.
            let seconds = client.and_then(|client| client.timeout_seconds).unwrap_or(10_800);
            Affinity { timeout_seconds: u32::try_from(seconds).unwrap_or(10_800) }
        });
        let mut external_ips: Vec<IpAddr> = external_ips.filter_map(|ip| ip.parse().ok()).collect();
        external_ips.sort_unstable();
        external_ips.dedup();
        Self {
            key,
            external_ips: if cluster_ips.is_empty() { Vec::new() } else { external_ips },
            cluster_ips,
            ports: ports.filter(|port| port.port != 0).collect(),
            affinity,
            internal_local: spec.internal_traffic_policy.as_deref() == Some("Local"),
            external_local: spec.external_traffic_policy.as_deref() == Some("Local"),
            health_check_node_port: if kind == "LoadBalancer" {
                port(spec.health_check_node_port.unwrap_or(0))
            } else {
                0
            },
        }
    }
}

impl From<discovery::EndpointSlice> for Slice {
    fn from(slice: discovery::EndpointSlice) -> Self {
        let key = ObjectKey::of(&slice.metadata);
        let mut labels = slice.metadata.labels.unwrap_or_default();
        if labels.contains_key(PROXY_NAME_LABEL) {
            return Self { key, ..Self::default() };
        }
        let ports = slice.ports.unwrap_or_default().into_iter().filter_map(|item| {
            Some(SlicePort {
                name: item.name.unwrap_or_default(),
                protocol: Protocol::parse(item.protocol.as_deref())?,
                port: port(item.port?),
            })
        });
        let endpoints = slice.endpoints.into_iter().flatten().filter_map(|endpoint| {
            let conditions = endpoint.conditions.unwrap_or_default();
            // What is not said is ready, serving, and not terminating.
            let ready = conditions.ready.unwrap_or(true);
            let serving = conditions.serving.unwrap_or(ready);
            let hints = endpoint.hints.unwrap_or_default();
            Some(Endpoint {
                // All addresses of an endpoint are the same endpoint: the first counts.
                address: endpoint.addresses.first()?.parse().ok()?,
                node: endpoint.node_name,
                ready,
                serving_while_terminating: serving && conditions.terminating.unwrap_or(false),
                for_nodes: hints.for_nodes.into_iter().flatten().map(|node| node.name).collect(),
                for_zones: hints.for_zones.into_iter().flatten().map(|zone| zone.name).collect(),
            })
        });
        Self {
            key,
            service: labels.remove(SERVICE_NAME_LABEL).unwrap_or_default(),
            ports: ports.filter(|port| port.port != 0).collect(),
            endpoints: endpoints.collect(),
        }
    }
}

impl Projection for Service {
    fn project(document: &Document) -> Result<Self, Error> {
        Ok(document.decode::<core::Service>()?.into())
    }

    fn key(&self) -> ObjectKey {
        self.key.clone()
    }
}

impl Projection for Slice {
    fn project(document: &Document) -> Result<Self, Error> {
        Ok(document.decode::<discovery::EndpointSlice>()?.into())
    }

    fn key(&self) -> ObjectKey {
        self.key.clone()
    }
}
