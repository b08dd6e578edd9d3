//! Addresses and ranges of addresses in fields: the strict forms that new
//! kinds ask for, and warnings about values that old kinds still accept.
//!
//! Pure functions of texts.

use std::net::IpAddr;

use apimachinery::field::{Errors, Path, quote};
use apimachinery::validation::{MUST_BE_IP, parse_cidr_sloppy, parse_ip_sloppy};

const MUST_BE_CIDR: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

/// What is wrong with an address that must be written in the canonical form
/// (validation.IsValidIP).
pub fn strict_ip(text: &str) -> Vec<String> {
    let Some(sloppy) = parse_ip_sloppy(text) else { return vec![MUST_BE_IP.into()] };
    let Ok(address) = text.parse::<IpAddr>() else {
        return vec!["must not have leading 0s".into()];
    };
    if is_mapped(address) {
        return vec!["must not be an IPv4-mapped IPv6 address".into()];
    }
    let canonical = sloppy.to_string();
    if canonical == text {
        Vec::new()
    } else {
        vec![format!("must be in canonical form ({})", quote(&canonical))]
    }
}

/// A range that must be written in the canonical form (validation.IsValidCIDR).
pub fn strict_cidr(path: &Path<'_>, text: &str, errors: &mut Errors) {
    let Some((address, length)) = parse_cidr_sloppy(text) else {
        errors.invalid(path, text, MUST_BE_CIDR);
        return;
    };
    let (written, prefix) = text.split_once('/').unwrap_or((text, ""));
    let leading = written.parse::<IpAddr>().is_err() || (prefix.len() > 1 && prefix.starts_with('0'));
    if leading {
        errors.invalid(path, text, "must not have leading 0s in IP or prefix length");
        return;
    }
    if is_mapped(address) {
        errors.invalid(path, text, "must not have an IPv4-mapped IPv6 address");
        return;
    }
    if masked(address, length) != address {
        errors.invalid(path, text, "must not have bits set beyond the prefix length");
        return;
    }
    let canonical = format!("{address}/{length}");
    if canonical != text {
        errors.invalid(path, text, &format!("must be in canonical form ({})", quote(&canonical)));
    }
}

/// Warnings about an address that later releases refuse or that is written
/// oddly (validation.GetWarningsForIP).
pub fn ip_warnings(path: &Path<'_>, text: &str) -> Option<String> {
    let sloppy = parse_ip_sloppy(text)?;
    match text.parse::<IpAddr>() {
        Ok(address) if !is_mapped(address) => {
            let canonical = address.to_string();
            (address.is_ipv6() && canonical != text).then(|| {
                format!(
                    "{path}: IPv6 address {} should be in RFC 5952 canonical format ({})",
                    quote(text),
                    quote(&canonical)
                )
            })
        }
        _ => Some(format!(
            "{path}: non-standard IP address {} will be considered invalid in a future Kubernetes release: use {}",
            quote(text),
            quote(&plain(sloppy).to_string())
        )),
    }
}

/// As [`ip_warnings`], of a range (validation.GetWarningsForCIDR).
pub fn cidr_warnings(path: &Path<'_>, text: &str) -> Vec<String> {
    let Some((address, length)) = parse_cidr_sloppy(text) else { return Vec::new() };
    let mut warnings = Vec::new();
    let mapped = is_mapped(address);
    let (address, length) =
        if mapped { (plain(address), length.saturating_sub(96)) } else { (address, length) };
    let network = masked(address, length);
    let range = format!("{network}/{length}");
    if network != address {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        warnings.push(format!(
            "{path}: CIDR value {} is ambiguous in this context (should be {} or {}?)",
            quote(text),
            quote(&range),
            quote(&format!("{address}/{bits}"))
        ));
    }
    let (written, prefix) = text.split_once('/').unwrap_or((text, ""));
    let leading = written.parse::<IpAddr>().is_err() || (prefix.len() > 1 && prefix.starts_with('0'));
    if leading || mapped {
        warnings.push(format!(
            "{path}: non-standard CIDR value {} will be considered invalid in a future Kubernetes release: use {}",
            quote(text),
            quote(&range)
        ));
    }
    if warnings.is_empty() && address.is_ipv6() && range != text {
        warnings.push(format!(
            "{path}: IPv6 CIDR value {} should be in RFC 5952 canonical format ({})",
            quote(text),
            quote(&range)
        ));
    }
    warnings
}

