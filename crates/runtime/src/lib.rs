//! Sandboxes and containers of one node, in the words and semantics of the
//! Container Runtime Interface (CRI v1), as values.
//!
//! Holds the trait [`Runtime`] and its embedded implementation [`Embedded`]:
//! libcontainer behind one shim process a pod. A shim outlives the program
//! (ARCHITECTURE.md, "Node"), writes logs and exit codes itself, and is found
//! again by its socket after a restart.
//!
//! Never knows the API server, a Pod object, an image's name or an address:
//! callers hand over a prepared root file system, resolved environment and
//! mounts, and set up the network in the namespace that a sandbox pins.

mod attach;
mod capabilities;
mod cgroup;
mod config;
mod descriptors;
mod embedded;
mod error;
mod id;
mod protocol;
mod sealed;
mod seccomp;
mod shim;
pub mod spawner;
mod spec;
mod state;
mod status;
mod streams;

pub use config::*;
pub use embedded::Embedded;

pub use error::{Error, Result};
pub use id::{ContainerId, SandboxId};
pub use status::*;
pub use streams::{ExitFuture, Streams, WindowSize};

use std::time::Duration;

use async_trait::async_trait;

/// What a node asks of a container runtime (CRI's RuntimeService).
///
/// Every method is idempotent where CRI's is: stopping or removing what is
/// gone succeeds. Methods may be called from any number of tasks at once.
#[async_trait]
pub trait Runtime: Send + Sync {
    /// Creates a pod's sandbox: its shim, its pinned namespaces (network, IPC,
    /// UTS unless the host's are wanted), its cgroup with the pod's limits, and
    /// with `share_process_namespace` a tiny init as PID 1. The network
    /// namespace has loopback up and nothing else.
    async fn run_sandbox(&self, config: SandboxConfig) -> Result<Sandbox>;

    /// Kills whatever still runs in the sandbox and releases its namespaces.
    /// Its containers' statuses and logs stay. Call it after the pod's network
    /// was torn down or before; the namespace's path is gone afterwards.
    async fn stop_sandbox(&self, id: &SandboxId) -> Result<()>;

    /// Stops if need be, ends the shim, removes state and cgroup. Log files
    /// under `log_directory` are left to the caller.
    async fn remove_sandbox(&self, id: &SandboxId) -> Result<()>;

    /// Records a container in a sandbox; nothing runs yet.
    async fn create_container(&self, sandbox: &SandboxId, config: ContainerConfig) -> Result<ContainerId>;

    /// Builds the container and executes its command. A failure leaves it
    /// Exited with reason `StartError` (or `ContainerCannotRun`), exit code
    /// 127/128 and the kernel's word as message, and is returned as
    /// [`Error::Start`].
    async fn start_container(&self, id: &ContainerId) -> Result<()>;

    /// Sends `signal` (a name such as `SIGTERM`, or a number; None: SIGTERM),
    /// waits up to `grace`, then kills all processes of the container. Returns
    /// when it has exited. A shorter call made meanwhile cuts the grace short.
    async fn stop_container(&self, id: &ContainerId, signal: Option<&str>, grace: Duration) -> Result<()>;

    /// Kills it if it still runs and forgets it. The caller then releases the
    /// root file system (`image::ImageStore::release`).
    async fn remove_container(&self, id: &ContainerId) -> Result<()>;

    /// Changes the cgroup limits of a container (in-place resize). Fields that
    /// are None stay as they are.
    async fn update_resources(&self, id: &ContainerId, resources: &Resources) -> Result<()>;

    /// Changes the limits of the pod's cgroup.
    async fn update_sandbox_resources(&self, id: &SandboxId, resources: &Resources) -> Result<()>;

    /// Everything that is really there, also what an earlier run of the program
    /// left, ordered by creation. Used at start to adopt, never as a poll.
    async fn list(&self) -> Result<Vec<SandboxStatus>>;

    /// One sandbox with its containers.
    async fn sandbox_status(&self, id: &SandboxId) -> Result<SandboxStatus>;

    /// One container.
    async fn status(&self, id: &ContainerId) -> Result<ContainerStatus>;

    /// Runs a command in a container to its end. `timeout` zero means none;
    /// when it passes, the command is killed and [`Error::Timeout`] returned.
    /// Each stream is kept up to 16 MiB.
    async fn exec_sync(&self, id: &ContainerId, command: &[String], timeout: Duration) -> Result<ExecOutput>;

    /// Runs a command in a container, its streams connected to the caller.
    async fn exec(&self, id: &ContainerId, options: ExecOptions) -> Result<Streams>;

    /// Connects to the streams of the container's first process. Output starts
    /// with what is written from now on.
    async fn attach(&self, id: &ContainerId, options: AttachOptions) -> Result<Streams>;

    /// Opens a TCP connection to `port` on the sandbox's own loopback address
    /// (127.0.0.1, then ::1), for port-forward.
    async fn connect(&self, id: &SandboxId, port: u16) -> Result<tokio::net::TcpStream>;

    /// Closes and opens the container's log file again after it was renamed.
    async fn reopen_log(&self, id: &ContainerId) -> Result<()>;

    /// Counters of one container's cgroup.
    async fn stats(&self, id: &ContainerId) -> Result<Stats>;

    /// Counters of the pod's cgroup, all containers together.
    async fn sandbox_stats(&self, id: &SandboxId) -> Result<Stats>;

    /// What happens from now on, pushed. A receiver that lags is told so by the
    /// channel and should [`list`](Runtime::list) again.
    fn events(&self) -> tokio::sync::broadcast::Receiver<Event>;
}
