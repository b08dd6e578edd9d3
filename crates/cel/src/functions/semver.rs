//! The library of semantic versions, as blang's reads them.

use std::rc::Rc;

use apimachinery::field::quote;
use semver::Version;

use crate::error::Error;
use crate::value::Val;

pub(super) fn call<'a>(function: &str, args: &[Val<'a>]) -> Result<Val<'a>, Error> {
    use Val::{Bool, Int, Semver, String};
    let number = |part: u64| Int(i64::try_from(part).unwrap_or(i64::MAX));
    let semver = |text: &str, normalizes: bool| {
        parse(text, normalizes).map(|version| Semver(Rc::new(version))).map_err(Error::failed)
    };
    Ok(match (function, args) {
        ("semver", [String(text)]) => semver(text, false)?,
        ("semver", [String(text), Bool(normalizes)]) => semver(text, *normalizes)?,
        ("isSemver", [String(text)]) => Bool(parse(text, false).is_ok()),
        ("isSemver", [String(text), Bool(normalizes)]) => Bool(parse(text, *normalizes).is_ok()),
        ("major", [Semver(version)]) => number(version.major),
        ("minor", [Semver(version)]) => number(version.minor),
        ("patch", [Semver(version)]) => number(version.patch),
        ("isGreaterThan", [Semver(a), Semver(b)]) => Bool(a.cmp_precedence(b).is_gt()),
        ("isLessThan", [Semver(a), Semver(b)]) => Bool(a.cmp_precedence(b).is_lt()),
        ("compareTo", [Semver(a), Semver(b)]) => Int(a.cmp_precedence(b) as i64),
        _ => return Err(Error::no_overload()),
    })
}

/// Reads `1.2.3-rc.1+build`; normalizing also takes `v1.2` and leading zeros.
fn parse(text: &str, normalizes: bool) -> Result<Version, String> {
    let text = if normalizes { normalized(text)? } else { text.to_owned() };
    if text.is_empty() {
        return Err("Version string empty".to_owned());
    }
    let parts: Vec<&str> = text.splitn(3, '.').collect();
    let [major, minor, rest] = parts.as_slice() else {
        return Err("No Major.Minor.Patch elements found".to_owned());
    };
    let (major, minor) = (number("Major", major)?, number("Minor", minor)?);
    let (rest, build) = match rest.split_once('+') {
        Some((rest, build)) => (rest, Some(build)),
        None => (*rest, None),
    };
    let (patch, prerelease) = match rest.split_once('-') {
        Some((patch, prerelease)) => (patch, Some(prerelease)),
        None => (rest, None),
    };
    let mut version = Version::new(major, minor, number("Patch", patch)?);
    if let Some(prerelease) = prerelease {
        prerelease.split('.').try_for_each(check_prerelease)?;
        version.pre = semver::Prerelease::new(prerelease).map_err(|error| error.to_string())?;
    }
    if let Some(build) = build {
        build.split('.').try_for_each(check_build)?;
        version.build = semver::BuildMetadata::new(build).map_err(|error| error.to_string())?;
    }
    Ok(version)
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn has_leading_zeros(text: &str) -> bool {
    text.len() > 1 && text.starts_with('0')
}

fn unsigned(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| {
        let why = if text.is_empty() { "invalid syntax" } else { "value out of range" };
        format!("strconv.ParseUint: parsing {}: {why}", quote(text))
    })
}

fn number(name: &str, text: &str) -> Result<u64, String> {
    if !is_number(text) {
        let name = name.to_lowercase();
        return Err(format!("Invalid character(s) found in {name} number {}", quote(text)));
    }
    if has_leading_zeros(text) {
        return Err(format!("{name} number must not contain leading zeroes {}", quote(text)));
    }
    unsigned(text)
}

fn check_prerelease(part: &str) -> Result<(), String> {
    if part.is_empty() {
        return Err("Prerelease is empty".to_owned());
    }
    if !is_word(part) {
        return Err(format!("Invalid character(s) found in prerelease {}", quote(part)));
    }
    if !is_number(part) {
        return Ok(());
    }
    if has_leading_zeros(part) {
        let shown = quote(part);
        return Err(format!("Numeric PreRelease version must not contain leading zeroes {shown}"));
    }
    unsigned(part).map(drop)
}

fn check_build(part: &str) -> Result<(), String> {
    if part.is_empty() {
        return Err("Build meta data is empty".to_owned());
    }
    if is_word(part) {
        return Ok(());
    }
    Err(format!("Invalid character(s) found in build meta data {}", quote(part)))
}

fn normalized(text: &str) -> Result<String, String> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let mut parts: Vec<String> = text
        .splitn(3, '.')
        .map(|part| {
            if part.len() < 2 {
                return part.to_owned();
            }
            let trimmed = part.trim_start_matches('0');
            if trimmed.starts_with(|first: char| first.is_ascii_digit()) {
                trimmed.to_owned()
            } else {
                format!("0{trimmed}")
            }
        })
        .collect();
    if parts.len() < 3 && parts.last().is_some_and(|part| part.contains(['+', '-'])) {
        return Err("short version cannot contain PreRelease/Build meta data".to_owned());
    }
    parts.resize(3, "0".to_owned());
    Ok(parts.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_refused_as_upstream_does() {
        let cases = [
            ("1.2.3-rc.1+b.05", false, "1.2.3-rc.1+b.05"),
            ("v1.2", true, "1.2.0"),
            ("v01.002", true, "1.2.0"),
            ("", false, "Version string empty"),
            ("1.2", false, "No Major.Minor.Patch elements found"),
            ("v1.2.3", false, "Invalid character(s) found in major number \"v1\""),
            ("01.2.3", false, "Major number must not contain leading zeroes \"01\""),
            ("1.2.3.4", false, "Invalid character(s) found in patch number \"3.4\""),
            ("1.2.3-01", false, "Numeric PreRelease version must not contain leading zeroes \"01\""),
            ("1.2.3-", false, "Prerelease is empty"),
            ("1.2.3-a_b", false, "Invalid character(s) found in prerelease \"a_b\""),
            ("1.2.3+", false, "Build meta data is empty"),
            ("1..3", false, "strconv.ParseUint: parsing \"\": invalid syntax"),
        ];
        for (text, normalizes, expected) in cases {
            let read = parse(text, normalizes).map_or_else(|why| why, |version| version.to_string());
            assert_eq!(read, expected, "{text}");
        }
    }
}
