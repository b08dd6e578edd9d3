//! Durations and moments.

use std::fmt;
use std::sync::LazyLock;

use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp, Zoned};

use regex::Regex;

use crate::error::Error;
use crate::value::Val;

/// Nanoseconds of `1h30m`.
pub(crate) fn parse_duration(text: &str) -> Result<i64, Error> {
    apimachinery::time::parse_duration(text)
        .map_err(|_| Error::failed("type conversion error from 'string' to 'google.protobuf.Duration'"))
}

/// A moment. The zone in which it was written shows only when it is written again.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    at: Timestamp,
    zone: Offset,
}

impl Moment {
    fn utc(at: Timestamp) -> Self {
        Self { at, zone: Offset::UTC }
    }

    pub fn at(&self) -> Timestamp {
        self.at
    }
}

/// RFC 3339 with as many digits as it takes.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = self.zone.seconds() / 60;
        write!(f, "{}", self.zone.to_datetime(self.at))?;
        if minutes == 0 {
            return f.write_str("Z");
        }
        let sign = if minutes < 0 { '-' } else { '+' };
        write!(f, "{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
    }
}

fn moment(text: &str) -> Option<Moment> {
    let at = text.parse().ok()?;
    let zone = match text.get(text.len().checked_sub(6)?..)?.split_at_checked(1)? {
        (sign @ ("+" | "-"), zone) => {
            let (hours, minutes) = zone.split_once(':')?;
            let seconds = hours.parse::<i32>().ok()? * 3600 + minutes.parse::<i32>().ok()? * 60;
            Offset::from_seconds(if sign == "-" { -seconds } else { seconds }).ok()?
        }
        _ => Offset::UTC,
    };
    Some(Moment { at, zone })
}

/// RFC 3339, as strictly as Go reads it.
pub(crate) fn parse_timestamp(text: &str) -> Result<Moment, Error> {
    static FORM: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d([.,]\d+)?(Z|[+-]\d\d:\d\d)$").expect("a pattern")
    });
    let read = FORM.is_match(text).then(|| moment(text)).flatten();
    read.ok_or_else(|| Error::failed("type conversion error from 'string' to 'google.protobuf.Timestamp'"))
}

/// Seconds since 1970, from the year 1 to 9999.
pub(crate) fn of_seconds(seconds: i64) -> Result<Moment, Error> {
    let is_in_range = (-62_135_596_800..=253_402_300_799).contains(&seconds);
    let moment = is_in_range.then(|| Timestamp::from_second(seconds).ok()).flatten();
    moment.map(Moment::utc).ok_or_else(|| Error::failed("timestamp overflow"))
}

/// The value of a field that is a moment or a date.
pub(crate) fn parse_moment(text: &str) -> Option<Moment> {
    let is_date = text.len() == 10 && text.as_bytes().get(4) == Some(&b'-');
    if is_date { moment(&format!("{text}T00:00:00Z")) } else { moment(text) }
}

/// `5400s`.
pub(crate) fn show_duration(nanos: i64) -> String {
    let (seconds, rest) = (nanos / 1_000_000_000, (nanos % 1_000_000_000).unsigned_abs());
    if rest == 0 {
        return format!("{seconds}s");
    }
    let sign = if nanos < 0 && seconds == 0 { "-" } else { "" };
    format!("{sign}{seconds}.{}s", format!("{rest:09}").trim_end_matches('0'))
}

