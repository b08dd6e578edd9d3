//! What an administrator may choose about a node, with upstream's defaults.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

/// A node's configuration (upstream: KubeletConfiguration and the flags).
#[derive(Clone, Debug)]
pub struct Config {
    /// `metadata.name` of the Node and the end of `system:node:NAME`.
    pub node_name: String,
    /// Pod directories, checkpoints and logs live below this directory.
    pub root: PathBuf,
    /// `status.addresses` of type InternalIP, the primary first.
    pub addresses: Vec<IpAddr>,
    /// `spec.podCIDRs` that the assembly gave this node.
    pub pod_cidrs: Vec<String>,
    /// Nameservers of pods with `dnsPolicy: ClusterFirst`.
    pub cluster_dns: Vec<IpAddr>,
    /// Such as `cluster.local`.
    pub cluster_domain: String,
    /// The resolv.conf that pods with `dnsPolicy: Default` inherit.
    pub resolv_conf: PathBuf,
    /// The cgroup below which all pods live.
    pub cgroup_root: String,
    pub max_pods: u32,
    /// Where the node server listens; told to the API in `status.daemonEndpoints`.
    pub port: u16,
    /// Put on the Node when it is first registered.
    pub labels: BTreeMap<String, String>,
    /// Taints as `key=value:Effect`, put on the Node when it is first registered.
    pub taints: Vec<String>,
    /// Kept from pods: milli-CPU and bytes.
    pub reserved_cpu_milli: u64,
    pub reserved_memory: u64,
    pub logs: LogLimits,
    /// Images are collected when the disk is fuller than this percentage …
    pub image_gc_high_percent: u8,
    /// … until it is emptier than this one.
    pub image_gc_low_percent: u8,
    /// What the program calls itself in `status.nodeInfo`.
    pub version: String,
}

/// When a container's log is rotated (containerLogMaxSize, containerLogMaxFiles).
#[derive(Clone, Copy, Debug)]
pub struct LogLimits {
    pub max_bytes: u64,
    /// Including the one being written.
    pub max_files: usize,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self { max_bytes: 10 << 20, max_files: 5 }
    }
}

/// The cgroup of all pods, unless the assembly says otherwise.
pub const CGROUP_ROOT: &str = "/corten/pods";

impl Config {
    /// Upstream's defaults for everything but what has none.
    pub fn new(node_name: impl Into<String>, root: impl Into<PathBuf>, addresses: Vec<IpAddr>) -> Self {
        Self {
            node_name: node_name.into(),
            root: root.into(),
            addresses,
            pod_cidrs: Vec::new(),
            cluster_dns: Vec::new(),
            cluster_domain: "cluster.local".into(),
            resolv_conf: "/etc/resolv.conf".into(),
            cgroup_root: CGROUP_ROOT.into(),
            max_pods: 110,
            port: 10250,
            labels: BTreeMap::new(),
            taints: Vec::new(),
            reserved_cpu_milli: 0,
            reserved_memory: 0,
            logs: LogLimits::default(),
            image_gc_high_percent: 85,
            image_gc_low_percent: 80,
            version: "v1.37.2+corten".into(),
        }
    }
}
