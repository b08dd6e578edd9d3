//! Validation of pods and of the templates that workloads hold, in upstream's
//! order (core ValidatePodSpec and what it calls).
//!
//! Pure functions on trees: they add to a list of errors and change nothing.

mod affinity;
mod annotations;
mod containers;
mod environment;
mod mounts;
mod network;
mod pod;
mod pod_resources;
mod ports;
mod probes;
mod resize;
mod scheduling;
mod security;
mod spec;
mod status;
mod update;
pub mod volume_sources;
mod volumes;
mod warnings;
mod windows;

pub use affinity::node_selector;
pub use annotations::APP_ARMOR;
pub use network::hostname_rule;
pub use pod::{create, template};
pub use scheduling::{TAINT_EFFECTS, spread_constraints, tolerations};
pub use status::status;
pub use update::{ephemeral_containers as update_ephemeral_containers, resize, take_node_affinity, update};
pub use warnings::{
    of_claim as claim_warnings, of_nodes as node_terms_warnings, of_pod as pod_warnings,
    of_status as status_warnings, of_template as template_warnings,
};

/// Whose spec it is that is looked at.
#[derive(Clone, Copy)]
pub enum Owner<'a> {
    Pod {
        name: &'a str,
        /// Of a file of its node, of which the API shows a mirror.
        is_static: bool,
    },
    Template,
}

#[cfg(test)]
mod tests;
