//! What the kubelet keeps of each Service: enough for the environment
//! variables of service links.

use std::net::IpAddr;

use client::{Document, Error};
use informer::{ObjectKey, Projection};
use serde::Deserialize;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub namespace: String,
    pub name: String,
    /// None for headless services and external names.
    pub cluster_ip: Option<IpAddr>,
    pub ports: Vec<Port>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Port {
    #[serde(default)]
    pub name: String,
    pub port: u16,
    #[serde(default)]
    pub protocol: String,
}

impl Projection for Service {
    fn project(document: &Document) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Part {
            metadata: Metadata,
            #[serde(default)]
            spec: Spec,
        }
        #[derive(Deserialize)]
        struct Metadata {
            namespace: String,
            name: String,
        }
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase")]
        struct Spec {
            #[serde(default, rename = "clusterIP")]
            cluster_ip: String,
            #[serde(default)]
            ports: Vec<Port>,
        }
        let Part { metadata, spec } = document.decode_part()?;
        Ok(Self {
            namespace: metadata.namespace,
            name: metadata.name,
            cluster_ip: spec.cluster_ip.parse().ok(),
            ports: spec.ports,
        })
    }

    fn key(&self) -> ObjectKey {
        ObjectKey::new(self.namespace.clone(), self.name.clone())
    }
}

/// The services that a pod of `namespace` is told of: with links all of its
/// own namespace, and always the API's own.
pub fn visible(all: &[std::sync::Arc<Service>], namespace: &str, links: bool) -> Vec<Service> {
    let mut list: Vec<Service> = all
        .iter()
        .filter(|one| one.cluster_ip.is_some())
        .filter(|one| {
            let is_api = one.namespace == "default" && one.name == "kubernetes";
            is_api || links && one.namespace == namespace
        })
        .map(|one| Service::clone(one))
        .collect();
    list.sort_by(|a, b| a.name.cmp(&b.name));
    list
}
