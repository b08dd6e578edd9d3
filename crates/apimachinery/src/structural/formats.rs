//! The formats of texts that schemas may ask for, as upstream's registry
//! checks them.

use std::net::IpAddr;
use std::sync::LazyLock;

use crate::quantity::Quantity;
use crate::regexp::Regexp;
use crate::{time, validation};

/// Formats of texts that are checked, without dashes.
const TEXTS: [&str; 25] = [
    "bsonobjectid",
    "uri",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "cidr",
    "mac",
    "uuid",
    "uuid3",
    "uuid4",
    "uuid5",
    "isbn",
    "isbn10",
    "isbn13",
    "creditcard",
    "ssn",
    "hexcolor",
    "rgbcolor",
    "byte",
    "password",
    "date",
    "duration",
    "datetime",
    "quantity",
];
const NAMES: [&str; 2] = ["k8s-short-name", "k8s-long-name"];
const SPELLED: [(&str, &str); 1] = [("date-time", "datetime")];

/// The format as messages name it, where a value of type `kind` is checked
/// for it; None for formats without effect.
pub(super) fn known(kind: &str, format: &str) -> Option<&'static str> {
    let find = |names: &[&'static str]| names.iter().find(|name| **name == format).copied();
    match kind {
        "integer" => find(&["int32", "int64"]),
        "number" => find(&["float", "double"]),
        "" | "string" => SPELLED
            .iter()
            .find(|(spelled, _)| *spelled == format)
            .map(|(spelled, _)| *spelled)
            .or_else(|| find(&TEXTS))
            .or_else(|| find(&NAMES)),
        _ => None,
    }
}

macro_rules! pattern {
    ($name:ident, $text:expr) => {
        static $name: LazyLock<Option<Regexp>> = LazyLock::new(|| Regexp::compile($text).ok());
    };
}

pattern!(UUID, "(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$");
pattern!(UUID3, "(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?3[0-9a-f]{3}-?[0-9a-f]{4}-?[0-9a-f]{12}$");
pattern!(UUID4, "(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?4[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$");
pattern!(UUID5, "(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?5[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$");
pattern!(
    HOSTNAME,
    r"^([a-zA-Z0-9\p{S}\p{L}]((-?[a-zA-Z0-9\p{S}\p{L}]{0,62})?)|([a-zA-Z0-9\p{S}\p{L}](([a-zA-Z0-9-\p{S}\p{L}]{0,61}[a-zA-Z0-9\p{S}\p{L}])?)(\.)){1,}([a-zA-Z\p{L}]){2,63})$"
);
pattern!(HEX_COLOR, "^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$");
pattern!(
    RGB_COLOR,
    r"^rgb\(\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*,\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*,\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*\)$"
);
pattern!(SSN, r"^\d{3}[- ]?\d{2}[- ]?\d{4}$");
pattern!(
    CREDIT_CARD,
    r"^(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:2131|1800|35\d{3})\d{11})$"
);

fn matches(pattern: &Option<Regexp>, text: &str) -> bool {
    pattern.as_ref().is_some_and(|regexp| regexp.is_match(text))
}

