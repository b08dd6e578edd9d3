//! `corten down`: nothing of the node stays in the kernel; the data stays.

use anyhow::{Result, bail};
use edge::Edge;
use runtime::spawner::Spawner;

use crate::cli::Data;
use crate::machine::{Machine, Places};
use crate::{images, node, preflight, up};

pub fn run(options: &Data, spawner: Spawner) -> Result<()> {
    preflight::require_root()?;
    if !options.data_dir.exists() {
        bail!("{} does not exist: nothing runs from there", options.data_dir.display());
    }
    if images::is_running(&options.data_dir) {
        bail!("a node is running on {}: end it first (Ctrl-C or SIGTERM)", options.data_dir.display());
    }
    let runtime = up::runtime("down", 2)?;
    let edge = Edge::system_on(runtime.handle().clone());
    let last = spawner.clone();
    runtime.block_on(async {
        let plan = node::NetworkRecord::read(&options.data_dir)?.plan()?;
        let places = Places::new(&options.data_dir);
        let machine = Machine::open(&places, &plan, spawner, &edge).await?;
        let drivers = machine.drivers(std::sync::Arc::new(NoApi), &edge);
        let sandboxes = kubelet::drain(&drivers, &places.kubelet()).await?;
        // Also of containers that a stop has cut off before they were made.
        for container in machine.images.containers() {
            if let Err(error) = machine.images.release(&container).await {
                tracing::warn!(container, %error, "a root file system stays");
            }
        }
        drop(drivers);
        network::PodNetwork::teardown(&plan.config(&places)).await?;
        println!("{sandboxes} pods stopped; the data stays in {}", options.data_dir.display());
        anyhow::Ok(())
    })?;
    last.end(&kubelet::cgroups_of_pods(kubelet::CGROUP_ROOT));
    Ok(())
}

/// `down` needs no API: the objects stay as they are.
struct NoApi;

#[async_trait::async_trait]
impl client::Transport for NoApi {
    async fn call(&self, _: client::Request) -> Result<client::Document, client::Error> {
        Err(no_api())
    }

    async fn list(
        &self,
        _: &client::Resource,
        _: Option<&str>,
        _: &client::ListOptions,
    ) -> Result<client::List, client::Error> {
        Err(no_api())
    }

    async fn watch(
        &self,
        _: &client::Resource,
        _: Option<&str>,
        _: &client::ListOptions,
    ) -> Result<client::WatchStream, client::Error> {
        Err(no_api())
    }
}

fn no_api() -> client::Error {
    client::Error::Unreachable("the API is not served while the node is taken down".into())
}
