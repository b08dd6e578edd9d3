//! The node's agent: it makes the pods that are bound to its node real, and
//! tells the API what became of them.
//!
//! ```text
//! API ──► pods (one worker each) ──► plan(observed, now) ──► actions ──► runtime · images · network · volumes
//!  ▲                                        ▲                                   │
//!  └────────── status, events ◄─────────────┴──── container events, probes ◄────┘
//! ```
//!
//! It is an ordinary user of the API (`system:node:NAME`) and reaches the
//! machine only through [`Drivers`]. It never opens the store and never
//! speaks to another node.

mod config;
mod container;
mod context;
mod drain;
mod drivers;
mod error;
mod garbage;
mod kubelet;
mod logs;
mod node;
mod pod;
mod pod_certificates;
mod probes;
mod quantity;
mod references;
mod sandbox;
mod server;
mod services;
mod status;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod trust_bundles;
mod volumes;

pub use config::{CGROUP_ROOT, Config, LogLimits};
pub use container::resources::cgroups_of_pods;
pub use drain::drain;
pub use drivers::{Attachment, Drivers, Images, PodNetwork, PortMapping};
pub use error::Error;
pub use kubelet::Kubelet;
pub use server::{Body, Caller, NodeServer};
