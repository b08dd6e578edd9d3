//! Times and durations as Go writes and reads them in the API: `meta/v1.Time`
//! (RFC 3339, whole seconds), `meta/v1.MicroTime` (six digits) and
//! `meta/v1.Duration`.
//!
//! Nothing here reads a clock. Errors carry Go's words.

use std::fmt::Write as _;

use jiff::Timestamp;

const SECONDS: &str = "2006-01-02T15:04:05Z07:00";
const MICROS: &str = "2006-01-02T15:04:05.000000Z07:00";

/// A moment as `meta/v1.Time` writes it: `2026-01-02T03:04:05Z`.
pub fn format(moment: Timestamp) -> String {
    Moment::from_unix(moment.as_second(), 0).text(false)
}

/// A moment as `meta/v1.MicroTime` writes it: `2026-01-02T03:04:05.000006Z`.
pub fn format_micro(moment: Timestamp) -> String {
    let micros = moment.as_microsecond();
    Moment::from_unix(micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000) as u32 * 1000).text(true)
}

/// The moment that a canonical text names; `None` where it is no time.
pub fn parse(text: &str) -> Option<Timestamp> {
    let moment = Moment::read(text, SECONDS).ok()?;
    Timestamp::new(moment.unix(), moment.nanos as i32).ok()
}

/// The canonical text of a `Time`; `None` for Go's zero time, which is null.
pub fn canonical(text: &str) -> Result<Option<String>, String> {
    if is_canonical(text.as_bytes()) {
        return Ok((text != "0001-01-01T00:00:00Z").then(|| text.to_owned()));
    }
    let moment = Moment::read(text, SECONDS)?.in_utc();
    Ok((!moment.is_zero()).then(|| moment.text(false)))
}

/// The canonical text of a `MicroTime`; `None` for Go's zero time.
pub(crate) fn canonical_micro(text: &str) -> Result<Option<String>, String> {
    let moment = Moment::read(text, MICROS)?.in_utc();
    Ok((!moment.is_zero()).then(|| moment.text(true)))
}

/// Whether this is `YYYY-MM-DDTHH:MM:SSZ` with a day that every month has, so
/// that it need not be read closer.
fn is_canonical(text: &[u8]) -> bool {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2, b'Z'] = text
    else {
        return false;
    };
    let number = |tens: &u8, ones: &u8| match (tens, ones) {
        (b'0'..=b'9', b'0'..=b'9') => (tens - b'0') * 10 + (ones - b'0'),
        _ => u8::MAX,
    };
    number(y1, y2) < 100
        && number(y3, y4) < 100
        && (1..=12).contains(&number(m1, m2))
        && (1..=28).contains(&number(d1, d2))
        && number(h1, h2) < 24
        && number(n1, n2) < 60
        && number(s1, s2) < 60
}

/// A civil time and its offset.
#[derive(Clone, Copy, Debug, Default)]
struct Moment {
    year: i64,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
    nanos: u32,
    /// Seconds east of UTC.
    offset: i64,
}

/// Why a piece did not fit.
enum Misfit {
    Bad,
    Range(&'static str),
}

impl Moment {
    /// Reads `text` by `layout` as Go's `time.Parse` does.
    fn read(text: &str, layout: &'static str) -> Result<Self, String> {
        let mut moment = Moment::default();
        let mut rest = text;
        let pieces: &[&'static str] = if layout == MICROS {
            &["2006", "-", "01", "-", "02", "T", "15", ":", "04", ":", "05", ".000000", "Z07:00"]
        } else {
            &["2006", "-", "01", "-", "02", "T", "15", ":", "04", ":", "05", "Z07:00"]
        };
        for piece in pieces {
            match moment.piece(piece, rest, layout == SECONDS) {
                Ok(after) => rest = after,
                Err(Misfit::Bad) => {
                    return Err(format!(
                        "parsing time {text:?} as {layout:?}: cannot parse {rest:?} as {piece:?}"
                    ));
                }
                Err(Misfit::Range(what)) => {
                    return Err(format!("parsing time {text:?}: {what} out of range"));
                }
            }
        }
        if !rest.is_empty() {
            return Err(format!("parsing time {text:?}: extra text: {rest:?}"));
        }
        if moment.day < 1 || moment.day > days_in(moment.year, moment.month) {
            return Err(format!("parsing time {text:?}: day out of range"));
        }
        Ok(moment)
    }

