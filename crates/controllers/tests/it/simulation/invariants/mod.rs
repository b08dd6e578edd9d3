//! What must hold, one a file:
//!
//! | invariant | when |
//! |---|---|
//! | [`workloads_converge`] | after the storm, within ten minutes |
//! | [`nothing_oscillates`] | from then on |
//! | [`dependents_go`] | when their owners are deleted |
//! | [`no_name_runs_twice`] | always |
//! | [`budgets_hold`] | at every eviction |
//! | [`lost_nodes_are_left`] | while a node stays silent |

pub mod budgets_hold;
pub mod dependents_go;
pub mod lost_nodes_are_left;
pub mod no_name_runs_twice;
pub mod nothing_oscillates;
pub mod workloads_converge;
