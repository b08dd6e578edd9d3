//! Pods of this node: what is known of each ([`record`]), what to do next
//! ([`state`]), doing it ([`act`]), one loop a pod ([`worker`]), and who
//! starts those loops ([`manager`]).

pub mod act;
pub mod admission;
pub mod adopt;
pub mod backoff;
pub mod events;
pub mod manager;
pub mod record;
pub mod spec;
pub mod state;
pub mod worker;
