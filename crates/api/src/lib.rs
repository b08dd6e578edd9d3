//! What Kubernetes' API is made of: the facts of its wire as data, typed views
//! of its kinds, and pure helpers on them.
//!
//! It does no I/O and decides nothing that has state.

pub mod facts;
pub mod node;
pub mod pod;
pub mod quota;
pub mod requests;
pub mod schedule;
pub mod tolerations;
pub mod volume;

/// Typed views of the built-in kinds. Transient: an object is kept as bytes or
/// as a projection, never as one of these (design rule 3).
pub use k8s_openapi as k8s;
