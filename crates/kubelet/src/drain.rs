//! Ending everything on the node, for `corten down` and for what was left by
//! pods that are no more.

use std::path::Path;
use std::time::Duration;

use runtime::{ContainerState, SandboxStatus};

use crate::drivers::Drivers;
use crate::volumes::{KernelMounter, Mounter};

/// What containers get to end by themselves.
const GRACE: Duration = Duration::from_secs(10);

/// Stops every container of the node and removes sandboxes, networks, root
/// file systems and mounts below `root`. The API and its objects stay as they are.
pub async fn drain(drivers: &Drivers, root: &Path) -> Result<usize, runtime::Error> {
    let sandboxes = drivers.runtime.list().await?;
    let all = sandboxes.iter().map(|sandbox| remove_sandbox(drivers, sandbox));
    futures::future::join_all(all).await;
    for sandbox in drivers.network.attached().await {
        if let Err(error) = drivers.network.detach(&sandbox).await {
            tracing::warn!(sandbox, error, "a pod's network stays");
        }
    }
    for mount in KernelMounter.mounts_below(root) {
        if let Err(error) = KernelMounter.unmount(&mount) {
            tracing::warn!(mount = %mount.display(), %error, "a mount stays");
        }
    }
    Ok(sandboxes.len())
}

/// Stops and removes one sandbox with all that belongs to it.
pub(crate) async fn remove_sandbox(drivers: &Drivers, sandbox: &SandboxStatus) {
    let alive = sandbox.containers.iter().filter(|container| container.state == ContainerState::Running);
    let stops = alive.map(|container| drivers.runtime.stop_container(&container.id, None, GRACE));
    for stopped in futures::future::join_all(stops).await {
        if let Err(error) = stopped {
            tracing::warn!(sandbox = %sandbox.id, %error, "a container could not be stopped gently");
        }
    }
    if let Err(error) = drivers.network.detach(sandbox.id.as_str()).await {
        tracing::warn!(sandbox = %sandbox.id, error, "a pod's network stays");
    }
    if let Err(error) = drivers.runtime.remove_sandbox(&sandbox.id).await {
        tracing::warn!(sandbox = %sandbox.id, %error, "a sandbox stays");
    }
    for container in &sandbox.containers {
        if let Err(error) = drivers.images.release(container.id.as_str()).await {
            tracing::warn!(container = %container.id, %error, "a root file system stays");
        }
    }
}
