//! How long a failing thing waits before it is tried again. Pure.

use jiff::{SignedDuration, Timestamp};

/// The first pause after a container crashed or an image did not come.
pub const FIRST: SignedDuration = SignedDuration::from_secs(10);
/// The longest pause.
pub const LONGEST: SignedDuration = SignedDuration::from_mins(5);
/// The pause between attempts at a sandbox, volumes or a container that
/// cannot be configured; what they wait for often comes by an event anyway.
pub const FIRST_STEP: SignedDuration = SignedDuration::from_millis(500);
pub const LONGEST_STEP: SignedDuration = SignedDuration::from_secs(122);

/// Restarts of one container: the first one is immediate, then the pauses
/// double; ten minutes without a crash forget them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restarts {
    /// The pause that the next crash costs, and when it was set.
    set: Option<(SignedDuration, Timestamp)>,
}

impl Restarts {
    /// When a container that finished at `finished` may be started again, and
    /// the pause that this is; None: now.
    pub fn pause(&self, finished: Timestamp, now: Timestamp) -> Option<(SignedDuration, Timestamp)> {
        let (delay, set) = self.set?;
        if finished.duration_since(set) > LONGEST * 2 {
            return None;
        }
        let until = finished.saturating_add(delay).unwrap_or(Timestamp::MAX);
        (now < until).then_some((delay, until))
    }

    /// Notes a restart after the exit at `finished`.
    pub fn restarted(&mut self, finished: Timestamp, now: Timestamp) {
        let delay = match self.set {
            Some((delay, set)) if finished.duration_since(set) <= LONGEST * 2 => (delay * 2).min(LONGEST),
            _ => FIRST,
        };
        self.set = Some((delay, now));
    }
}

/// A step that failed and will be tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// A CamelCase word for the status.
    pub reason: &'static str,
    pub message: String,
    pub delay: SignedDuration,
    pub until: Timestamp,
}

impl Failure {
    /// The next failure after `previous`, whose pause doubles from `first` to `longest`.
    pub fn after(
        previous: Option<&Failure>,
        (first, longest): (SignedDuration, SignedDuration),
        reason: &'static str,
        message: String,
        now: Timestamp,
    ) -> Self {
        let delay = previous.map_or(first, |failure| (failure.delay * 2).min(longest));
        Self { reason, message, delay, until: now.saturating_add(delay).unwrap_or(Timestamp::MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarts_double_and_are_forgotten() {
        let second = SignedDuration::from_secs;
        let mut now = Timestamp::UNIX_EPOCH;
        let mut restarts = Restarts::default();
        assert_eq!(restarts.pause(now, now), None, "the first restart is immediate");
        let mut pauses = Vec::new();
        for _ in 0..8 {
            restarts.restarted(now, now);
            now += second(1);
            let (pause, until) = restarts.pause(now, now).unwrap();
            assert_eq!(until, now + pause);
            pauses.push(pause.as_secs());
            now = until;
        }
        assert_eq!(pauses, [10, 20, 40, 80, 160, 300, 300, 300]);
        now += second(601);
        assert_eq!(restarts.pause(now, now), None, "it ran long enough");
        restarts.restarted(now, now);
        assert_eq!(restarts.pause(now, now).unwrap().0, FIRST);
    }
}
