//! Schedules of CronJobs: five fields or a descriptor, read and computed as
//! upstream's parser (robfig/cron v3) does, and in its words. Pure: time zones
//! are given.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Bounds and names of a field.
struct Field {
    least: u32,
    most: u32,
    names: &'static [&'static str],
}

const MONTHS: [&str; 13] =
    ["", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// Minute, hour, day of the month, month, day of the week.
const FIELDS: [Field; 5] = [
    Field { least: 0, most: 59, names: &[] },
    Field { least: 0, most: 23, names: &[] },
    Field { least: 1, most: 31, names: &[] },
    Field { least: 1, most: 12, names: &MONTHS },
    Field { least: 0, most: 6, names: &DAYS },
];

/// After so many years without a match there is none.
const YEARS: i16 = 5;

/// When something is due, again and again.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// The zone that the schedule itself names (`TZ=`), which goes before any other.
    zone: Option<TimeZone>,
    when: When,
}

#[derive(Clone, Debug, PartialEq)]
enum When {
    /// Minutes, hours, days of the month, months and days of the week.
    Fields([Set; 5]),
    Every(SignedDuration),
}

/// The values of a field, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Set {
    bits: u64,
    /// Written as `*` or `?`.
    any: bool,
}

impl Set {
    fn has(self, value: impl Into<i64>) -> bool {
        (self.bits >> value.into()) & 1 == 1
    }
}

impl Schedule {
    /// Reads a schedule; `find_zone` knows time zones by name.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str, find_zone: impl Fn(&str) -> Option<TimeZone>) -> Result<Self, String> {
        if text.is_empty() {
            return Err("empty spec string".into());
        }
        let (mut text, mut zone) = (text, None);
        if text.starts_with("TZ=") || text.starts_with("CRON_TZ=") {
            let (named, rest) =
                text.split_once(' ').ok_or_else(|| format!("provided bad location {text}"))?;
            let name = named.split_once('=').map_or("", |(_, name)| name);
            let found = find_zone(name);
            zone =
                Some(found.ok_or_else(|| format!("provided bad location {name}: unknown time zone {name}"))?);
            text = rest.trim();
        }
        let when = if text.starts_with('@') { descriptor(text)? } else { When::Fields(fields(text)?) };
        Ok(Self { zone, when })
    }

    /// The first time after `after`; None where there is none within five
    /// years. Fields mean `zone`, unless the schedule names one itself.
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        match &self.when {
            When::Every(pause) => whole_second(after).checked_add(*pause).ok(),
            When::Fields(sets) => next_match(sets, after, self.zone.as_ref().unwrap_or(zone)),
        }
    }
}

fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_nanosecond().div_euclid(1_000_000_000) as i64).unwrap_or(time)
}

fn descriptor(text: &str) -> Result<When, String> {
    let fields_of = match text {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ => {
            let Some(duration) = text.strip_prefix("@every ") else {
                return Err(format!("unrecognized descriptor: {text}"));
            };
            let nanoseconds = apimachinery::time::parse_duration(duration)
                .map_err(|why| format!("failed to parse duration {text}: {why}"))?;
            return Ok(When::Every(SignedDuration::from_secs((nanoseconds / 1_000_000_000).max(1))));
        }
    };
    fields(fields_of).map(When::Fields)
}

fn fields(text: &str) -> Result<[Set; 5], String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    if words.len() != FIELDS.len() {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", words.len(), words.join(" ")));
    }
    let mut sets = [Set::default(); 5];
    for ((word, field), set) in words.iter().zip(&FIELDS).zip(&mut sets) {
        for part in word.split(',').filter(|part| !part.is_empty()) {
            let one = range(part, field)?;
            set.bits |= one.bits;
            set.any |= one.any;
        }
    }
    Ok(sets)
}

