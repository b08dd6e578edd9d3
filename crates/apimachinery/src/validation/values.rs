//! Rules of ports, addresses, percentages and other plain values.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::explain;

/// 1 to 65535.
pub fn port_number(port: i64) -> Vec<String> {
    in_range(port, 1, 65535)
}

pub fn in_range(value: i64, least: i64, most: i64) -> Vec<String> {
    if (least..=most).contains(&value) {
        Vec::new()
    } else {
        vec![format!("must be between {least} and {most}, inclusive")]
    }
}

pub fn non_negative(value: i64) -> Vec<String> {
    if value < 0 { vec!["must be greater than or equal to 0".into()] } else { Vec::new() }
}

/// A port's name: an IANA service name of at most 15 bytes.
pub fn port_name(name: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let bytes = name.as_bytes();
    let lower_alnum = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if name.len() > 15 {
        wrong.push("must be no more than 15 characters".into());
    }
    if !bytes.iter().all(|byte| lower_alnum(*byte) || *byte == b'-') || name.is_empty() {
        wrong.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".into());
    }
    if !bytes.iter().any(u8::is_ascii_lowercase) {
        wrong.push("must contain at least one letter (a-z)".into());
    }
    if name.contains("--") {
        wrong.push("must not contain consecutive hyphens".into());
    }
    if name.starts_with('-') || name.ends_with('-') {
        wrong.push("must not begin or end with a hyphen".into());
    }
    wrong
}

/// `10%`.
pub fn percent(value: &str) -> Vec<String> {
    let digits = value.strip_suffix('%').unwrap_or("");
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Vec::new();
    }
    vec![explain(
        "a valid percent string must be a numeric string followed by an ending '%'",
        "[0-9]+%",
        &["1%", "93%"],
    )]
}

/// An environment variable's name: printable ASCII without `=`.
pub fn env_var_name(value: &str) -> Vec<String> {
    let allowed = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'=';
    if !value.is_empty() && value.bytes().all(allowed) {
        return Vec::new();
    }
    vec![
        "a valid environment variable name must consist only of printable ASCII characters other than '='"
            .into(),
    ]
}

pub fn http_header_name(value: &str) -> Vec<String> {
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Vec::new();
    }
    vec![explain(
        "a valid HTTP header must consist of alphanumeric characters or '-'",
        "[-A-Za-z0-9]+",
        &["X-Header-Name"],
    )]
}

/// Reads an address as Kubernetes always did: IPv4 octets may have leading
/// zeros, which stay decimal (netutils.ParseIPSloppy). No zones.
pub fn parse_ip_sloppy(value: &str) -> Option<IpAddr> {
    if value.contains(':') {
        // The dotted tail of an IPv6 address may have leading zeros, too.
        let plain = match value.rsplit_once(':') {
            Some((head, tail)) if tail.contains('.') => format!("{head}:{}", parse_ipv4_sloppy(tail)?),
            _ => value.to_owned(),
        };
        return plain.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    }
    parse_ipv4_sloppy(value).map(IpAddr::V4)
}

fn parse_ipv4_sloppy(value: &str) -> Option<Ipv4Addr> {
    let mut octets = [0_u8; 4];
    let mut parts = value.split('.');
    for octet in &mut octets {
        let part = parts.next()?;
        if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let digits = part.trim_start_matches('0');
        *octet = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    }
    parts.next().is_none().then(|| Ipv4Addr::from(octets))
}

/// Reads `address/length`; the address may have bits beyond the length
/// (netutils.ParseCIDRSloppy). Returns the address as written and the length.
pub fn parse_cidr_sloppy(value: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = value.split_once('/')?;
    let address = parse_ip_sloppy(address)?;
    if length.is_empty() || length.len() > 3 || !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let length: u8 = length.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    (length <= most).then_some((address, length))
}
