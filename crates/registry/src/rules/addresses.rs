//! Addresses and ranges of addresses: what is accepted and should be written
//! otherwise, and lists with one of each family.

use std::net::IpAddr;

use apimachinery::Value;
use apimachinery::field::{Errors, Path, quote};
use apimachinery::validation::{cidr, ip, parse_cidr_sloppy, parse_ip_sloppy};
use ipnet::IpNet;

/// An error unless `text` is an address.
pub fn valid_ip(path: &Path<'_>, text: &str, errors: &mut Errors) {
    errors.check(path, text, ip(text));
}

/// An error unless `text` is a range of addresses.
pub fn valid_cidr(path: &Path<'_>, text: &str, errors: &mut Errors) {
    errors.check(path, text, cidr(text));
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
            "{path}: non-standard IP address {} will be considered invalid in a future Kubernetes release: use {}",
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
    let standard = text
        .split_once('/')
        .is_some_and(|(ip, _)| ip.parse::<IpAddr>().is_ok_and(|address| !is_mapped(address)));
    if !standard {
        warnings.push(format!(
            "{path}: non-standard CIDR value {} will be considered invalid in a future Kubernetes release: use {}",
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
    fn old_ways_to_write_addresses_are_warned_of() {
        for (text, told) in [
            ("10.0.0.1", ""),
            ("fd00::1", ""),
            ("x", ""),
            (
                "010.000.000.001",
                "ip: non-standard IP address \"010.000.000.001\" will be considered invalid in a future Kubernetes \
                 release: use \"10.0.0.1\"",
            ),
            (
                "::ffff:1.2.3.4",
                "ip: non-standard IP address \"::ffff:1.2.3.4\" will be considered invalid in a future Kubernetes \
                 release: use \"1.2.3.4\"",
            ),
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
            (
                "010.0.0.0/8",
                "c: non-standard CIDR value \"010.0.0.0/8\" will be considered invalid in a future Kubernetes release: \
                 use \"10.0.0.0/8\"",
            ),
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
}
