//! The kubelet as a whole: started by the assembly, ended with its tasks.

use std::sync::Arc;

use informer::{Informer, Options, Recorder, Whole};
use k8s_openapi::api::core::v1::{Node, Pod};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::config::Config;
use crate::context::Context;
use crate::drivers::Drivers;
use crate::error::Error;
use crate::node::{self, Capacity, System};
use crate::pod::manager::Manager;
use crate::pod_certificates::PodCertificates;
use crate::references::References;
use crate::services::Service;
use crate::trust_bundles::TrustBundles;
use crate::volumes::{KernelMounter, Mounter, Tokens, Volumes};

/// A running kubelet. It works in the task group of [`Drivers::edge`] and
/// ends with it; containers go on.
pub struct Kubelet {
    pub(crate) context: Arc<Context>,
    pub(crate) manager: Arc<Manager>,
}

impl Kubelet {
    /// Registers the node, adopts what already runs on it and begins to
    /// follow its pods. Returns when the node is registered.
    pub async fn start(config: Config, drivers: Drivers) -> Result<Self, Error> {
        Self::start_with(config, drivers, Arc::new(KernelMounter)).await
    }

    /// As [`Kubelet::start`], with other means to mount.
    pub(crate) async fn start_with(
        config: Config,
        drivers: Drivers,
        mounter: Arc<dyn Mounter>,
    ) -> Result<Self, Error> {
        let root = config.root.clone();
        std::fs::create_dir_all(&root)
            .map_err(Error::machine(format!("the directory {}", root.display())))?;
        let (disk, _) = System::disk(&root);
        let capacity = Capacity::new(&config, System::cpus(), System::memory("MemTotal"), disk);
        let found = drivers.runtime.list().await.map_err(|error| Error::Runtime(error.to_string()))?;
        let (changed, changes) = mpsc::unbounded_channel();
        let (edge, transport) = (drivers.edge.clone(), drivers.transport.clone());
        let services = client::Resource::new("", "v1", "services");
        let context = Arc::new(Context {
            recorder: Recorder::start(&edge, transport.clone(), "kubelet", &config.node_name),
            references: References::new(edge.clone(), transport.clone(), changed.clone()),
            trust_bundles: TrustBundles::new(edge.clone(), transport.clone(), changed),
            services: Informer::<Service>::start(&edge, transport.clone(), services, Options::default()),
            volumes: Volumes::new(&root, mounter),
            tokens: Tokens::default(),
            certificates: PodCertificates::default(),
            capacity,
            sandboxes: Mutex::default(),
            config,
            drivers,
        });
        let registered = node::register(&context).await?;
        let own = Options::fields(format!("metadata.name={}", context.config.node_name));
        let nodes = client::Resource::of::<Node>();
        let own_node = Informer::<Whole<Node>>::start(&edge, transport, nodes, own);
        let manager = Manager::new(context.clone(), found, own_node);
        manager.start(changes);
        edge.tasks.spawn(node::keep(context.clone(), manager.clone(), registered));
        Ok(Self { context, manager })
    }

    /// The pods of this node as the API last had them.
    pub fn pods(&self) -> Vec<Arc<Pod>> {
        self.manager.snapshots().into_iter().map(|snapshot| snapshot.pod.clone()).collect()
    }
}
