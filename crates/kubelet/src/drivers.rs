//! The machine as the kubelet sees it: what the assembly plugs in. Fakes of
//! these make a node without a kernel.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use client::Transport;
use edge::Edge;
use image::{Garbage, Image, ImageId, ImageStore, RegistryAuth};

/// Everything that the kubelet needs from outside.
#[derive(Clone)]
pub struct Drivers {
    pub transport: Arc<dyn Transport>,
    pub runtime: Arc<dyn runtime::Runtime>,
    pub images: Arc<dyn Images>,
    pub network: Arc<dyn PodNetwork>,
    pub edge: Edge,
}

/// The image store, in the words that a pod needs.
#[async_trait]
pub trait Images: Send + Sync + 'static {
    /// The image that `reference` (a name or an id) means, where it is here.
    async fn find(&self, reference: &str) -> Option<Arc<Image>>;

    /// Fetches the image with one set of credentials.
    async fn pull(&self, reference: &str, credentials: &RegistryAuth) -> image::Result<Arc<Image>>;

    /// Mounts a root file system for the container and gives its path. Doing
    /// it again for the same container gives the same file system.
    async fn prepare(&self, image: &ImageId, container: &str) -> image::Result<PathBuf>;

    /// Unmounts and deletes what [`Images::prepare`] made; fine when it is gone.
    async fn release(&self, container: &str) -> image::Result<()>;

    /// The numbers behind `user` (`name`, `uid:group`, …) in a root file
    /// system; the user's own groups of /etc/group are the additional ones.
    async fn user(&self, rootfs: &Path, user: &str) -> image::Result<runtime::User>;

    /// Bytes and inodes that the container has written to its root file system.
    async fn written(&self, container: &str) -> Option<(u64, u64)>;

    async fn list(&self) -> Vec<Arc<Image>>;

    /// Removes images that no container uses, the longest unused first, until
    /// so many bytes are free.
    async fn collect_garbage(&self, bytes: u64) -> image::Result<Garbage>;

    /// The directory whose file system holds the images.
    fn directory(&self) -> &Path;
}

/// The pod network: addresses and links for sandboxes.
#[async_trait]
pub trait PodNetwork: Send + Sync + 'static {
    /// Gives the sandbox's namespace an address; again for the same sandbox
    /// gives the same one.
    async fn attach(
        &self,
        sandbox: &str,
        namespace: &Path,
        ports: &[PortMapping],
    ) -> Result<Attachment, String>;

    /// Takes everything back; fine when there is nothing.
    async fn detach(&self, sandbox: &str) -> Result<(), String>;

    /// What an attached sandbox has; used after a restart.
    async fn attachment(&self, sandbox: &str) -> Option<Attachment>;

    /// The sandboxes that hold something, for cleaning up after a crash.
    async fn attached(&self) -> Vec<String>;
}

/// A pod's place in the network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attachment {
    /// `status.podIPs`, the primary first.
    pub addresses: Vec<IpAddr>,
}

/// A `hostPort`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortMapping {
    pub host_ip: Option<IpAddr>,
    pub host_port: u16,
    pub container_port: u16,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
}

#[async_trait]
impl PodNetwork for network::PodNetwork {
    async fn attach(
        &self,
        sandbox: &str,
        namespace: &Path,
        ports: &[PortMapping],
    ) -> Result<Attachment, String> {
        let host_ports = ports.iter().filter_map(|port| {
            Some(network::HostPort {
                host_ip: port.host_ip,
                host_port: port.host_port,
                container_port: port.container_port,
                protocol: network::Protocol::parse(Some(&port.protocol))?,
            })
        });
        let request = network::Request { host_ports: host_ports.collect(), ..network::Request::default() };
        let attached = network::PodNetwork::attach(self, sandbox, namespace, &request).await;
        attached.map(|one| Attachment { addresses: one.addresses }).map_err(|error| error.to_string())
    }

    async fn detach(&self, sandbox: &str) -> Result<(), String> {
        network::PodNetwork::detach(self, sandbox).await.map_err(|error| error.to_string())
    }

    async fn attachment(&self, sandbox: &str) -> Option<Attachment> {
        network::PodNetwork::attachment(self, sandbox).map(|one| Attachment { addresses: one.addresses })
    }

    async fn attached(&self) -> Vec<String> {
        network::PodNetwork::attached(self)
    }
}

#[async_trait]
impl Images for ImageStore {
    async fn find(&self, reference: &str) -> Option<Arc<Image>> {
        self.resolve(reference).map(Arc::new)
    }

    async fn pull(&self, reference: &str, credentials: &RegistryAuth) -> image::Result<Arc<Image>> {
        ImageStore::pull(self, reference, credentials, None).await.map(Arc::new)
    }

    async fn prepare(&self, image: &ImageId, container: &str) -> image::Result<PathBuf> {
        ImageStore::prepare(self, image.as_str(), container).await
    }

    async fn release(&self, container: &str) -> image::Result<()> {
        ImageStore::release(self, container).await
    }

    async fn user(&self, rootfs: &Path, user: &str) -> image::Result<runtime::User> {
        // Two small files: cheaper read here than on another thread.
        let found = image::resolve_user(rootfs, user)?;
        Ok(runtime::User { uid: found.uid, gid: found.gid, additional_gids: found.additional_gids })
    }

    async fn written(&self, container: &str) -> Option<(u64, u64)> {
        self.writable_usage(container).await.map(|usage| (usage.bytes, usage.inodes))
    }

    async fn list(&self) -> Vec<Arc<Image>> {
        ImageStore::list(self).into_iter().map(Arc::new).collect()
    }

    async fn collect_garbage(&self, bytes: u64) -> image::Result<Garbage> {
        ImageStore::collect_garbage(self, Some(bytes)).await
    }

    fn directory(&self) -> &Path {
        ImageStore::directory(self)
    }
}
