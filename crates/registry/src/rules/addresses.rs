//! Addresses and ranges of addresses: how they must be written in new fields
//! and in old ones, what is accepted and should be written otherwise, and
//! lists with one of each family.
//!
//! Pure functions of texts.

use std::net::IpAddr;

use apimachinery::Value;
use apimachinery::field::{Errors, Path, quote};
use apimachinery::validation::{parse_cidr_sloppy, parse_ip_sloppy};
use ipnet::IpNet;

const MUST_BE_IP: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
const MUST_BE_CIDR: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

/// What is wrong with an address in a field that once took any spelling
/// (validation.IsValidIPForLegacyField with StrictIPCIDRValidation).
pub fn ip(text: &str) -> Vec<String> {
    let why = match text.parse::<IpAddr>() {
        _ if parse_ip_sloppy(text).is_none() => MUST_BE_IP,
        Err(_) => "must not have leading 0s",
        Ok(address) if is_mapped(address) => "must not be an IPv4-mapped IPv6 address",
        Ok(_) => return Vec::new(),
    };
    vec![why.into()]
}

/// What is wrong with an address that must be written in the canonical form
/// (validation.IsValidIP).
pub fn canonical_ip(text: &str) -> Vec<String> {
    let wrong = ip(text);
    match text.parse::<IpAddr>().map(|address| address.to_string()) {
        Ok(canonical) if wrong.is_empty() && canonical != text => {
            vec![format!("must be in canonical form ({})", quote(&canonical))]
        }
        _ => wrong,
    }
}

/// As [`ip`], of a range (validation.IsValidCIDRForLegacyField).
pub fn cidr(text: &str) -> Vec<String> {
    let Some(net) = net(text) else { return vec![MUST_BE_CIDR.into()] };
    let why = if !is_plain(text) {
        "must not have leading 0s in IP or prefix length"
    } else if is_mapped(net.addr()) {
        "must not have an IPv4-mapped IPv6 address"
    } else if net.trunc() != net {
        "must not have bits set beyond the prefix length"
    } else {
        return Vec::new();
    };
    vec![why.into()]
}

/// As [`canonical_ip`], of a range (validation.IsValidCIDR).
pub fn canonical_cidr(text: &str) -> Vec<String> {
    let wrong = cidr(text);
    match net(text).map(|net| net.to_string()) {
        Some(canonical) if wrong.is_empty() && canonical != text => {
            vec![format!("must be in canonical form ({})", quote(&canonical))]
        }
        _ => wrong,
    }
}

/// An error unless `text` is an address; those of `known`, which the object
/// had before, are let be.
pub fn valid_ip(path: &Path<'_>, text: &str, known: &[&str], errors: &mut Errors) {
    let wrong = ip(text);
    // Rarely anything is wrong, and what is known may be long.
    if !wrong.is_empty() && !known.contains(&text) {
        errors.check(path, text, wrong);
    }
}

/// As [`valid_ip`], of a range.
pub fn valid_cidr(path: &Path<'_>, text: &str, known: &[&str], errors: &mut Errors) {
    let wrong = cidr(text);
    if !wrong.is_empty() && !known.contains(&text) {
        errors.check(path, text, wrong);
    }
}

fn net(text: &str) -> Option<IpNet> {
    let (address, length) = parse_cidr_sloppy(text)?;
    IpNet::new(address, length).ok()
}

/// Whether neither the address nor the length of a range has leading zeros.
fn is_plain(text: &str) -> bool {
    text.split_once('/').is_some_and(|(address, length)| {
        address.parse::<IpAddr>().is_ok() && (length == "0" || !length.starts_with('0'))
    })
}

/// Whether `outer` holds all of `inner` and more.
pub fn strictly_holds(outer: (IpAddr, u8), inner: (IpAddr, u8)) -> bool {
    let net = |(address, length)| IpNet::new(address, length);
    match (net(outer), net(inner)) {
        (Ok(outer), Ok(inner)) => outer.contains(&inner.network()) && inner.prefix_len() > outer.prefix_len(),
        _ => false,
    }
}

/// Warns of an address that is no longer to be written so; says nothing of
/// what is no address.
pub fn warn_of_ip(path: &Path<'_>, text: &str, warnings: &mut Vec<String>) {
    let Some(address) = parse_ip_sloppy(text) else { return };
    match text.parse::<IpAddr>() {
        Ok(strict) if !is_mapped(strict) => {
            if strict.is_ipv6() && strict.to_string() != text {
                warnings.push(format!(
                    "{path}: IPv6 address {} should be in RFC 5952 canonical format ({})",
                    quote(text),
                    quote(&strict.to_string())
                ));
            }
        }
        _ => warnings.push(format!(
            "{path}: non-standard IP address {} is invalid: use {}",
            quote(text),
            quote(&address.to_canonical().to_string())
        )),
    }
}

/// As [`warn_of_ip`], of a range; also where bits beyond its length are set.
pub fn warn_of_cidr(path: &Path<'_>, text: &str, warnings: &mut Vec<String>) {
    let Some((address, length)) = parse_cidr_sloppy(text) else { return };
    let Ok(net) = IpNet::new(address, length) else { return };
    let canonical = canonical(net.trunc());
    let before = warnings.len();
    if net.trunc().addr() != address {
        let single = format!("{}/{}", address.to_canonical(), if address.is_ipv4() { 32 } else { 128 });
        warnings.push(format!(
            "{path}: CIDR value {} is ambiguous in this context (should be {} or {}?)",
            quote(text),
            quote(&canonical),
            quote(&single)
        ));
    }
    // Standard is what is written without leading zeros, and not IPv4 in IPv6's clothes.
    if !is_plain(text) || is_mapped(address) {
        warnings.push(format!(
            "{path}: non-standard CIDR value {} is invalid: use {}",
            quote(text),
            quote(&canonical)
        ));
    } else if warnings.len() == before && address.is_ipv6() && canonical != text {
        warnings.push(format!(
            "{path}: IPv6 CIDR value {} should be in RFC 5952 canonical format ({})",
            quote(text),
            quote(&canonical)
        ));
    }
}