    fn piece<'a>(&mut self, piece: &str, rest: &'a str, fraction: bool) -> Result<&'a str, Misfit> {
        let two = |most: u32, what: &'static str| {
            let number = digits(rest, 2).ok_or(Misfit::Bad)?;
            if number >= most { Err(Misfit::Range(what)) } else { Ok(number) }
        };
        match piece {
            "2006" => self.year = digits(rest, 4).ok_or(Misfit::Bad)?.into(),
            "01" => {
                self.month = two(13, "month")?;
                if self.month == 0 {
                    return Err(Misfit::Range("month"));
                }
            }
            "02" => self.day = digits(rest, 2).ok_or(Misfit::Bad)?,
            "15" if digits(rest, 2).is_none() => {
                // Go takes an hour of one digit.
                self.hour = digits(rest, 1).ok_or(Misfit::Bad)?;
                return Ok(&rest[1..]);
            }
            "15" => self.hour = two(24, "hour")?,
            "04" => self.minute = two(60, "minute")?,
            "05" => {
                self.second = two(60, "second")?;
                return Ok(if fraction { self.fraction(&rest[2..]) } else { &rest[2..] });
            }
            ".000000" => {
                let micros =
                    rest.strip_prefix(['.', ',']).and_then(|rest| digits(rest, 6)).ok_or(Misfit::Bad)?;
                self.nanos = micros * 1000;
                return Ok(&rest[7..]);
            }
            "Z07:00" => return self.zone(rest),
            separator => return rest.strip_prefix(separator).ok_or(Misfit::Bad),
        }
        Ok(&rest[piece.len()..])
    }

    /// Takes a fraction that the layout does not have, as Go does after seconds.
    fn fraction<'a>(&mut self, rest: &'a str) -> &'a str {
        let Some(after) = rest.strip_prefix(['.', ',']) else { return rest };
        let count = after.bytes().take_while(u8::is_ascii_digit).count();
        if count == 0 {
            return rest;
        }
        self.nanos =
            after.bytes().take(9.min(count)).fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'))
                * 10u32.pow(9 - 9.min(count) as u32);
        &after[count..]
    }

    fn zone<'a>(&mut self, rest: &'a str) -> Result<&'a str, Misfit> {
        if let Some(after) = rest.strip_prefix('Z') {
            return Ok(after);
        }
        let bytes = rest.as_bytes();
        if bytes.len() < 6 || bytes[3] != b':' {
            return Err(Misfit::Bad);
        }
        let number = |at: usize| rest.get(at..).and_then(|rest| digits(rest, 2)).ok_or(Misfit::Bad);
        let (hours, minutes) = (number(1)?, number(4)?);
        if hours > 24 {
            return Err(Misfit::Range("time zone offset hour"));
        }
        if minutes > 60 {
            return Err(Misfit::Range("time zone offset minute"));
        }
        let seconds = i64::from(hours * 3600 + minutes * 60);
        self.offset = match bytes[0] {
            b'+' => seconds,
            b'-' => -seconds,
            _ => return Err(Misfit::Bad),
        };
        Ok(&rest[6..])
    }

    fn unix(&self) -> i64 {
        days_from_civil(self.year, self.month, self.day) * 86_400
            + i64::from(self.hour * 3600 + self.minute * 60 + self.second)
            - self.offset
    }

    fn from_unix(seconds: i64, nanos: u32) -> Self {
        let (year, month, day) = civil_from_days(seconds.div_euclid(86_400));
        let rest = seconds.rem_euclid(86_400) as u32;
        Moment {
            year,
            month,
            day,
            hour: rest / 3600,
            minute: rest / 60 % 60,
            second: rest % 60,
            nanos,
            offset: 0,
        }
    }

    fn in_utc(self) -> Self {
        if self.offset == 0 { self } else { Self::from_unix(self.unix(), self.nanos) }
    }

    /// Go's zero time: the first moment of the year 1.
    fn is_zero(&self) -> bool {
        (self.year, self.month, self.day) == (1, 1, 1)
            && (self.hour, self.minute, self.second, self.nanos) == (0, 0, 0, 0)
    }

    fn text(&self, micros: bool) -> String {
        let mut text = String::with_capacity(27);
        let Moment { year, month, day, hour, minute, second, nanos, .. } = self;
        let sign = if *year < 0 { "-" } else { "" };
        let year = year.unsigned_abs();
        // Writing to a string cannot fail.
        let _ = write!(text, "{sign}{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
        if micros {
            let _ = write!(text, ".{:06}", nanos / 1000);
        }
        text.push('Z');
        text
    }
}

