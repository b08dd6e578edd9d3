//! The formats of texts that schemas may ask for, as upstream's registry
//! checks them.

use std::sync::LazyLock;

use super::mail;
use crate::regexp::Regexp;
use crate::{netip, time, url, validation};

/// Formats of texts that are checked, without dashes: dashes in a format's
/// name count nowhere.
const TEXTS: [&str; 26] = [
    "bsonobjectid",
    "byte",
    "cidr",
    "creditcard",
    "date",
    "datetime",
    "duration",
    "email",
    "hexcolor",
    "hostname",
    "ipv4",
    "ipv6",
    "isbn",
    "isbn10",
    "isbn13",
    "k8slongname",
    "k8sshortname",
    "mac",
    "password",
    "rgbcolor",
    "ssn",
    "uri",
    "uuid",
    "uuid3",
    "uuid4",
    "uuid5",
];

/// Whether values of type `kind` are checked for `format`. What is not known
/// here has no effect.
pub fn knows_format(kind: &str, format: &str) -> bool {
    match kind {
        "integer" => matches!(format, "int32" | "int64"),
        "number" => matches!(format, "float" | "double"),
        "" | "string" => TEXTS.contains(&format.replace('-', "").as_str()),
        _ => false,
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

pattern!(BASE64, r"^(?:[A-Za-z0-9+\/]{4})*(?:[A-Za-z0-9+\/]{2}==|[A-Za-z0-9+\/]{3}=|[A-Za-z0-9+\/]{4})$");
pattern!(SHORT_NAME, "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$");
pattern!(LONG_NAME, r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$");
pattern!(TIME_OF_DAY, "^([0-9]{2}):([0-9]{2}):([0-9]{2})(.[0-9]+)?(z|([+-][0-9]{2}:[0-9]{2}))$");

fn matches(pattern: &Option<Regexp>, text: &str) -> bool {
    pattern.as_ref().is_some_and(|regexp| regexp.is_match(text))
}

/// Whether `text` has the format; what has a format that nobody knows has it.
pub fn has_format(format: &str, text: &str) -> bool {
    match format.replace('-', "").as_str() {
        "bsonobjectid" => text.len() == 24 && text.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "uri" => url::parse_request_uri(text).is_ok(),
        "email" => mail::is_address(text),
        "hostname" => {
            text.len() <= 255 && matches(&HOSTNAME, text) && text.split('.').all(|part| part.len() <= 63)
        }
        "ipv4" => validation::parse_ip_sloppy(text).is_some() && text.contains('.'),
        "ipv6" => netip::parse_addr(text).is_ok_and(|addr| addr.ip.is_ipv6() && addr.zone.is_empty()),
        "cidr" => validation::parse_cidr_sloppy(text).is_some(),
        "mac" => is_mac(text),
        "uuid" => matches(&UUID, text),
        "uuid3" => matches(&UUID3, text),
        "uuid4" => matches(&UUID4, text),
        "uuid5" => matches(&UUID5, text),
        "isbn" => is_isbn10(text) || is_isbn13(text),
        "isbn10" => is_isbn10(text),
        "isbn13" => is_isbn13(text),
        "creditcard" => is_credit_card(text),
        "ssn" => text.len() == 11 && matches(&SSN, text),
        "hexcolor" => matches(&HEX_COLOR, text),
        "rgbcolor" => matches(&RGB_COLOR, text),
        "byte" => matches(&BASE64, text),
        "date" => is_date(text),
        "duration" => is_duration(text),
        "datetime" => is_date_time(text),
        "k8sshortname" => text.len() <= 63 && matches(&SHORT_NAME, text),
        "k8slongname" => text.len() <= 253 && matches(&LONG_NAME, text),
        // Passwords, and what nobody checks.
        _ => true,
    }
}

/// net.ParseMAC: 6, 8 or 20 bytes with colons or dashes between them, with dots
/// between pairs of them, or with nothing.
fn is_mac(text: &str) -> bool {
    let hex =
        |part: &str, digits: usize| part.len() == digits && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    for separator in [':', '-'] {
        if text.contains(separator) {
            let parts: Vec<&str> = text.split(separator).collect();
            return matches!(parts.len(), 6 | 8 | 20) && parts.iter().all(|part| hex(part, 2));
        }
    }
    if !text.contains('.') {
        return [12, 16, 40].iter().any(|digits| hex(text, *digits));
    }
    let parts: Vec<&str> = text.split('.').collect();
    matches!(parts.len(), 3 | 4 | 10) && parts.iter().all(|part| hex(part, 4))
}

/// Without white space and dashes.
fn digits(text: &str) -> String {
    text.chars().filter(|letter| !matches!(letter, ' ' | '-' | '\t' | '\n' | '\u{c}' | '\r')).collect()
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
            b'X' if at == 9 => 10,
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

fn is_date(text: &str) -> bool {
    let is_shaped = text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    is_shaped && jiff::civil::Date::strptime("%Y-%m-%d", text).is_ok()
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

/// RFC 3339 nearly: any letter may stand before the fraction of a second, no
/// second is a leap second, and what follows another `t` does not count.
fn is_date_time(text: &str) -> bool {
    let text = text.to_lowercase();
    let mut parts = text.split('t');
    let (Some(date), Some(clock)) = (parts.next(), parts.next()) else { return false };
    let part = |from: usize| clock.get(from..from + 2).unwrap_or("");
    is_date(date) && matches(&TIME_OF_DAY, clock) && part(0) <= "23" && part(3) <= "59" && part(6) <= "59"
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
            ("mac", "00005e005301", true),
            ("mac", "0000.5e00.5301", true),
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
            ("date-time", "2026-01-01t00:00:00.5z", true),
            ("date-time", "2026-01-01T00:00:00,5Z", true),
            ("date-time", "2026-01-01T00:00:00ZT", true),
            ("date-time", "2026-01-01T24:00:00Z", false),
            ("date-time", "2026-01-01T00:00:60Z", false),
            ("ipv4", "010.0.0.1", true),
            ("i-p-v4", "::ffff:10.0.0.1", true),
            ("cidr", "10.1.0.0/8", true),
            ("byte", "YR==", true),
            ("byte", "", false),
            ("isbn10", "097522980x", false),
            ("ssn", "123456789", false),
            ("ssn", "123-45-6789", true),
            ("k8s-short-name", "a.b", false),
            ("k8s-long-name", "a.b-c", true),
        ];
        for (format, text, expected) in cases {
            assert_eq!(has_format(format, text), expected, "{format} {text}");
        }
        for (kind, format, known) in [
            ("string", "odd", false),
            ("string", "quantity", false),
            ("string", "date-time", true),
            ("string", "d-a-t-e-time", true),
            ("", "k8sshort-name", true),
            ("boolean", "ipv4", false),
            ("integer", "int32", true),
            ("integer", "double", false),
            ("number", "double", true),
        ] {
            assert_eq!(knows_format(kind, format), known, "{kind} {format}");
        }
    }
}
