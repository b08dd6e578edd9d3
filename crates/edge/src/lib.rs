//! The edge of the deterministic core: wall clock, randomness and spawning,
//! behind traits that a simulation replaces.
//!
//! Everything above the drivers takes an [`Edge`] and asks it for these three;
//! timers come from `tokio::time`, which a paused runtime controls. This crate
//! never knows what its users do with time.
#![allow(clippy::disallowed_methods)] // the one place where the real clock is read

mod clock;
mod random;
mod tasks;
mod zones;

use std::sync::Arc;

pub use clock::{Clock, SimulatedClock, SystemClock};
pub use random::{Random, SeededRandom, SystemRandom};
pub use tasks::{Task, Tasks};
pub use zones::{local_zone, zone};

/// What a component gets from outside instead of reaching for globals.
#[derive(Clone)]
pub struct Edge {
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub tasks: Tasks,
}

impl Edge {
    /// The real clock and randomness; tasks run on the current tokio runtime.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn system() -> Self {
        Self::system_on(tokio::runtime::Handle::current())
    }

    /// The real clock and randomness; tasks run on `handle`.
    pub fn system_on(handle: tokio::runtime::Handle) -> Self {
        Self { clock: Arc::new(SystemClock), random: Arc::new(SystemRandom), tasks: Tasks::new(handle) }
    }

    /// Repeatable: the wall clock starts at `start` and advances with
    /// `tokio::time` (paused or not), randomness follows `seed`.
    pub fn simulated(seed: u64, start: jiff::Timestamp) -> Self {
        Self {
            clock: Arc::new(SimulatedClock::starting_at(start)),
            random: Arc::new(SeededRandom::new(seed)),
            tasks: Tasks::new(tokio::runtime::Handle::current()),
        }
    }

    /// The same clock and randomness with tasks of its own, so that they can
    /// be stopped together.
    pub fn with_tasks(&self, tasks: Tasks) -> Self {
        Self { tasks, ..self.clone() }
    }
}