/// The number in the first `count` bytes, where they are digits.
fn digits(text: &str, count: usize) -> Option<u32> {
    let bytes = text.as_bytes().get(..count)?;
    bytes.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0')))
}

fn days_in(year: i64, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a date in the proleptic Gregorian calendar.
fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted = i64::from((month + 9) % 12);
    let day_of_year = (153 * shifted + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * shifted + 2) / 5 + 1) as u32;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 } as u32;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Seconds and nanoseconds since 1970 of a canonical text, as protobuf has them.
pub(crate) fn to_unix(text: &str) -> Option<(i64, u32)> {
    let moment = Moment::read(text, SECONDS).ok()?;
    Some((moment.unix(), moment.nanos))
}

/// The canonical text of seconds and nanoseconds since 1970; `None` for Go's
/// zero time and for years that RFC 3339 cannot write.
pub(crate) fn from_unix(seconds: i64, nanos: u32, micros: bool) -> Option<String> {
    // From the year 1 to the year 9999.
    if !(-62_135_596_800..=253_402_300_799).contains(&seconds) {
        return None;
    }
    let moment = Moment::from_unix(seconds, nanos);
    (!moment.is_zero()).then(|| moment.text(micros))
}

/// Nanoseconds of a Go duration text such as `1h2m3.5s`.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let whole = rest.bytes().take_while(u8::is_ascii_digit).count();
        let mut end = whole;
        let mut fraction = "";
        if rest.as_bytes().get(end) == Some(&b'.') {
            let count = rest[end + 1..].bytes().take_while(u8::is_ascii_digit).count();
            fraction = &rest[end + 1..end + 1 + count];
            end += 1 + count;
        }
        if whole == 0 && fraction.is_empty() {
            return Err(invalid());
        }
        let unit = rest[end..].find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len() - end);
        if unit == 0 {
            return Err(format!("time: missing unit in duration {text:?}"));
        }
        let nanos: i128 = match &rest[end..end + unit] {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            other => return Err(format!("time: unknown unit {other:?} in duration {text:?}")),
        };
        let number: i128 = if whole == 0 { 0 } else { rest[..whole].parse().map_err(|_| invalid())? };
        let part = fraction
            .bytes()
            .take(18)
            .fold((0i128, nanos), |(sum, unit), digit| (sum * 10 + i128::from(digit - b'0'), unit));
        let digits = fraction.len().min(18) as u32;
        let nanos_of_part = part.0 * nanos / 10i128.pow(digits);
        total = number
            .checked_mul(nanos)
            .and_then(|product| total.checked_add(product + nanos_of_part))
            .filter(|total| *total <= i128::from(i64::MAX) + i128::from(negative))
            .ok_or_else(invalid)?;
        rest = &rest[end + unit..];
    }
    i64::try_from(if negative { -total } else { total }).map_err(|_| invalid())
}