fn is_mapped(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(six) if six.to_ipv4_mapped().is_some())
}

/// A range as Go writes it: an IPv4 range in IPv6's clothes as the former.
fn canonical(net: IpNet) -> String {
    match (net.addr().to_canonical(), net.addr()) {
        (IpAddr::V4(four), IpAddr::V6(_)) => format!("{four}/{}", net.prefix_len().saturating_sub(96)),
        _ => net.to_string(),
    }
}

/// What is wrong with a list of two or more: the families are not one of each.
/// `None` of `family` is an entry that cannot be read.
pub fn one_of_each_family(
    path: &Path<'_>,
    list: &Value,
    families: &[Option<bool>],
    unreadable: impl Fn(usize) -> String,
    what: &str,
    errors: &mut Errors,
) {
    if families.len() < 2 {
        return;
    }
    if let Some(at) = families.iter().position(Option::is_none) {
        errors.internal(path, &unreadable(at));
    }
    let both = families.contains(&Some(true)) && families.contains(&Some(false));
    let readable = families.iter().all(Option::is_some);
    if !(both && readable) || families.len() > 2 {
        let why = format!("may specify no more than one {what} for each IP family");
        errors.invalid(path, list.clone(), &why);
    }
}

/// Whether the address is of IPv4.
pub fn is_ipv4(text: &str) -> Option<bool> {
    parse_ip_sloppy(text).map(|address| address.to_canonical().is_ipv4())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_plainly_and_in_new_fields_canonically() {
        for (text, wrong, wrong_in_new) in [
            ("10.0.0.1", "", ""),
            ("2001:db8::1", "", ""),
            ("x", MUST_BE_IP, MUST_BE_IP),
            ("010.0.0.1", "must not have leading 0s", "must not have leading 0s"),
            (
                "::ffff:1.2.3.4",
                "must not be an IPv4-mapped IPv6 address",
                "must not be an IPv4-mapped IPv6 address",
            ),
            ("2001:DB8::1", "", "must be in canonical form (\"2001:db8::1\")"),
        ] {
            assert_eq!(ip(text).concat(), wrong, "{text}");
            assert_eq!(canonical_ip(text).concat(), wrong_in_new, "{text}");
        }
    }

    #[test]
    fn ranges_have_no_bits_to_spare() {
        let zeros = "must not have leading 0s in IP or prefix length";
        let spare = "must not have bits set beyond the prefix length";
        for (text, wrong, wrong_in_new) in [
            ("10.0.0.0/8", "", ""),
            ("0.0.0.0/0", "", ""),
            ("10.0.0.0/99", MUST_BE_CIDR, MUST_BE_CIDR),
            ("010.0.0.0/8", zeros, zeros),
            ("10.0.0.0/08", zeros, zeros),
            ("10.0.0.1/8", spare, spare),
            (
                "::ffff:10.0.0.0/104",
                "must not have an IPv4-mapped IPv6 address",
                "must not have an IPv4-mapped IPv6 address",
            ),
            ("2001:DB8::/64", "", "must be in canonical form (\"2001:db8::/64\")"),
        ] {
            assert_eq!(cidr(text).concat(), wrong, "{text}");
            assert_eq!(canonical_cidr(text).concat(), wrong_in_new, "{text}");
        }
    }

    #[test]
    fn what_was_there_may_stay() {
        let mut errors = Errors::new();
        let path = Path::Root;
        valid_ip(&path.child("ip"), "01.2.3.4", &["01.2.3.4"], &mut errors);
        valid_cidr(&path.child("range"), "01.2.3.0/24", &["01.2.3.0/24"], &mut errors);
        assert!(errors.is_empty());
    }

    #[test]
    fn old_ways_to_write_addresses_are_warned_of() {
        for (text, told) in [
            ("10.0.0.1", ""),
            ("fd00::1", ""),
            ("x", ""),
            (
                "010.000.000.001",
                "ip: non-standard IP address \"010.000.000.001\" is invalid: use \"10.0.0.1\"",
            ),
            ("::ffff:1.2.3.4", "ip: non-standard IP address \"::ffff:1.2.3.4\" is invalid: use \"1.2.3.4\""),
            ("FD00::1", "ip: IPv6 address \"FD00::1\" should be in RFC 5952 canonical format (\"fd00::1\")"),
        ] {
            let mut warnings = Vec::new();
            warn_of_ip(&Path::Root.child("ip"), text, &mut warnings);
            assert_eq!(warnings.concat(), told, "{text}");
        }
    }

    #[test]
    fn old_ways_to_write_ranges_are_warned_of() {
        for (text, told) in [
            ("10.0.0.0/8", ""),
            ("fd00::/64", ""),
            (
                "10.0.0.1/8",
                "c: CIDR value \"10.0.0.1/8\" is ambiguous in this context (should be \"10.0.0.0/8\" or \"10.0.0.1/32\"?)",
            ),
            ("010.0.0.0/8", "c: non-standard CIDR value \"010.0.0.0/8\" is invalid: use \"10.0.0.0/8\""),
            (
                "FD00::/64",
                "c: IPv6 CIDR value \"FD00::/64\" should be in RFC 5952 canonical format (\"fd00::/64\")",
            ),
        ] {
            let mut warnings = Vec::new();
            warn_of_cidr(&Path::Root.child("c"), text, &mut warnings);
            assert_eq!(warnings.concat(), told, "{text}");
        }
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