/// Whether `text` has the format.
pub(super) fn has_format(format: &str, text: &str) -> bool {
    match format {
        "bsonobjectid" => text.len() == 24 && text.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "uri" => is_request_uri(text),
        "email" => is_address(text),
        "hostname" => {
            text.len() <= 255 && matches(&HOSTNAME, text) && text.split('.').all(|part| part.len() <= 63)
        }
        "ipv4" => text.parse::<IpAddr>().is_ok_and(|address| address.is_ipv4()) && text.contains('.'),
        "ipv6" => text.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6()) && text.contains(':'),
        "cidr" => validation::parse_cidr_sloppy(text).is_some() && validation::cidr(text).is_empty(),
        "mac" => is_mac(text),
        "uuid" => matches(&UUID, text),
        "uuid3" => matches(&UUID3, text),
        "uuid4" => matches(&UUID4, text),
        "uuid5" => matches(&UUID5, text),
        "isbn" => is_isbn10(text) || is_isbn13(text),
        "isbn10" => is_isbn10(text),
        "isbn13" => is_isbn13(text),
        "creditcard" => is_credit_card(text),
        "ssn" => matches(&SSN, text),
        "hexcolor" => matches(&HEX_COLOR, text),
        "rgbcolor" => matches(&RGB_COLOR, text),
        "byte" => is_base64(text),
        "date" => is_date(text),
        "duration" => is_duration(text),
        "datetime" | "date-time" => is_date_time(text),
        "quantity" => Quantity::parse(text).is_ok(),
        "k8s-short-name" => validation::dns1123_label(text).is_empty(),
        "k8s-long-name" => validation::dns1123_subdomain(text).is_empty(),
        // Passwords, and what nobody checks.
        _ => true,
    }
}

/// net/url.ParseRequestURI: an absolute URI or an absolute path.
fn is_request_uri(text: &str) -> bool {
    if text.is_empty() || text.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
        return false;
    }
    if text.starts_with('/') || text == "*" {
        return true;
    }
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let is_scheme = scheme.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    if !is_scheme {
        return false;
    }
    let Some(authority) = rest.strip_prefix("//") else { return !rest.is_empty() || rest.is_empty() };
    let host = authority.split(['/', '?', '#']).next().unwrap_or("");
    let host = host.rsplit('@').next().unwrap_or("");
    !host.contains(' ')
        && match host.rsplit_once(':') {
            Some((_, port)) if !host.ends_with(']') => port.bytes().all(|byte| byte.is_ascii_digit()),
            _ => true,
        }
}

/// net/mail.ParseAddress, as far as mailboxes look like `name@domain`.
fn is_address(text: &str) -> bool {
    let address = match (text.rfind('<'), text.strip_suffix('>')) {
        (Some(at), Some(stripped)) => &stripped[at + 1..],
        _ => text,
    };
    let Some((local, domain)) = address.rsplit_once('@') else { return false };
    let atom = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| {
                byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte) || !byte.is_ascii()
            })
    };
    let quoted = local.len() > 1 && local.starts_with('"') && local.ends_with('"');
    let literal = domain.starts_with('[') && domain.ends_with(']');
    (quoted || local.split('.').all(atom)) && (literal || domain.split('.').all(atom))
}

/// net.ParseMAC: 6, 8 or 20 bytes with colons or dashes, or dots between pairs of bytes.
fn is_mac(text: &str) -> bool {
    let hex =
        |part: &str, digits: usize| part.len() == digits && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    for separator in [':', '-'] {
        if text.contains(separator) {
            let parts: Vec<&str> = text.split(separator).collect();
            return matches!(parts.len(), 6 | 8 | 20) && parts.iter().all(|part| hex(part, 2));
        }
    }
    let parts: Vec<&str> = text.split('.').collect();
    matches!(parts.len(), 3 | 4 | 10) && parts.iter().all(|part| hex(part, 4))
}

fn digits(text: &str) -> String {
    text.chars().filter(|letter| !matches!(letter, ' ' | '-')).collect()
}

fn is_isbn10(text: &str) -> bool {
    let text = digits(text);
    let bytes = text.as_bytes();
    if bytes.len() != 10 {
        return false;
    }
    let mut sum = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let value = match byte {
            b'0'..=b'9' => usize::from(byte - b'0'),
            b'X' | b'x' if at == 9 => 10,
            _ => return false,
        };
        sum += (at + 1) * value;
    }
    sum % 11 == 0
}

fn is_isbn13(text: &str) -> bool {
    let text = digits(text);
    if text.len() != 13 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let sum: u32 = text
        .bytes()
        .enumerate()
        .map(|(at, byte)| u32::from(byte - b'0') * if at % 2 == 0 { 1 } else { 3 })
        .sum();
    sum.is_multiple_of(10)
}

