//! kube-scheduler: chooses a node for each pod that has none and binds it.
//!
//! An ordinary API user (`system:kube-scheduler`). Read [`schedule()`] first: it
//! is the decision, a pure function of the [`cluster`], a pod and a choice of
//! chance. Around it stand the [`queue`] of waiting pods (pure, time comes in)
//! and the [`Scheduler`], which feeds both from informers and carries out what
//! they decide: binding, conditions, events, preemption.
//!
//! ```text
//! informers → changes → [queue] → schedule(cluster, pod) → assume → bind
//!                          ↑             │ no node fits
//!                          └─ hints ←─── condition, event, preemption
//! ```
//!
//! It never touches the store and never starts a container.

pub mod cluster;
pub mod framework;
pub mod plugins;
pub mod pod_info;
pub mod queue;

mod act;
mod core;
mod diagnosis;
mod driver;
mod resources;
mod schedule;
mod selector;
#[cfg(test)]
mod testing;

pub use cluster::{Cluster, NodeInfo};
pub use diagnosis::FitError;
pub use driver::{Placement, Scheduler};
pub use framework::Framework;
pub use pod_info::PodInfo;
pub use resources::Amounts;
pub use schedule::{Choice, Decision, schedule};

/// The `spec.schedulerName` that this scheduler answers to.
pub const SCHEDULER_NAME: &str = "default-scheduler";
