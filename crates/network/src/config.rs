//! What the pod network is told, and what it answers.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::Error;

/// The network of this node. Addresses are lists everywhere: one range a
/// family, the primary family first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where the holders of addresses are written down.
    pub state_dir: PathBuf,
    /// The link that holds the gateway and service routes.
    pub bridge: String,
    /// The pod ranges of the whole cluster: traffic to them keeps its source.
    pub cluster_ranges: Vec<IpNet>,
    /// This node's part of them (`spec.podCIDRs`): addresses come from here.
    pub node_ranges: Vec<IpNet>,
    /// The service ranges.
    pub service_ranges: Vec<IpNet>,
    /// Service addresses that this node serves itself (the cluster DNS).
    pub local_service_addresses: Vec<IpAddr>,
    /// The largest packet in bytes on a pod's link.
    pub mtu: u32,
}

impl Config {
    /// The defaults of `corten up`: link `corten0`, 1500 bytes, the whole
    /// cluster range on this node.
    pub fn new(state_dir: impl Into<PathBuf>, pod_ranges: Vec<IpNet>, service_ranges: Vec<IpNet>) -> Self {
        Self {
            state_dir: state_dir.into(),
            bridge: "corten0".into(),
            cluster_ranges: pod_ranges.clone(),
            node_ranges: pod_ranges,
            service_ranges,
            local_service_addresses: Vec::new(),
            mtu: 1500,
        }
    }

    /// The node's own address in each of its pod ranges: the first one.
    pub fn gateways(&self) -> Vec<IpAddr> {
        let first = |range: &IpNet| match range.network() {
            IpAddr::V4(v4) => IpAddr::V4((u32::from(v4) + 1).into()),
            IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) + 1).into()),
        };
        self.node_ranges.iter().map(first).collect()
    }

    pub(crate) fn validate(&self) -> Result<(), Error> {
        let wrong = |what: String| Err(Error::Config(what));
        if self.bridge.is_empty() || self.bridge.len() > 15 || self.bridge.contains(['/', ' ']) {
            return wrong(format!("{:?} is no name for a link (1 to 15 characters)", self.bridge));
        }
        if self.node_ranges.is_empty() {
            return wrong("the node has no pod range".into());
        }
        if !(1280..=65535).contains(&self.mtu) {
            return wrong(format!("an MTU of {} is outside 1280..65535", self.mtu));
        }
        for range in &self.node_ranges {
            if range.max_prefix_len() - range.prefix_len() < 2 {
                return Err(Error::RangeTooSmall(*range));
            }
        }
        for service in &self.service_ranges {
            for pods in self.cluster_ranges.iter().chain(&self.node_ranges) {
                if service.contains(pods) || pods.contains(service) {
                    return wrong(format!("the service range {service} overlaps the pod range {pods}"));
                }
            }
        }
        Ok(())
    }
}

/// A transport protocol that services and host ports know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

impl Protocol {
    /// IANA's number.
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }

    /// As the API writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        }
    }

    /// Reads the API's word; none is TCP, the API's default.
    pub fn parse(word: Option<&str>) -> Option<Self> {
        match word {
            None | Some("") | Some("TCP") => Some(Self::Tcp),
            Some("UDP") => Some(Self::Udp),
            Some("SCTP") => Some(Self::Sctp),
            Some(_) => None,
        }
    }
}

/// What a sandbox wants beyond an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Addresses to take instead of free ones, at most one a family.
    pub fixed: Vec<IpAddr>,
    pub host_ports: Vec<HostPort>,
}

/// A port of the node that leads to a port of the sandbox.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HostPort {
    /// The node's address that listens; None or unspecified: all of them.
    pub host_ip: Option<IpAddr>,
    pub host_port: u16,
    pub container_port: u16,
    pub protocol: Protocol,
}

impl HostPort {
    /// Both cannot listen at once.
    pub fn collides(&self, other: &Self) -> bool {
        let any = |port: &Self| port.host_ip.is_none_or(|ip| ip.is_unspecified());
        self.host_port == other.host_port
            && self.protocol == other.protocol
            && (any(self) || any(other) || self.host_ip == other.host_ip)
    }
}

/// A sandbox's place in the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// One address a family, the primary first (`status.podIPs`).
    pub addresses: Vec<IpAddr>,
    /// The next hop for each of `addresses`, in their order.
    pub gateways: Vec<IpAddr>,
    /// The hardware address of `eth0` in the sandbox.
    pub mac: [u8; 6],
    /// The host's end of the link.
    pub host_interface: String,
}
