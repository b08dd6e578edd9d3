//! Addresses and ranges as Go's `net/netip` reads them: what it takes, and why
//! it does not take the rest.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::field::quote;

/// An address, with the zone of an IPv6 one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addr<'a> {
    pub ip: IpAddr,
    /// "" where there is none.
    pub zone: &'a str,
}

impl Addr<'_> {
    /// An IPv4 address in the form of an IPv6 one.
    pub fn is_mapped(&self) -> bool {
        matches!(self.ip, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some())
    }
}

/// Reads an address.
///
/// # Errors
/// Why it is none, in Go's words.
pub fn parse_addr(text: &str) -> Result<Addr<'_>, String> {
    let refuse = |(why, at): (&str, &str)| {
        let place = if at.is_empty() { String::new() } else { format!(" (at {})", quote(at)) };
        format!("ParseAddr({}): {why}{place}", quote(text))
    };
    match text.bytes().find(|byte| matches!(byte, b'.' | b':' | b'%')) {
        Some(b'.') => {
            parse_v4(text).map(|v4| Addr { ip: IpAddr::V4(Ipv4Addr::from(v4)), zone: "" }).map_err(refuse)
        }
        Some(b':') => parse_v6(text).map_err(refuse),
        Some(_) => Err(refuse(("missing IPv6 address", ""))),
        None => Err(refuse(("unable to parse IP", ""))),
    }
}

/// Reads `address/bits`.
///
/// # Errors
/// Why it is none, in Go's words.
pub fn parse_prefix(text: &str) -> Result<(IpAddr, u8), String> {
    let refuse = |why: String| format!("netip.ParsePrefix({}): {why}", quote(text));
    let (address, bits) = text.rsplit_once('/').ok_or_else(|| refuse("no '/'".into()))?;
    let address = parse_addr(address).map_err(refuse)?;
    if !address.zone.is_empty() {
        return Err(refuse("IPv6 zones cannot be present in a prefix".into()));
    }
    let bad = || refuse(format!("bad bits after slash: {}", quote(bits)));
    if bits.len() > 1 && !bits.starts_with(|first: char| matches!(first, '1'..='9')) {
        return Err(bad());
    }
    let number: i64 = bits.parse().map_err(|_| bad())?;
    let most = if address.ip.is_ipv4() { 32 } else { 128 };
    match u8::try_from(number) {
        Ok(number) if number <= most => Ok((address.ip, number)),
        _ => Err(refuse("prefix length out of range".into())),
    }
}

/// Why a text is no address, and from where on; "" where that is not told.
type Refusal<'a> = (&'static str, &'a str);

fn parse_v4(text: &str) -> Result<[u8; 4], Refusal<'_>> {
    let bytes = text.as_bytes();
    let (mut fields, mut field) = ([0; 4], 0);
    let (mut value, mut digits) = (0u16, 0);
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'0'..=b'9' => {
                if digits == 1 && value == 0 {
                    return Err(("IPv4 field has octet with leading zero", ""));
                }
                value = value * 10 + u16::from(byte - b'0');
                digits += 1;
                if value > 255 {
                    return Err(("IPv4 field has value >255", ""));
                }
            }
            b'.' => {
                if at == 0 || at + 1 == bytes.len() || bytes[at - 1] == b'.' {
                    return Err(("IPv4 field must have at least one digit", &text[at..]));
                }
                if field == 3 {
                    return Err(("IPv4 address too long", ""));
                }
                fields[field] = value as u8;
                field += 1;
                (value, digits) = (0, 0);
            }
            _ => return Err(("unexpected character", &text[at..])),
        }
    }
    if field < 3 {
        return Err(("IPv4 address too short", ""));
    }
    fields[3] = value as u8;
    Ok(fields)
}