fn is_credit_card(text: &str) -> bool {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    if !matches(&CREDIT_CARD, &digits) {
        return false;
    }
    // Luhn's check.
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(at, byte)| {
            let value = u32::from(byte - b'0');
            match at % 2 {
                0 => value,
                _ if value * 2 > 9 => value * 2 - 9,
                _ => value * 2,
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

fn is_base64(text: &str) -> bool {
    use base64::Engine;
    !text.is_empty() && base64::engine::general_purpose::STANDARD.decode(text).is_ok()
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && jiff::civil::Date::strptime("%Y-%m-%d", text).is_ok()
}

/// As Go reads durations, or with a number and a unit's name anywhere: `22 seconds`.
fn is_duration(text: &str) -> bool {
    const SHORT: [&str; 12] = ["ns", "us", "µs", "ms", "s", "m", "h", "hr", "d", "w", "wk", "sec"];
    /// Whatever follows these.
    const BEGINNINGS: [&str; 8] = ["nano", "micro", "milli", "sec", "min", "hour", "day", "week"];
    if time::parse_duration(text).is_ok() {
        return true;
    }
    let mut rest = text;
    let mut found = false;
    while let Some(at) = rest.find(|letter: char| letter.is_ascii_digit()) {
        let (number, after) = split_while(&rest[at..], |letter| letter.is_ascii_digit());
        let (unit, after) =
            split_while(after.trim_ascii_start(), |letter| letter.is_ascii_alphabetic() || letter == 'µ');
        if !unit.is_empty() {
            if number.parse::<i64>().is_err() {
                return false;
            }
            let unit = unit.to_lowercase();
            found |=
                SHORT.contains(&&*unit) || BEGINNINGS.iter().any(|beginning| unit.starts_with(beginning));
        }
        rest = after;
    }
    found
}

fn split_while(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|letter| !belongs(letter)).unwrap_or(text.len()))
}

/// RFC 3339, with or without fractions of seconds.
fn is_date_time(text: &str) -> bool {
    let (date, clock) = match text.split_once(['T', 't']) {
        Some(parts) => parts,
        None => return false,
    };
    let clock = clock.replace('z', "Z");
    is_date(date) && clock.len() >= 9 && {
        let zone = clock.find(['Z', '+', '-']);
        zone.is_some_and(|at| clock.is_char_boundary(at)) && time::parse(&format!("{date}T{clock}")).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_apart() {
        let cases = [
            ("date-time", "2026-01-01T00:00:00Z", true),
            ("date-time", "2026-01-01T00:00:00.123+02:00", true),
            ("date-time", "now", false),
            ("date", "2026-02-30", false),
            ("ipv4", "10.0.0.1", true),
            ("ipv4", "::1", false),
            ("ipv6", "::1", true),
            ("cidr", "10.0.0.0/8", true),
            ("cidr", "10.0.0.0", false),
            ("uuid", "123e4567-e89b-12d3-a456-426614174000", true),
            ("uri", "https://example.com/a", true),
            ("uri", "example", false),
            ("email", "a@example.com", true),
            ("email", "example.com", false),
            ("hostname", "a.example.com", true),
            ("hostname", "-a", false),
            ("mac", "00:00:5e:00:53:01", true),
            ("mac", "00:00", false),
            ("duration", "1h30m", true),
            ("duration", "22 seconds", true),
            ("duration", "550e8400-41d4", true),
            ("duration", "5 x", false),
            ("duration", "soon", false),
            ("byte", "aGk=", true),
            ("byte", "%", false),
            ("isbn", "0321751043", true),
            ("isbn13", "978-0321751041", true),
            ("quantity", "10Gi", true),
            ("k8s-short-name", "a.b", false),
        ];
        for (format, text, expected) in cases {
            assert_eq!(has_format(format, text), expected, "{format} {text}");
        }
        assert_eq!(known("string", "odd"), None);
        assert_eq!(known("boolean", "ipv4"), None);
        assert_eq!(known("integer", "int32"), Some("int32"));
    }
}
