//! The plugins, one a file, each with the same sections: what it is and its
//! extension points, state, filter, score, tests. [`table`] lists them in order.

mod default_binder;
mod default_preemption;
mod image_locality;
mod inter_pod_affinity;
mod node_affinity;
mod node_name;
mod node_ports;
mod node_resources_balanced_allocation;
mod node_resources_fit;
mod node_unschedulable;
mod pod_topology_spread;
mod priority_sort;
mod scheduling_gates;
pub mod table;
mod taint_toleration;
pub mod volume_binding;