fn parse_v6(text: &str) -> Result<Addr<'_>, Refusal<'_>> {
    let (mut rest, zone) = match text.split_once('%') {
        Some((_, "")) => return Err(("zone must be a non-empty string", "")),
        Some((address, zone)) => (address, zone),
        None => (text, ""),
    };
    let mut bytes = [0u8; 16];
    // Where `::` stands.
    let mut gap = None;
    if let Some(after) = rest.strip_prefix("::") {
        gap = Some(0);
        rest = after;
    }
    let mut filled = 0;
    while filled < 16 && !(rest.is_empty() && gap == Some(filled)) {
        let digits = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
        if digits > 4 {
            return Err(("each group must have 4 or less digits", rest));
        }
        if digits == 0 {
            return Err(("each colon-separated field must have at least one digit", rest));
        }
        if rest.as_bytes().get(digits) == Some(&b'.') {
            if gap.is_none() && filled != 12 {
                return Err(("embedded IPv4 address must replace the final 2 fields of the address", rest));
            }
            if filled + 4 > 16 {
                return Err(("too many hex fields to fit an embedded IPv4 at the end of the address", rest));
            }
            bytes[filled..filled + 4].copy_from_slice(&parse_v4(rest)?);
            rest = "";
            filled += 4;
            break;
        }
        let group = u16::from_str_radix(&rest[..digits], 16).unwrap_or(0);
        bytes[filled..filled + 2].copy_from_slice(&group.to_be_bytes());
        filled += 2;
        rest = &rest[digits..];
        if rest.is_empty() {
            break;
        }
        let Some(after) = rest.strip_prefix(':') else {
            return Err(("unexpected character, want colon", rest));
        };
        if after.is_empty() {
            return Err(("colon must be followed by more characters", rest));
        }
        rest = after;
        if let Some(after) = rest.strip_prefix(':') {
            if gap.is_some() {
                return Err(("multiple :: in address", rest));
            }
            gap = Some(filled);
            rest = after;
        }
    }
    if !rest.is_empty() {
        return Err(("trailing garbage after address", rest));
    }
    match gap {
        None if filled < 16 => return Err(("address string too short", "")),
        Some(_) if filled == 16 => return Err(("the :: must expand to at least one field of zeros", "")),
        Some(gap) => {
            let moved = filled - gap;
            bytes.copy_within(gap..filled, 16 - moved);
            bytes[gap..16 - moved].fill(0);
        }
        None => {}
    }
    Ok(Addr { ip: IpAddr::V6(Ipv6Addr::from(bytes)), zone })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_refused_as_go_does() {
        let read = |text: &str| match parse_addr(text) {
            Ok(Addr { ip, zone: "" }) => ip.to_string(),
            Ok(Addr { ip, zone }) => format!("{ip}%{zone}"),
            Err(why) => why,
        };
        for (text, expected) in [
            ("1.2.3.4", "1.2.3.4"),
            ("::", "::"),
            ("::1", "::1"),
            ("1::", "1::"),
            ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
            ("64:ff9b::1.2.3.4", "64:ff9b::102:304"),
            ("fe80::1%eth0", "fe80::1%eth0"),
            ("x", "ParseAddr(\"x\"): unable to parse IP"),
            ("%", "ParseAddr(\"%\"): missing IPv6 address"),
            ("::%", "ParseAddr(\"::%\"): zone must be a non-empty string"),
            ("01.2.3.4", "ParseAddr(\"01.2.3.4\"): IPv4 field has octet with leading zero"),
            ("1.2.3", "ParseAddr(\"1.2.3\"): IPv4 address too short"),
            ("1.2.3.4.5", "ParseAddr(\"1.2.3.4.5\"): IPv4 address too long"),
            ("256.2.3.4", "ParseAddr(\"256.2.3.4\"): IPv4 field has value >255"),
            ("1..3.4", "ParseAddr(\"1..3.4\"): IPv4 field must have at least one digit (at \".3.4\")"),
            ("a.b", "ParseAddr(\"a.b\"): unexpected character (at \"a.b\")"),
            ("1:2", "ParseAddr(\"1:2\"): address string too short"),
            ("1:", "ParseAddr(\"1:\"): colon must be followed by more characters (at \":\")"),
            ("1::2::3", "ParseAddr(\"1::2::3\"): multiple :: in address (at \":3\")"),
            ("12345::", "ParseAddr(\"12345::\"): each group must have 4 or less digits (at \"12345::\")"),
            (":x", "ParseAddr(\":x\"): each colon-separated field must have at least one digit (at \":x\")"),
            (
                "1:2:3:4:5:6:7:8:9",
                "ParseAddr(\"1:2:3:4:5:6:7:8:9\"): trailing garbage after address (at \"9\")",
            ),
            (
                "1:2:3:4:5:6:7::8",
                "ParseAddr(\"1:2:3:4:5:6:7::8\"): the :: must expand to at least one field of zeros",
            ),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn ranges_are_read_and_refused_as_go_does() {
        let read = |text: &str| match parse_prefix(text) {
            Ok((ip, bits)) => format!("{ip}/{bits}"),
            Err(why) => why.trim_start_matches("netip.").to_owned(),
        };
        for (text, expected) in [
            ("10.1.0.0/8", "10.1.0.0/8"),
            ("::/0", "::/0"),
            ("10.0.0.0", "ParsePrefix(\"10.0.0.0\"): no '/'"),
            ("10.0.0.0/33", "ParsePrefix(\"10.0.0.0/33\"): prefix length out of range"),
            ("10.0.0.0/08", "ParsePrefix(\"10.0.0.0/08\"): bad bits after slash: \"08\""),
            ("10.0.0.0/", "ParsePrefix(\"10.0.0.0/\"): bad bits after slash: \"\""),
            ("x/8", "ParsePrefix(\"x/8\"): ParseAddr(\"x\"): unable to parse IP"),
            ("fe80::%a/8", "ParsePrefix(\"fe80::%a/8\"): IPv6 zones cannot be present in a prefix"),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }
}