/// `*`, `a`, `a-b`, each with an optional `/step`.
fn range(text: &str, field: &Field) -> Result<Set, String> {
    let parts: Vec<&str> = text.split('/').collect();
    let ends: Vec<&str> = parts[0].split('-').collect();
    let single = ends.len() == 1;
    let mut any = matches!(ends[0], "*" | "?");
    let (start, mut end) = if any {
        (field.least, field.most)
    } else {
        let start = number(ends[0], field)?;
        match ends.len() {
            1 => (start, start),
            2 => (start, number(ends[1], field)?),
            _ => return Err(format!("too many hyphens: {text}")),
        }
    };
    let mut step = 1;
    match parts.len() {
        1 => {}
        2 => {
            step = plain(parts[1])?;
            // `n/step` means `n-max/step`.
            if single {
                end = field.most;
            }
            any &= step <= 1;
        }
        _ => return Err(format!("too many slashes: {text}")),
    }
    if start < field.least {
        return Err(format!("beginning of range ({start}) below minimum ({}): {text}", field.least));
    }
    if end > field.most {
        return Err(format!("end of range ({end}) above maximum ({}): {text}", field.most));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {text}"));
    }
    if step == 0 {
        return Err(format!("step of range should be a positive number: {text}"));
    }
    let mut bits = 0;
    let mut value = start;
    while value <= end {
        bits |= 1 << value;
        value = value.saturating_add(step);
    }
    Ok(Set { bits, any })
}

fn number(text: &str, field: &Field) -> Result<u32, String> {
    let named = text.to_lowercase();
    match field.names.iter().position(|name| !name.is_empty() && *name == named) {
        Some(at) => Ok(at as u32),
        None => plain(text),
    }
}

fn plain(text: &str) -> Result<u32, String> {
    match text.parse::<i64>() {
        Ok(number) if number < 0 => Err(format!("negative number ({number}) not allowed: {text}")),
        Ok(number) => Ok(u32::try_from(number).unwrap_or(u32::MAX)),
        Err(_) => Err(format!(
            "failed to parse int from {text}: strconv.Atoi: parsing {}: invalid syntax",
            apimachinery::field::quote(text)
        )),
    }
}

/// The local time that is walked forward, field by field, from the largest.
struct Walk<'a> {
    zone: &'a TimeZone,
    at: Timestamp,
    /// A field was moved: those below it begin at their least.
    moved: bool,
}

impl Walk<'_> {
    fn local(&self) -> DateTime {
        self.zone.to_datetime(self.at)
    }

    /// Goes to a local time; one that the clocks skip is the one after.
    fn go(&mut self, local: DateTime) -> Option<()> {
        self.at = self.zone.to_ambiguous_timestamp(local).compatible().ok()?;
        Some(())
    }

    /// Begins the current field anew, the first time that one is moved.
    fn begin(&mut self, start: impl Fn(DateTime) -> Option<DateTime>) -> Option<()> {
        if !self.moved {
            self.moved = true;
            let start = start(self.local())?;
            self.go(start)?;
        }
        Some(())
    }

    fn add(&mut self, seconds: i64) -> Option<()> {
        self.at = self.at.checked_add(SignedDuration::from_secs(seconds)).ok()?;
        Some(())
    }
}

fn next_match(sets: &[Set; 5], after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let [minutes, hours, days, months, weekdays] = sets;
    let at = whole_second(after).checked_add(SignedDuration::from_secs(1)).ok()?;
    let mut walk = Walk { zone, at, moved: false };
    let last_year = walk.local().year() + YEARS;
    'wrapped: loop {
        if walk.local().year() > last_year {
            return None;
        }
        while !months.has(walk.local().month()) {
            walk.begin(|now| Some(now.date().first_of_month().at(0, 0, 0, 0)))?;
            let now = walk.local();
            let (year, month) = match now.month() {
                12 => (now.year() + 1, 1),
                month => (now.year(), month + 1),
            };
            walk.go(Date::new(year, month, now.day()).ok()?.to_datetime(now.time()))?;
            if month == 1 {
                continue 'wrapped;
            }
        }
        while !day_matches(*days, *weekdays, walk.local()) {
            walk.begin(|now| Some(now.date().at(0, 0, 0, 0)))?;
            let now = walk.local();
            walk.go(now.date().tomorrow().ok()?.to_datetime(now.time()))?;
            // Where the clocks skip midnight the day begins at another hour.
            let hour = i64::from(walk.local().hour());
            if hour != 0 {
                walk.add(if hour > 12 { (24 - hour) * 3600 } else { -hour * 3600 })?;
            }
            if walk.local().day() == 1 {
                continue 'wrapped;
            }
        }
        while !hours.has(walk.local().hour()) {
            walk.begin(|now| Some(now.date().at(now.hour(), 0, 0, 0)))?;
            walk.add(3600)?;
            if walk.local().hour() == 0 {
                continue 'wrapped;
            }
        }
        while !minutes.has(walk.local().minute()) {
            if !walk.moved {
                walk.moved = true;
                walk.add(-i64::from(walk.local().second()))?;
            }
            walk.add(60)?;
            if walk.local().minute() == 0 {
                continue 'wrapped;
            }
        }
        // Second 0 of a minute that matches, or of the next one.
        let second = i64::from(walk.local().second());
        if second == 0 {
            return Some(walk.at);
        }
        walk.moved = true;
        walk.add(60 - second)?;
    }
}

