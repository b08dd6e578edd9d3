//! What is there: states of sandboxes and containers, events, counters.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{ContainerConfig, ContainerId, SandboxConfig, SandboxId};

/// Nanoseconds since 1970 UTC, as CRI counts time; 0: not yet.
pub type Nanoseconds = i64;

/// A sandbox that was just made.
#[derive(Clone, Debug, PartialEq)]
pub struct Sandbox {
    pub id: SandboxId,
    /// File that pins the network namespace; None with `host_network`.
    pub network_namespace: Option<PathBuf>,
    pub created_at: Nanoseconds,
}

/// A sandbox and its containers as they are now.
#[derive(Clone, Debug, PartialEq)]
pub struct SandboxStatus {
    pub id: SandboxId,
    pub config: SandboxConfig,
    pub state: SandboxState,
    pub created_at: Nanoseconds,
    /// File that pins the network namespace; None with `host_network` or when not ready.
    pub network_namespace: Option<PathBuf>,
    /// Ordered by creation.
    pub containers: Vec<ContainerStatus>,
}

/// State of a sandbox (CRI PodSandboxState).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SandboxState {
    Ready,
    /// Stopped, or its shim is gone: it cannot run containers any more.
    NotReady,
}

/// A container as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerStatus {
    pub id: ContainerId,
    pub sandbox: SandboxId,
    pub config: ContainerConfig,
    pub state: ContainerState,
    pub created_at: Nanoseconds,
    pub started_at: Nanoseconds,
    pub finished_at: Nanoseconds,
    /// 128 + signal when killed by one. Meaningful when Exited.
    pub exit_code: i32,
    /// `Completed`, `Error`, `OOMKilled`, `StartError`, `ContainerCannotRun`,
    /// or `ContainerStatusUnknown` when the exit could not be learnt. Empty
    /// until Exited.
    pub reason: String,
    /// The kernel's word for a failed start; else empty.
    pub message: String,
    /// First process in the node's PID namespace; 0 unless Running.
    pub pid: i32,
    /// Absolute path of the log; None when output is discarded.
    pub log_path: Option<PathBuf>,
}

/// State of a container (CRI ContainerState).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContainerState {
    Created,
    Running,
    Exited,
}

/// Something happened to a container or sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The command of a container was executed.
    ContainerStarted { sandbox: SandboxId, id: ContainerId },
    /// The first process of a container ended and its exit is on disk.
    ContainerExited { sandbox: SandboxId, id: ContainerId, exit_code: i32, oom_killed: bool },
    /// The kernel killed a process of the container for want of memory; the
    /// container may live on.
    OutOfMemory { sandbox: SandboxId, id: ContainerId },
    /// The sandbox was stopped or its shim ended by itself.
    SandboxGone { sandbox: SandboxId },
}

/// Counters of a cgroup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// When they were read.
    pub timestamp: Nanoseconds,
    /// CPU time used, nanoseconds.
    pub cpu_usage: u64,
    /// All memory charged, bytes.
    pub memory_usage: u64,
    /// Usage without inactive file pages: what eviction and `kubectl top` count.
    pub memory_working_set: u64,
    /// Anonymous memory, bytes.
    pub memory_rss: u64,
    pub page_faults: u64,
    pub major_page_faults: u64,
    /// Limit in bytes; None: none.
    pub memory_limit: Option<u64>,
    /// Processes and threads.
    pub pids: u64,
}

/// What a command run by exec_sync left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecOutput {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    /// 128 + signal when killed by one.
    pub exit_code: i32,
}
