//! The library of semantic versions.

use std::rc::Rc;

use semver::Version;

use crate::error::Error;
use crate::value::Val;

pub(super) fn call<'a>(function: &str, args: &[Val<'a>]) -> Result<Val<'a>, Error> {
    use Val::{Bool, Int, Semver, String};
    let number = |part: u64| Int(i64::try_from(part).unwrap_or(i64::MAX));
    Ok(match (function, args) {
        ("semver", [String(text)]) => Semver(Rc::new(parse(text, false)?)),
        ("semver", [String(text), Bool(normalize)]) => Semver(Rc::new(parse(text, *normalize)?)),
        ("isSemver", [String(text)]) => Bool(parse(text, false).is_ok()),
        ("isSemver", [String(text), Bool(normalize)]) => Bool(parse(text, *normalize).is_ok()),
        ("major", [Semver(version)]) => number(version.major),
        ("minor", [Semver(version)]) => number(version.minor),
        ("patch", [Semver(version)]) => number(version.patch),
        ("isGreaterThan", [Semver(a), Semver(b)]) => Bool(a.cmp_precedence(b).is_gt()),
        ("isLessThan", [Semver(a), Semver(b)]) => Bool(a.cmp_precedence(b).is_lt()),
        ("compareTo", [Semver(a), Semver(b)]) => Int(a.cmp_precedence(b) as i64),
        _ => return Err(Error::no_overload()),
    })
}

/// Reads `1.2.3-rc.1+build`; normalizing also takes `v1.2`.
fn parse(text: &str, normalize: bool) -> Result<Version, Error> {
    let normalized = if normalize { normalized(text) } else { text.to_owned() };
    Version::parse(&normalized).map_err(|error| Error::failed(error.to_string()))
}

fn normalized(text: &str) -> String {
    let text = text.trim().trim_start_matches('v');
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let (numbers, rest) = text.split_at(end);
    let mut parts: Vec<&str> = numbers
        .splitn(3, '.')
        .map(|part| {
            let trimmed = part.trim_start_matches('0');
            if trimmed.is_empty() && !part.is_empty() { "0" } else { trimmed }
        })
        .collect();
    while parts.len() < 3 {
        parts.push("0");
    }
    format!("{}{rest}", parts.join("."))
}
