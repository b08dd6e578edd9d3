//! Pods of this node: what is known of each ([`record`]), what to do next
//! ([`state`]), and doing it.

pub mod backoff;
pub mod record;
pub mod spec;
pub mod state;