/// Sums and differences with a duration or a moment.
pub(super) fn calculate<'a>(adds: bool, a: &Val<'a>, b: &Val<'a>) -> Result<Val<'a>, Error> {
    use Val::{Duration, Timestamp};
    let too_long = || Error::failed("duration overflow");
    let moved = |moment: &Moment, nanos: i64| {
        let by = SignedDuration::from_nanos(nanos);
        let moved = if adds { moment.at.checked_add(by) } else { moment.at.checked_sub(by) };
        moved.map(|at| Timestamp(Moment { at, ..*moment })).map_err(|_| Error::failed("timestamp overflow"))
    };
    match (a, b) {
        (Duration(a), Duration(b)) => {
            let sum = if adds { a.checked_add(*b) } else { a.checked_sub(*b) };
            sum.map(Duration).ok_or_else(too_long)
        }
        (Timestamp(a), Duration(b)) => moved(a, *b),
        (Duration(a), Timestamp(b)) if adds => moved(b, *a),
        (Timestamp(a), Timestamp(b)) if !adds => {
            let between = a.at.as_nanosecond() - b.at.as_nanosecond();
            i64::try_from(between).map(Duration).map_err(|_| too_long())
        }
        _ => Err(Error::no_overload()),
    }
}

pub(super) fn call<'a>(function: &str, args: &[Val<'a>]) -> Result<Val<'a>, Error> {
    use Val::{Int, String};
    match (function, args) {
        ("duration", [Val::Duration(nanos)]) => Ok(Val::Duration(*nanos)),
        ("duration", [Int(nanos)]) => Ok(Val::Duration(*nanos)),
        ("duration", [String(text)]) => parse_duration(text).map(Val::Duration),
        ("timestamp", [Val::Timestamp(moment)]) => Ok(Val::Timestamp(*moment)),
        ("timestamp", [Int(seconds)]) => of_seconds(*seconds).map(Val::Timestamp),
        ("timestamp", [String(text)]) => parse_timestamp(text).map(Val::Timestamp),
        ("getHours", [Val::Duration(nanos)]) => Ok(Int(nanos / 3_600_000_000_000)),
        ("getMinutes", [Val::Duration(nanos)]) => Ok(Int(nanos / 60_000_000_000)),
        ("getSeconds", [Val::Duration(nanos)]) => Ok(Int(nanos / 1_000_000_000)),
        ("getMilliseconds", [Val::Duration(nanos)]) => Ok(Int(nanos / 1_000_000)),
        (_, [Val::Timestamp(moment)]) => part(function, &moment.at.to_zoned(TimeZone::UTC)),
        (_, [Val::Timestamp(moment), String(zone)]) => part(function, &moment.at.to_zoned(in_zone(zone)?)),
        _ => Err(Error::no_overload()),
    }
}

/// `Europe/Berlin`, `+02:00` or `02:00`.
fn in_zone(name: &str) -> Result<TimeZone, Error> {
    let refuse = || Error::failed(format!("unknown time zone {name}"));
    let Some((hours, minutes)) = name.split_once(':') else {
        return if name == "UTC" { Ok(TimeZone::UTC) } else { TimeZone::get(name).map_err(|_| refuse()) };
    };
    let sign = if hours.starts_with('-') { -1 } else { 1 };
    let hours: i32 = hours.trim_start_matches('+').parse().map_err(|_| refuse())?;
    let minutes: i32 = minutes.parse().map_err(|_| refuse())?;
    let seconds = hours * 3600 + sign * minutes * 60;
    jiff::tz::Offset::from_seconds(seconds).map(TimeZone::fixed).map_err(|_| refuse())
}

fn part<'a>(function: &str, moment: &Zoned) -> Result<Val<'a>, Error> {
    let number: i64 = match function {
        "getFullYear" => moment.year().into(),
        "getMonth" => i64::from(moment.month()) - 1,
        "getDayOfYear" => i64::from(moment.day_of_year()) - 1,
        "getDayOfMonth" => i64::from(moment.day()) - 1,
        "getDate" => moment.day().into(),
        "getDayOfWeek" => moment.weekday().to_sunday_zero_offset().into(),
        "getHours" => moment.hour().into(),
        "getMinutes" => moment.minute().into(),
        "getSeconds" => moment.second().into(),
        "getMilliseconds" => moment.millisecond().into(),
        _ => return Err(Error::no_overload()),
    };
    Ok(Val::Int(number))
}