/// Whether `outer` holds all of `inner` and more.
pub fn strictly_holds(outer: (IpAddr, u8), inner: (IpAddr, u8)) -> bool {
    outer.0.is_ipv4() == inner.0.is_ipv4()
        && inner.1 > outer.1
        && masked(inner.0, outer.1) == masked(outer.0, outer.1)
}

/// The address with the bits beyond the prefix cleared.
pub fn masked(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            IpAddr::V4((u32::from(address) & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            IpAddr::V6((u128::from(address) & mask).into())
        }
    }
}

fn is_mapped(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some())
}

/// An IPv4 address that was written as IPv6, as such.
fn plain(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_addresses_are_canonical() {
        for (text, expected) in [
            ("10.0.0.1", ""),
            ("2001:db8::1", ""),
            ("x", MUST_BE_IP),
            ("010.0.0.1", "must not have leading 0s"),
            ("::ffff:1.2.3.4", "must not be an IPv4-mapped IPv6 address"),
            ("2001:DB8::1", "must be in canonical form (\"2001:db8::1\")"),
        ] {
            assert_eq!(strict_ip(text).join(""), expected, "{text}");
        }
    }

    #[test]
    fn strict_ranges_have_no_bits_to_spare() {
        for (text, expected) in [
            ("10.0.0.0/8", ""),
            ("10.0.0.0/99", MUST_BE_CIDR),
            ("010.0.0.0/8", "must not have leading 0s in IP or prefix length"),
            ("10.0.0.1/8", "must not have bits set beyond the prefix length"),
            ("2001:DB8::/64", "must be in canonical form (\"2001:db8::/64\")"),
        ] {
            let mut errors = Errors::new();
            strict_cidr(&Path::Root.child("c"), text, &mut errors);
            let told = errors.iter().map(|error| error.body.clone()).collect::<String>();
            let wanted = if expected.is_empty() {
                String::new()
            } else {
                format!("Invalid value: \"{text}\": {expected}")
            };
            assert_eq!(told, wanted);
        }
    }

    #[test]
    fn odd_values_are_warned_of() {
        let path = Path::Root;
        let field = path.child("f");
        for (text, expected) in [
            ("10.0.0.0/8", None),
            (
                "10.0.0.5/8",
                Some(
                    "f: CIDR value \"10.0.0.5/8\" is ambiguous in this context (should be \"10.0.0.0/8\" or \"10.0.0.5/32\"?)",
                ),
            ),
            (
                "010.0.0.0/8",
                Some(
                    "f: non-standard CIDR value \"010.0.0.0/8\" will be considered invalid in a future Kubernetes release: use \"10.0.0.0/8\"",
                ),
            ),
            (
                "2001:DB8::/64",
                Some(
                    "f: IPv6 CIDR value \"2001:DB8::/64\" should be in RFC 5952 canonical format (\"2001:db8::/64\")",
                ),
            ),
        ] {
            assert_eq!(cidr_warnings(&field, text).first().map(String::as_str), expected, "{text}");
        }
        assert_eq!(ip_warnings(&field, "10.0.0.1"), None);
        assert!(ip_warnings(&field, "010.0.0.1").is_some_and(|text| text.ends_with("use \"10.0.0.1\"")));
        assert!(ip_warnings(&field, "2001:DB8::1").is_some_and(|text| text.contains("RFC 5952")));
    }

    #[test]
    fn a_part_is_smaller_than_the_whole() {
        let range = |text: &str| parse_cidr_sloppy(text).unwrap();
        for (outer, inner, expected) in [
            ("10.0.0.0/8", "10.1.0.0/16", true),
            ("10.0.0.0/8", "10.0.0.0/8", false),
            ("10.0.0.0/8", "11.0.0.0/16", false),
            ("0.0.0.0/0", "1.0.0.0/8", true),
            ("::/0", "10.0.0.0/8", false),
        ] {
            assert_eq!(strictly_holds(range(outer), range(inner)), expected, "{outer} {inner}");
        }
    }
}
