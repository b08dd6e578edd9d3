//! What every loop over the API is made of: a reflector that keeps an indexed
//! projection of a resource, a work queue, a runner of reconcilers, a recorder of
//! events, and the election of the one who runs them.
//!
//! It holds no business rule: what a change means is its users' matter.

mod backoff;
mod cache;
mod election;
mod informer;
mod key;
mod metrics;
mod projection;
mod queue;
mod reconciler;
mod recorder;

pub use backoff::Backoff;
pub use cache::Index;
pub use election::{Election, Timing};
pub use informer::{Change, Informer, Options};
pub use key::ObjectKey;
pub use metrics::QueueMetrics;
pub use projection::{Meta, Projection, Whole};
pub use queue::Queue;
pub use reconciler::{Outcome, Reconciler, run};
pub use recorder::{EventType, Recorder, Reference};
