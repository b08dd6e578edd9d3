//! The verbs, written once for all kinds.

pub mod names;
