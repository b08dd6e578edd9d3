//! Wall clock time. Monotonic time is `tokio::time::Instant` everywhere.

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use tokio::time::Instant;

/// Tells the wall clock time.
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A wall clock that follows tokio's (possibly paused) time and can be made
/// to jump, as an administrator or NTP would.
pub struct SimulatedClock {
    origin: Mutex<(Instant, Timestamp)>,
}

impl SimulatedClock {
    pub fn starting_at(start: Timestamp) -> Self {
        Self { origin: Mutex::new((Instant::now(), start)) }
    }

    /// Moves the wall clock by `by` (negative: backwards) without moving timers.
    pub fn jump(&self, by: SignedDuration) {
        let mut origin = self.origin.lock();
        origin.1 = origin.1.saturating_add(by).unwrap_or(origin.1);
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        let (instant, wall) = *self.origin.lock();
        let passed = SignedDuration::try_from(instant.elapsed()).unwrap_or(SignedDuration::MAX);
        wall.saturating_add(passed).unwrap_or(Timestamp::MAX)
    }
}
