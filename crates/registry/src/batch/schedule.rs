//! What is checked of a CronJob's schedule; how it is read is `api::schedule`'s.

use api::schedule::Schedule;

/// Bytes of a CronJob's name: its Jobs append eleven to it.
pub const MOST_NAME: usize = 52;

/// Whether `schedule` can be read.
///
/// # Errors
/// What is wrong with it.
pub fn check(schedule: &str) -> Result<(), String> {
    Schedule::parse(schedule, edge::zone).map(drop)
}

/// Whether the system knows a time zone of this name.
pub fn is_zone(name: &str) -> bool {
    edge::zone(name).is_some()
}
