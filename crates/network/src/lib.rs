//! The pod network of one node, and the kernel's packet rules as values.
//!
//! [`PodNetwork`] gives sandboxes links and addresses and takes them back;
//! [`Peers`] holds the routes to the pods of other nodes;
//! [`rules::RuleSet`] describes nftables content as plain data which
//! [`Rules`] applies in one transaction; [`conntrack`] forgets connections.
//! This crate never hears of Services or Pods: a sandbox is an id with a
//! network namespace, a service is whatever elements `proxy` puts in a map.
//!
//! # Why each pod has a routed link of its own
//!
//! The usual bridge joins the pods of a node on one Ethernet. Then the answer
//! from pod B to pod A is switched past the host's connection tracking, and a
//! connection that A opened through a cluster address breaks, unless
//! `br_netfilter` lifts bridged frames into IP. Corten routes instead: each
//! pod has a veth pair whose host end carries one host route (`/32`, `/128`),
//! both ends know each other's hardware address (no ARP, no neighbour
//! discovery, no duplicate address detection to wait for), and every packet
//! of a pod passes the host's routing and hooks in both directions.
//!
//! The link `corten0` is a bridge without ports. It holds the gateway address
//! of the node's pod range, the cluster DNS address, and the on-link route of
//! the service range, which gives the node's own connections to services a
//! source address that pods can answer. What is sent into it goes nowhere.
//!
//! # Why nothing leaks
//!
//! In this order, before the first pod has a link: unreachable routes for
//! every pod and service range (metric [`UNREACHABLE_METRIC`], behind all
//! specific ones), the nftables table whose `refuse` rules answer for service
//! addresses that no rule translated, and only then forwarding.

pub mod base;
mod config;
pub mod conntrack;
mod error;
mod links;
mod peers;
mod pod_network;
mod pool;
mod records;
pub mod rules;
mod sysctl;

pub use config::{Attachment, Config, HostPort, Protocol, Request};
pub use error::Error;
pub use links::UNREACHABLE_METRIC;
pub use peers::{Peers, Ways};
pub use pod_network::PodNetwork;
pub use pool::AddressPool;
pub use rules::kernel::Rules;
