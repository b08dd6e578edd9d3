//! Which scheduled time has passed and which is the next (`cronjob/utils`). Pure.

use std::time::Duration;

use api::schedule::Schedule;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::CronJob;

/// The next look is so long after the scheduled time.
const DELTA: SignedDuration = SignedDuration::from_millis(100);
/// More missed times than these are told of.
const MANY: i64 = 100;

/// Since when scheduled times count.
#[derive(Clone, Copy, Debug)]
pub struct Since {
    /// The last scheduled time, or the creation.
    at: Timestamp,
    deadline: Option<SignedDuration>,
}

impl Since {
    pub fn of(cron: &CronJob) -> Self {
        let last = cron.status.as_ref().and_then(|status| status.last_schedule_time.as_ref());
        let at =
            last.or(cron.metadata.creation_timestamp.as_ref()).map_or(Timestamp::UNIX_EPOCH, |time| time.0);
        let deadline = cron.spec.starting_deadline_seconds.map(SignedDuration::from_secs);
        Self { at, deadline }
    }

    /// Times whose deadline has passed are not looked for.
    fn within_deadline(self, now: Timestamp) -> Timestamp {
        let earliest = self.deadline.and_then(|deadline| now.checked_sub(deadline).ok());
        earliest.map_or(self.at, |earliest| earliest.max(self.at))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed {
    None,
    Few,
    Many,
}

/// The latest scheduled time that has passed, and how many had before it.
///
/// # Errors
/// Where the schedule names no two times.
pub fn latest(
    since: Timestamp,
    schedule: &Schedule,
    zone: &TimeZone,
    now: Timestamp,
) -> Result<(Option<Timestamp>, Missed), String> {
    let never = || "time difference between two schedules is less than 1 second".to_owned();
    let Some(first) = schedule.next(since, zone) else { return Err(never()) };
    if now < first {
        return Ok((None, Missed::None));
    }
    let Some(second) = schedule.next(first, zone) else { return Err(never()) };
    if now < second {
        return Ok((Some(first), Missed::None));
    }
    let between = second.duration_since(first).as_secs();
    if between < 1 {
        return Err(never());
    }
    // Roughly, so that years of missed minutes need no walk through them: one
    // interval before the last is where the exact search begins.
    let count = now.duration_since(first).as_secs() / between + 1;
    let begin = first.saturating_add(SignedDuration::from_secs((count - 2) * between)).unwrap_or(first);
    let mut found = None;
    let mut next = schedule.next(begin, zone);
    while let Some(time) = next.filter(|time| *time <= now) {
        found = Some(time);
        next = schedule.next(time, zone);
    }
    let missed = match count {
        count if count > MANY => Missed::Many,
        count if count > 0 => Missed::Few,
        _ => Missed::None,
    };
    Ok((found, missed))
}

/// The scheduled time that is to be acted on, if any.
///
/// # Errors
/// As [`latest`].
pub fn due(
    since: &Since,
    schedule: &Schedule,
    zone: &TimeZone,
    now: Timestamp,
) -> Result<(Option<Timestamp>, Missed), String> {
    latest(since.within_deadline(now), schedule, zone, now)
}

/// How long until the next scheduled time; None where there is none.
pub fn until_next(since: &Since, schedule: &Schedule, zone: &TimeZone, now: Timestamp) -> Option<Duration> {
    let from = match latest(since.at, schedule, zone, now) {
        Ok((Some(latest), _)) => latest,
        Ok((None, Missed::None)) => since.at,
        Ok((None, _)) | Err(_) => now,
    };
    let next = schedule.next(from, zone)?.saturating_add(DELTA).unwrap_or(Timestamp::MAX);
    Some(Duration::try_from(next.duration_since(now)).unwrap_or(Duration::ZERO))
}
