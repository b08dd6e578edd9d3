//! The loops of kube-controller-manager: one folder a controller, each with
//! `mod.rs` (what it watches and owns), `plan.rs` (pure), `act.rs` and `tests.rs`.
//!
//! Controllers are ordinary API users: none touches the store or `apiserver`.
//! [`table::CONTROLLERS`] lists them in order.

mod claims;
mod context;
mod deployment;
mod expectations;
mod pods;
mod replicaset;
mod table;

pub use context::{Context, Identities};
pub use table::start_all;