/// A duration in nanoseconds as Go writes it: `1h2m3.5s`, `1.5ms`, `0s`.
pub fn format_duration(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let all = nanos.unsigned_abs();
    let decimal = |number: u64, unit: u64| {
        let (whole, part) = (number / unit, number % unit);
        if part == 0 {
            return whole.to_string();
        }
        let width = unit.ilog10() as usize;
        format!("{whole}.{}", format!("{part:0width$}").trim_end_matches('0'))
    };
    match all {
        0 => "0s".into(),
        1..1_000 => format!("{sign}{all}ns"),
        1_000..1_000_000 => format!("{sign}{}µs", decimal(all, 1_000)),
        1_000_000..1_000_000_000 => format!("{sign}{}ms", decimal(all, 1_000_000)),
        _ => {
            let (hours, minutes) = (all / 3_600_000_000_000, all / 60_000_000_000 % 60);
            let seconds = decimal(all % 60_000_000_000, 1_000_000_000);
            match (hours, minutes) {
                (0, 0) => format!("{sign}{seconds}s"),
                (0, _) => format!("{sign}{minutes}m{seconds}s"),
                _ => format!("{sign}{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_become_utc_in_whole_seconds() {
        for (text, canon) in [
            ("2026-01-02T03:04:05Z", Some("2026-01-02T03:04:05Z")),
            ("2026-01-02T03:04:05.999Z", Some("2026-01-02T03:04:05Z")),
            ("2026-01-02T03:04:05+02:00", Some("2026-01-02T01:04:05Z")),
            ("2024-02-29T23:30:00-01:00", Some("2024-03-01T00:30:00Z")),
            ("0001-01-01T00:00:00Z", None),
        ] {
            assert_eq!(canonical(text), Ok(canon.map(str::to_owned)), "{text}");
        }
        assert_eq!(
            canonical_micro("2026-01-01T00:00:01.500000Z"),
            Ok(Some("2026-01-01T00:00:01.500000Z".into()))
        );
        assert_eq!(
            canonical_micro("2026-01-01T01:00:01.000001+01:00"),
            Ok(Some("2026-01-01T00:00:01.000001Z".into()))
        );
    }

    #[test]
    fn bad_times_are_told_as_go_tells_them() {
        for (text, error) in [
            ("soon", r#"parsing time "soon" as "2006-01-02T15:04:05Z07:00": cannot parse "soon" as "2006""#),
            ("2026-13-01T00:00:00Z", r#"parsing time "2026-13-01T00:00:00Z": month out of range"#),
            ("2026-02-30T00:00:00Z", r#"parsing time "2026-02-30T00:00:00Z": day out of range"#),
            ("2026-01-01T00:00:00Zx", r#"parsing time "2026-01-01T00:00:00Zx": extra text: "x""#),
            (
                "2026-01-01 00:00:00Z",
                r#"parsing time "2026-01-01 00:00:00Z" as "2006-01-02T15:04:05Z07:00": cannot parse " 00:00:00Z" as "T""#,
            ),
            (
                "2026-01-01T00:00:00",
                r#"parsing time "2026-01-01T00:00:00" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "Z07:00""#,
            ),
        ] {
            assert_eq!(canonical(text), Err(error.to_owned()), "{text}");
        }
        assert_eq!(
            canonical_micro("2026-01-01T00:00:01Z"),
            Err(r#"parsing time "2026-01-01T00:00:01Z" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "Z" as ".000000""#.into())
        );
    }

    #[test]
    fn civil_days_are_there_and_back() {
        for days in (-800_000..800_000).step_by(37) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
        }
    }

    #[test]
    fn durations_are_gos() {
        for (text, canonical) in [
            ("30s", "30s"),
            ("1h", "1h0m0s"),
            ("90m", "1h30m0s"),
            ("1.5s", "1.5s"),
            ("100ms", "100ms"),
            ("1500us", "1.5ms"),
            ("-1m", "-1m0s"),
            ("0", "0s"),
        ] {
            assert_eq!(parse_duration(text).map(format_duration), Ok(canonical.to_owned()), "{text}");
        }
        assert_eq!(parse_duration(""), Err(r#"time: invalid duration """#.into()));
        assert_eq!(parse_duration("5"), Err(r#"time: missing unit in duration "5""#.into()));
        assert_eq!(parse_duration("5x"), Err(r#"time: unknown unit "x" in duration "5x""#.into()));
    }
}
