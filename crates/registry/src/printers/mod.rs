//! What `kubectl get` shows: the cells of a table row for each built-in kind,
//! as kube-apiserver prints them.
//!
//! Pure functions of an object (in its stored version) and the time. Which
//! columns there are comes from the facts; a strategy names its printer.

pub mod access;
pub mod cluster;
pub mod config;
pub mod event;
pub mod network;
pub mod node;
pub mod pod;
pub mod scaling;
pub mod storage;
pub mod words;
pub mod workloads;

#[cfg(test)]
mod tests;
