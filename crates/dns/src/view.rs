//! What answers are made from.

use std::net::IpAddr;
use std::sync::Arc;

use client::{Resource, Transport};
use edge::Edge;
use informer::{Index, Informer, Meta, ObjectKey, Options};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;

use crate::model::{Service, Slice};

/// The cluster at one moment, as far as names show it.
pub trait View {
    fn has_namespace(&self, name: &str) -> bool;

    fn service(&self, namespace: &str, name: &str) -> Option<Arc<Service>>;

    /// The slices of a Service, in any order.
    fn slices(&self, namespace: &str, service: &str) -> Vec<Arc<Slice>>;

    /// The Services with this cluster address.
    fn services_at(&self, address: IpAddr) -> Vec<Arc<Service>>;

    /// The slices with a ready endpoint at this address.
    fn slices_at(&self, address: IpAddr) -> Vec<Arc<Slice>>;
}

const BY_ADDRESS: &str = "address";
const BY_SERVICE: &str = "service";

/// A view that follows the API.
#[derive(Clone)]
pub struct ApiView {
    namespaces: Informer<Meta>,
    services: Informer<Service>,
    slices: Informer<Slice>,
}

impl ApiView {
    /// Starts to follow namespaces, Services and EndpointSlices.
    pub fn start(edge: &Edge, transport: Arc<dyn Transport>) -> Self {
        let services = vec![Index {
            name: BY_ADDRESS,
            values: |service: &Service| service.cluster_ips.iter().map(IpAddr::to_string).collect(),
        }];
        let slices = vec![
            Index {
                name: BY_SERVICE,
                values: |slice: &Slice| {
                    vec![ObjectKey::new(&slice.key.namespace, &slice.service).to_string()]
                },
            },
            Index {
                name: BY_ADDRESS,
                values: |slice: &Slice| {
                    slice.endpoints.iter().map(|endpoint| endpoint.address.to_string()).collect()
                },
            },
        ];
        let resource = Resource::of::<core::Namespace>();
        Self {
            namespaces: Informer::start(edge, transport.clone(), resource, Options::default()),
            services: Informer::start(
                edge,
                transport.clone(),
                Resource::of::<core::Service>(),
                Options::indexed(services),
            ),
            slices: Informer::start(
                edge,
                transport,
                Resource::of::<discovery::EndpointSlice>(),
                Options::indexed(slices),
            ),
        }
    }

    /// Waits until the first lists are in.
    pub async fn synced(&self) {
        self.namespaces.synced().await;
        self.services.synced().await;
        self.slices.synced().await;
    }
}

impl View for ApiView {
    fn has_namespace(&self, name: &str) -> bool {
        self.namespaces.get(&ObjectKey::cluster(name)).is_some()
    }

    fn service(&self, namespace: &str, name: &str) -> Option<Arc<Service>> {
        self.services.get(&ObjectKey::new(namespace, name))
    }

    fn slices(&self, namespace: &str, service: &str) -> Vec<Arc<Slice>> {
        self.slices.by_index(BY_SERVICE, &ObjectKey::new(namespace, service).to_string())
    }

    fn services_at(&self, address: IpAddr) -> Vec<Arc<Service>> {
        self.services.by_index(BY_ADDRESS, &address.to_string())
    }

    fn slices_at(&self, address: IpAddr) -> Vec<Arc<Slice>> {
        self.slices.by_index(BY_ADDRESS, &address.to_string())
    }
}
