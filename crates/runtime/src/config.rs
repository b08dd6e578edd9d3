//! What a caller asks for: sandboxes, containers, resources, exec.
//!
//! Shapes follow CRI v1's PodSandboxConfig, ContainerConfig and
//! LinuxContainerResources; they are stored with the sandbox and travel to its
//! shim, so fields may be added (with `serde(default)`) but not change meaning.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A pod's sandbox as wanted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SandboxConfig {
    /// metadata.uid of the pod.
    pub uid: String,
    /// metadata.name of the pod.
    pub name: String,
    /// metadata.namespace of the pod.
    pub namespace: String,
    /// Counts sandboxes of the same pod, from 0.
    pub attempt: u32,
    /// Host name in the pod's UTS namespace; ignored with `host_network`.
    pub hostname: String,
    /// The pod uses the node's network (and UTS) namespace.
    pub host_network: bool,
    /// The pod sees the node's processes.
    pub host_pid: bool,
    /// The pod uses the node's IPC namespace.
    pub host_ipc: bool,
    /// All containers share one PID namespace whose PID 1 is a tiny init.
    pub share_process_namespace: bool,
    /// Kernel parameters of the pod's namespaces, `net.ipv4.x` → value.
    pub sysctls: BTreeMap<String, String>,
    /// The pod's own cgroup, absolute from the cgroup root, such as
    /// `/corten/pods/burstable/podUID`; created here, removed with the sandbox.
    pub cgroup_parent: String,
    /// Limits of the pod's cgroup.
    pub resources: Resources,
    /// Directory under which containers' `log_path` lie
    /// (`/var/log/pods/NS_NAME_UID`); created here.
    pub log_directory: PathBuf,
    /// Labels given back by list.
    pub labels: BTreeMap<String, String>,
    /// Annotations given back by list.
    pub annotations: BTreeMap<String, String>,
}

/// A container as wanted; `command` and `env` are already resolved against the
/// image's configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerConfig {
    /// Name in the pod.
    pub name: String,
    /// Counts restarts, from 0.
    pub attempt: u32,
    /// The id to use; None: a random one. A caller who prepares the root file
    /// system under the container's id makes it first ([`ContainerId::random`](crate::ContainerId::random)).
    pub id: Option<crate::ContainerId>,
    /// Prepared root file system (`image::ImageStore::prepare`).
    pub rootfs: PathBuf,
    /// Reference by which the image was asked for; given back by list.
    pub image: String,
    /// Digest of the image's configuration; given back by list.
    pub image_id: String,
    /// Executable and first arguments (entrypoint).
    pub command: Vec<String>,
    /// Further arguments.
    pub args: Vec<String>,
    /// `NAME=value` in order; later ones win.
    pub env: Vec<(String, String)>,
    /// Working directory, created when missing; empty: `/`.
    pub working_dir: String,
    /// Who the process is.
    pub user: User,
    /// A running container of the sandbox whose processes this one sees and is
    /// among (CRI's NamespaceMode TARGET); None: as the sandbox says.
    pub process_namespace_of: Option<crate::ContainerId>,
    /// Mounts in order; parents before children is arranged here.
    pub mounts: Vec<Mount>,
    /// Device nodes of the host to make available.
    pub devices: Vec<Device>,
    /// Capabilities and other rights.
    pub security: SecurityContext,
    /// Limits of the container's cgroup.
    pub resources: Resources,
    /// Allocate a terminal.
    pub tty: bool,
    /// Keep standard input open for attach.
    pub stdin: bool,
    /// Close standard input when the first attach ends.
    pub stdin_once: bool,
    /// Log file relative to the sandbox's `log_directory` (`NAME/0.log`);
    /// empty: output is discarded.
    pub log_path: PathBuf,
    /// Signal by which the image wants to be stopped (`SIGQUIT`); None: SIGTERM.
    pub stop_signal: Option<String>,
    /// Labels given back by list.
    pub labels: BTreeMap<String, String>,
    /// Annotations given back by list.
    pub annotations: BTreeMap<String, String>,
}

/// Identity of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    pub additional_gids: Vec<u32>,
}

/// One mount of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mount {
    /// A file or directory of the node. Empty with `tmpfs_size`.
    pub source: PathBuf,
    /// Absolute path in the container, made when missing.
    pub target: PathBuf,
    pub readonly: bool,
    /// Also everything mounted below is read-only (`recursiveReadOnly`, kernel 5.12).
    pub recursive_readonly: bool,
    pub propagation: Propagation,
    /// A fresh tmpfs of this many bytes instead of `source` (`/dev/shm`).
    pub tmpfs_size: Option<u64>,
}

/// mountPropagation of a volume mount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Propagation {
    /// `None`: private.
    #[default]
    Private,
    /// `HostToContainer`: slave.
    HostToContainer,
    /// `Bidirectional`: shared.
    Bidirectional,
}

/// A device node of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Device {
    /// Path on the node (`/dev/fuse`).
    pub host_path: PathBuf,
    /// Path in the container.
    pub container_path: PathBuf,
    /// Of `r`, `w`, `m`.
    pub permissions: String,
}

/// Rights of a container (CRI LinuxContainerSecurityContext).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SecurityContext {
    /// All capabilities, all devices, no seccomp, nothing masked, writable /sys.
    pub privileged: bool,
    /// Capabilities beside the default set, `NET_ADMIN` or `ALL`.
    pub add_capabilities: Vec<String>,
    /// Capabilities taken away, `ALL` for every one.
    pub drop_capabilities: Vec<String>,
    /// allowPrivilegeEscalation: false.
    pub no_new_privileges: bool,
    /// readOnlyRootFilesystem.
    pub readonly_rootfs: bool,
    pub seccomp: SeccompProfile,
    /// None: the default paths (procMount Default); Some([]): none (Unmasked).
    pub masked_paths: Option<Vec<String>>,
    /// As `masked_paths`, for paths made read-only.
    pub readonly_paths: Option<Vec<String>>,
}

/// seccompProfile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SeccompProfile {
    /// The runtime's default list.
    RuntimeDefault,
    /// No filter: what Kubernetes does unless asked otherwise.
    #[default]
    Unconfined,
    /// Text of a profile in Docker's or OCI's JSON.
    Localhost(String),
}

/// Limits of a cgroup (CRI LinuxContainerResources). None: not set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// cgroup v1 `cpu.shares`, 2..=262144; converted to `cpu.weight` on v2.
    pub cpu_shares: Option<u64>,
    /// Microseconds in each period; -1: no limit.
    pub cpu_quota: Option<i64>,
    /// Microseconds.
    pub cpu_period: Option<u64>,
    /// `0-2,5`.
    pub cpuset_cpus: Option<String>,
    /// `0`.
    pub cpuset_mems: Option<String>,
    /// Bytes; -1: no limit.
    pub memory_limit: Option<i64>,
    /// Most processes; -1: no limit.
    pub pids_limit: Option<i64>,
    /// Page size (`2MB`) → bytes.
    pub hugepages: BTreeMap<String, u64>,
    /// oom_score_adj of the container's processes, -1000..=1000. Ignored for pods.
    pub oom_score_adj: Option<i32>,
    /// Raw v2 files, such as `memory.high`; ignored on v1.
    pub unified: BTreeMap<String, String>,
}

/// A command to run in a container with its streams connected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecOptions {
    pub command: Vec<String>,
    /// Allocate a terminal; then there is no separate stderr.
    pub tty: bool,
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
}

/// Which streams of a container's first process to connect to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AttachOptions {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
}
