//! Schedules of CronJobs: five fields or a descriptor, and names of time zones.
//!
//! Only whether a schedule can be read, in the words of upstream's parser; when
//! it is due is the controller's matter.

use std::path::Path;

/// Bytes of a CronJob's name: its Jobs append eleven to it.
pub const MOST_NAME: usize = 52;

/// Where the system keeps its time zones.
const ZONES: &str = "/usr/share/zoneinfo";

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

const DESCRIPTORS: [&str; 7] =
    ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

/// Whether `schedule` can be read.
///
/// # Errors
/// What is wrong with it.
pub fn check(schedule: &str) -> Result<(), String> {
    let mut text = schedule;
    if text.starts_with("TZ=") || text.starts_with("CRON_TZ=") {
        let (zone, rest) = text.split_once(' ').ok_or_else(|| format!("provided bad location {text}"))?;
        let name = zone.split_once('=').map_or("", |(_, name)| name);
        if !is_zone(name) {
            return Err(format!("provided bad location {name}: unknown time zone {name}"));
        }
        text = rest.trim();
    }
    if text.starts_with('@') {
        return descriptor(text);
    }
    let fields: Vec<&str> = text.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
    }
    for (text, field) in fields.iter().zip(&FIELDS) {
        for part in text.split(',').filter(|part| !part.is_empty()) {
            range(part, field)?;
        }
    }
    Ok(())
}

fn descriptor(text: &str) -> Result<(), String> {
    if DESCRIPTORS.contains(&text) {
        return Ok(());
    }
    match text.strip_prefix("@every ") {
        Some(duration) => apimachinery::time::parse_duration(duration)
            .map(drop)
            .map_err(|why| format!("failed to parse duration {text}: {why}")),
        None => Err(format!("unrecognized descriptor: {text}")),
    }
}

/// `*`, `a`, `a-b`, each with an optional `/step`.
fn range(text: &str, field: &Field) -> Result<(), String> {
    let parts: Vec<&str> = text.split('/').collect();
    let ends: Vec<&str> = parts[0].split('-').collect();
    let single = ends.len() == 1;
    let (start, mut end) = if matches!(ends[0], "*" | "?") {
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
            if single && !matches!(ends[0], "*" | "?") {
                end = field.most;
            }
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
    Ok(())
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

/// Whether the system knows a time zone of this name.
pub fn is_zone(name: &str) -> bool {
    if matches!(name, "UTC" | "Etc/UTC") {
        return true;
    }
    let formed = !name.is_empty()
        && !name.starts_with('/')
        && name.split('/').all(|part| !matches!(part, "" | "." | ".."))
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-' | b'+'));
    formed && Path::new(ZONES).join(name).is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_read_as_upstream_reads_them() {
        for (text, told) in [
            ("*/5 1-5 1,15 jan-mar MON", Ok(())),
            ("@hourly", Ok(())),
            ("@every 90s", Ok(())),
            ("0 24 * * *", Err("end of range (24) above maximum (23): 24")),
            ("0 0 0 * *", Err("beginning of range (0) below minimum (1): 0")),
            ("5-1 * * * *", Err("beginning of range (5) beyond end of range (1): 5-1")),
            ("1/2/3 * * * *", Err("too many slashes: 1/2/3")),
            ("x * * * *", Err("failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax")),
            ("@never", Err("unrecognized descriptor: @never")),
        ] {
            assert_eq!(check(text), told.map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn zones_do_not_leave_their_directory() {
        assert!(is_zone("UTC"));
        assert!(!is_zone("../../../etc/passwd"));
        assert!(!is_zone("/etc/passwd"));
    }
}
