//! The machine as the kubelet wants it: thin forms of image store, pod network
//! and runtime.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use async_trait::async_trait;
use client::Transport;
use edge::Edge;
use image::{Garbage, Image, ImageId, ImageStore, RegistryAuth};
use kubelet::{Attachment, Drivers, Images, PodNetwork, PortMapping};
use network::{HostPort, Protocol, Request};
use runtime::spawner::Spawner;
use runtime::{Embedded, Runtime};

/// Where the parts of a node lie in the data directory.
pub struct Places {
    data_dir: PathBuf,
}

impl Places {
    pub fn new(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.to_owned() }
    }

    pub fn kubelet(&self) -> PathBuf {
        self.data_dir.join("kubelet")
    }

    fn images(&self) -> PathBuf {
        self.data_dir.join("images")
    }

    fn runtime(&self) -> PathBuf {
        self.data_dir.join("runtime")
    }

    fn network(&self) -> PathBuf {
        self.data_dir.join("network")
    }
}

/// What a node works with.
#[derive(Clone)]
pub struct Machine {
    pub runtime: Arc<Embedded>,
    pub images: Arc<ImageStore>,
    pub network: Arc<network::PodNetwork>,
}

/// Ranges and addresses of the node's network.
pub struct NetworkPlan {
    pub pod_ranges: Vec<ipnet::IpNet>,
    pub service_ranges: Vec<ipnet::IpNet>,
    /// Service addresses that the node answers itself.
    pub own_addresses: Vec<IpAddr>,
}

impl NetworkPlan {
    pub fn config(&self, places: &Places) -> network::Config {
        let mut config =
            network::Config::new(places.network(), self.pod_ranges.clone(), self.service_ranges.clone());
        config.local_service_addresses = self.own_addresses.clone();
        config
    }
}

impl Machine {
    /// Opens the three side by side; what runs already is adopted.
    pub async fn open(places: &Places, plan: &NetworkPlan, spawner: Spawner, edge: &Edge) -> Result<Self> {
        let runtime = Embedded::open(places.runtime(), spawner, edge.clone());
        let network = network::PodNetwork::open(plan.config(places));
        let (runtime, network) = tokio::join!(runtime, network);
        let images = open_images(places, edge)?;
        let runtime = runtime.context("the container runtime")?;
        let network = network.context("the pod network")?;
        Ok(Self { runtime: Arc::new(runtime), images: Arc::new(images), network: Arc::new(network) })
    }

    /// For a kubelet that reaches the API by `transport`.
    pub fn drivers(&self, transport: Arc<dyn Transport>, edge: &Edge) -> Drivers {
        Drivers {
            transport,
            runtime: self.runtime.clone() as Arc<dyn Runtime>,
            images: Arc::new(NodeImages { store: self.images.clone(), edge: edge.clone() }),
            network: Arc::new(NodeNetwork(self.network.clone())),
            edge: edge.clone(),
        }
    }
}

/// The image store alone.
pub fn open_images(places: &Places, edge: &Edge) -> Result<ImageStore> {
    ImageStore::open(&places.images(), edge.clone()).context("the image store")
}

struct NodeImages {
    store: Arc<ImageStore>,
    edge: Edge,
}

#[async_trait]
impl Images for NodeImages {
    async fn find(&self, reference: &str) -> Option<Arc<Image>> {
        self.store.resolve(reference).map(Arc::new)
    }

    async fn pull(&self, reference: &str, credentials: &RegistryAuth) -> image::Result<Arc<Image>> {
        self.store.pull(reference, credentials, None).await.map(Arc::new)
    }

    async fn prepare(&self, image: &ImageId, container: &str) -> image::Result<PathBuf> {
        self.store.prepare(image.as_str(), container).await
    }

    async fn release(&self, container: &str) -> image::Result<()> {
        self.store.release(container).await
    }

    async fn user(&self, rootfs: &Path, user: &str) -> image::Result<runtime::User> {
        let (rootfs, user) = (rootfs.to_owned(), user.to_owned());
        let resolved = self.edge.tasks.spawn_blocking(move || image::resolve_user(&rootfs, &user)).await;
        let resolved = resolved.unwrap_or_else(|| Err(image::Error::System("the node is being stopped".into())))?;
        Ok(runtime::User { uid: resolved.uid, gid: resolved.gid, additional_gids: resolved.additional_gids })
    }

    async fn written(&self, container: &str) -> Option<(u64, u64)> {
        self.store.writable_usage(container).await.map(|usage| (usage.bytes, usage.inodes))
    }

    async fn list(&self) -> Vec<Arc<Image>> {
        self.store.list().into_iter().map(Arc::new).collect()
    }

    async fn collect_garbage(&self, bytes: u64) -> image::Result<Garbage> {
        self.store.collect_garbage(Some(bytes)).await
    }

    fn directory(&self) -> &Path {
        self.store.directory()
    }
}

struct NodeNetwork(Arc<network::PodNetwork>);

#[async_trait]
impl PodNetwork for NodeNetwork {
    async fn attach(&self, sandbox: &str, namespace: &Path, ports: &[PortMapping]) -> Result<Attachment, String> {
        let host_ports = ports.iter().map(host_port).collect::<Result<_, _>>()?;
        let request = Request { fixed: Vec::new(), host_ports };
        let attached = self.0.attach(sandbox, namespace, &request).await.map_err(|error| error.to_string())?;
        Ok(Attachment { addresses: attached.addresses })
    }

    async fn detach(&self, sandbox: &str) -> Result<(), String> {
        self.0.detach(sandbox).await.map_err(|error| error.to_string())
    }

    async fn attachment(&self, sandbox: &str) -> Option<Attachment> {
        self.0.attachment(sandbox).map(|attached| Attachment { addresses: attached.addresses })
    }

    async fn attached(&self) -> Vec<String> {
        self.0.attached()
    }
}

fn host_port(port: &PortMapping) -> Result<HostPort, String> {
    let protocol = Protocol::parse(Some(&port.protocol))
        .ok_or_else(|| format!("{:?} is no protocol of a host port", port.protocol))?;
    Ok(HostPort { host_ip: port.host_ip, host_port: port.host_port, container_port: port.container_port, protocol })
}
