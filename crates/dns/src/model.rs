//! What names need of Services and EndpointSlices.

use std::net::IpAddr;

use client::{Document, Error};
use informer::{ObjectKey, Projection};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;

const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// A Service as its names show it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    pub key: ObjectKey,
    /// Empty: headless, or an external name.
    pub cluster_ips: Vec<IpAddr>,
    pub ports: Vec<Port>,
    /// `externalName` of a Service of that type.
    pub external_name: Option<String>,
}

/// A port with its name ("" for none) and `tcp`, `udp` or `sctp`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    pub name: String,
    pub protocol: String,
    pub number: u16,
}

/// An EndpointSlice as the names of a headless Service show it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    pub key: ObjectKey,
    pub service: String,
    pub ports: Vec<Port>,
    /// The ready ones only.
    pub endpoints: Vec<Endpoint>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub address: IpAddr,
    pub hostname: Option<String>,
}

impl Endpoint {
    /// The label under which it is found: its hostname, or its address with dashes.
    pub fn label(&self) -> String {
        match &self.hostname {
            Some(name) => name.to_ascii_lowercase(),
            None => self.address.to_string().replace(['.', ':'], "-"),
        }
    }
}

fn port_of(name: Option<String>, protocol: Option<String>, number: i32) -> Option<Port> {
    Some(Port {
        name: name.unwrap_or_default().to_ascii_lowercase(),
        protocol: protocol.map_or_else(|| "tcp".into(), |word| word.to_ascii_lowercase()),
        number: u16::try_from(number).ok()?,
    })
}

impl From<core::Service> for Service {
    fn from(service: core::Service) -> Self {
        let key = ObjectKey::of(&service.metadata);
        let spec = service.spec.unwrap_or_default();
        let ports = spec.ports.unwrap_or_default().into_iter();
        let ports = ports.filter_map(|port| port_of(port.name, port.protocol, port.port)).collect();
        if spec.type_.as_deref() == Some("ExternalName") {
            return Self { key, ports, external_name: spec.external_name, ..Self::default() };
        }
        let ips = spec.cluster_ips.or(spec.cluster_ip.map(|ip| vec![ip])).unwrap_or_default();
        let cluster_ips = ips.iter().filter_map(|ip| ip.parse().ok()).collect();
        Self { key, cluster_ips, ports, external_name: None }
    }
}

impl From<discovery::EndpointSlice> for Slice {
    fn from(slice: discovery::EndpointSlice) -> Self {
        let key = ObjectKey::of(&slice.metadata);
        let service = slice.metadata.labels.and_then(|mut labels| labels.remove(SERVICE_NAME_LABEL));
        let ports = slice.ports.unwrap_or_default().into_iter();
        let endpoints = slice.endpoints.into_iter().flatten().filter(|endpoint| {
            endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
        });
        Self {
            key,
            service: service.unwrap_or_default(),
            ports: ports.filter_map(|port| port_of(port.name, port.protocol, port.port?)).collect(),
            endpoints: endpoints
                .filter_map(|endpoint| {
                    let address = endpoint.addresses.first()?.parse().ok()?;
                    Some(Endpoint { address, hostname: endpoint.hostname.filter(|name| !name.is_empty()) })
                })
                .collect(),
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