/// Both days must match where either is written as `*`; else one of them.
fn day_matches(days: Set, weekdays: Set, local: DateTime) -> bool {
    let by_month = days.has(local.day());
    let by_week = weekdays.has(local.weekday().to_sunday_zero_offset());
    if days.any || weekdays.any { by_month && by_week } else { by_month || by_week }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zones(name: &str) -> Option<TimeZone> {
        match name {
            "UTC" => Some(TimeZone::UTC),
            "Europe/Berlin" => TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").ok(),
            // Its clocks skip midnight.
            "America/Asuncion" => TimeZone::posix("<-04>4<-03>,M10.1.0/0,M3.4.0/0").ok(),
            _ => None,
        }
    }

    #[test]
    fn schedules_are_read_as_upstream_reads_them() {
        for (text, told) in [
            ("*/5 1-5 1,15 jan-mar MON", Ok(())),
            ("@hourly", Ok(())),
            ("@every 90s", Ok(())),
            ("TZ=UTC 0 0 * * *", Ok(())),
            ("", Err("empty spec string")),
            ("0 24 * * *", Err("end of range (24) above maximum (23): 24")),
            ("0 0 0 * *", Err("beginning of range (0) below minimum (1): 0")),
            ("5-1 * * * *", Err("beginning of range (5) beyond end of range (1): 5-1")),
            ("1/2/3 * * * *", Err("too many slashes: 1/2/3")),
            ("*/0 * * * *", Err("step of range should be a positive number: */0")),
            ("x * * * *", Err("failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax")),
            ("@never", Err("unrecognized descriptor: @never")),
            ("TZ=Nowhere 0 0 * * *", Err("provided bad location Nowhere: unknown time zone Nowhere")),
        ] {
            assert_eq!(Schedule::parse(text, zones).map(drop), told.map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn the_next_time_is_the_first_that_matches() {
        for (text, zone, after, expected) in [
            ("* * * * *", "UTC", "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"),
            ("* * * * *", "UTC", "2026-01-01T00:00:30.5Z", "2026-01-01T00:01:00Z"),
            ("*/15 * * * *", "UTC", "2026-01-01T00:44:59Z", "2026-01-01T00:45:00Z"),
            ("0 9-17/4 * * *", "UTC", "2026-01-01T09:00:00Z", "2026-01-01T13:00:00Z"),
            ("30 0 1 * *", "UTC", "2026-12-15T00:00:00Z", "2027-01-01T00:30:00Z"),
            ("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("0 0 31 * *", "UTC", "2026-01-31T00:00:00Z", "2026-03-31T00:00:00Z"),
            // Either day will do, unless one is a star.
            ("0 0 13 * fri", "UTC", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
            ("0 0 * * mon", "UTC", "2026-01-01T00:00:00Z", "2026-01-05T00:00:00Z"),
            ("0 0 */2 * mon", "UTC", "2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z"),
            ("@weekly", "UTC", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"),
            ("@yearly", "UTC", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("@every 90s", "UTC", "2026-01-01T00:00:30.9Z", "2026-01-01T00:02:00Z"),
            ("0 0 31 2 *", "UTC", "2026-01-01T00:00:00Z", ""),
            // Local time, with clocks that go forward and back.
            ("0 12 * * *", "Europe/Berlin", "2026-06-01T00:00:00Z", "2026-06-01T10:00:00Z"),
            ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-30T00:30:00Z"),
            ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"),
            ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"),
            ("0 1 5 10 *", "America/Asuncion", "2026-10-01T00:00:00Z", "2026-10-05T04:00:00Z"),
            ("TZ=Europe/Berlin 0 12 * * *", "UTC", "2026-01-01T00:00:00Z", "2026-01-01T11:00:00Z"),
        ] {
            let schedule = Schedule::parse(text, zones).unwrap();
            let next = schedule.next(after.parse().unwrap(), &zones(zone).unwrap());
            let shown = next.map(|time| time.to_string()).unwrap_or_default();
            assert_eq!(shown, expected, "{text} in {zone} after {after}");
        }
    }
}
