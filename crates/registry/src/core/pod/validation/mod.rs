//! Validation of pods and of the templates that workloads hold, in upstream's
//! order (core ValidatePodSpec and what it calls).
//!
//! Pure functions on trees: they add to a list of errors and change nothing.

mod affinity;
mod containers;
mod environment;
mod mounts;
mod network;
mod pod;
mod ports;
mod probes;
mod scheduling;
mod security;
mod spec;
mod update;
mod volume_sources;
mod volumes;
mod warnings;
mod windows;

pub use affinity::{node_selector, node_selector_term};
pub use containers::ephemeral;
pub use network::hostname_rule;
pub use pod::{create, template};
pub use scheduling::{TAINT_EFFECTS, spread_constraints, tolerations};
pub use spec::spec;
pub use update::update;
pub use volume_sources::{host_path, nfs};
pub use warnings::{of_pod as pod_warnings, of_template as template_warnings};

#[cfg(test)]
mod tests;
