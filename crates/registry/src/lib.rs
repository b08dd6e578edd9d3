//! The table of kinds: every built-in resource with what is special about it,
//! and what kube-apiserver does by itself (`loops`).
//!
//! Definitions come from the facts (`api`), strategies from one file a kind.
//! This crate routes no request and opens no store.

mod changes;
mod conditions;
pub mod core;
mod ineffective;
pub mod loops;
mod names;
pub mod printers;
mod rules;
mod table;

pub mod admissionregistration;
pub mod apiextensions;
pub mod apiregistration;
pub mod apps;
pub mod autoscaling;
pub mod batch;
pub mod certificates;
pub mod coordination;
pub mod discovery;
pub mod flowcontrol;
pub mod metrics;
pub mod networking;
pub mod node;
pub mod policy;
pub mod rbac;
pub mod resource;
pub mod reviews;
pub mod scheduling;
pub mod storage;
pub mod storagemigration;

pub use table::{Settings, authorizers, definitions};
