//! The system's time zones.

use std::path::Path;

use jiff::tz::TimeZone;

/// Where the system keeps its time zones, and its own.
const ZONES: &str = "/usr/share/zoneinfo";
const LOCAL: &str = "/etc/localtime";

/// The time zone of an IANA name; None where the system does not know it.
pub fn zone(name: &str) -> Option<TimeZone> {
    if matches!(name, "UTC" | "Etc/UTC") {
        return Some(TimeZone::UTC);
    }
    let formed = !name.is_empty()
        && !name.starts_with('/')
        && name.split('/').all(|part| !matches!(part, "" | "." | ".."))
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-' | b'+'));
    let path = formed.then(|| Path::new(ZONES).join(name))?;
    TimeZone::tzif(name, &std::fs::read(path).ok()?).ok()
}

/// The time zone of this machine; UTC where it tells none.
pub fn local_zone() -> TimeZone {
    std::fs::read(LOCAL).ok().and_then(|data| TimeZone::tzif("Local", &data).ok()).unwrap_or(TimeZone::UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_do_not_leave_their_directory() {
        assert!(zone("UTC").is_some());
        assert!(zone("../../../etc/passwd").is_none());
        assert!(zone("/etc/passwd").is_none());
    }
}
