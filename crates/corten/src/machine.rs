//! The parts of the machine that a node works with, and where they lie.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use client::Transport;
use edge::Edge;
use image::ImageStore;
use kubelet::Drivers;
use runtime::Embedded;
use runtime::spawner::Spawner;

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
    /// This node's.
    pub pod_ranges: Vec<ipnet::IpNet>,
    /// All nodes'.
    pub cluster_ranges: Vec<ipnet::IpNet>,
    pub service_ranges: Vec<ipnet::IpNet>,
    /// Service addresses that the node answers itself.
    pub own_addresses: Vec<IpAddr>,
}

impl NetworkPlan {
    pub fn config(&self, places: &Places) -> network::Config {
        let mut config =
            network::Config::new(places.network(), self.pod_ranges.clone(), self.service_ranges.clone());
        config.cluster_ranges = self.cluster_ranges.clone();
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
            runtime: self.runtime.clone(),
            images: self.images.clone(),
            network: self.network.clone(),
            edge: edge.clone(),
        }
    }
}

/// The image store alone.
pub fn open_images(places: &Places, edge: &Edge) -> Result<ImageStore> {
    ImageStore::open(&places.images(), edge.clone()).context("the image store")
}
