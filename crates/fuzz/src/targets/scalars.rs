//! Quantities, times, durations, JSON paths, regular expressions, addresses, URLs
//! and the formats of schemas: a canonical text is its own canonical text.

use apimachinery::jsonpath::JsonPath;
use apimachinery::quantity::Quantity;
use apimachinery::regexp::Regexp;
use apimachinery::structural::{has_format, knows_format};
use apimachinery::{netip, time, url};

use super::pod;
use crate::Target;

pub const TARGET: Target = Target { name: "scalars", seeds, check };

fn seeds() -> Vec<Vec<u8>> {
    [
        "1500m",
        "1.5Gi",
        "-0.1",
        "1e3",
        "12E",
        "100n",
        "9223372036854775807",
        "2026-01-01T00:00:00Z",
        "2026-01-01T01:00:00.123456+01:00",
        "1h2m3.5s",
        "-1us",
        "300ms",
        ".spec.containers[*].name",
        "{.items[?(@.a==\"b\")].c}",
        "$.a['b']",
        "^[a-z]([-a-z0-9]*[a-z0-9])?$",
        "(?i)a{2,3}|\\d+",
        "HTTPS://u:p@[fe80::1%25e]:8080/a b/%7e?x=1+2&y=%41&z;=3#f%20g",
        "2001:db8::1.2.3.4",
        "10.0.0.0/8",
        "A \\\"b\\\" <x.y+z@[1.2.3.4]> (c)",
        "978-0-306-40615-7",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}

fn check(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    let mut answers = Vec::new();
    match Quantity::canonical(&text) {
        Ok(canonical) => {
            let again = Quantity::canonical(&canonical).expect("a canonical text is one");
            assert_eq!(again, canonical, "of {text}");
            let quantity = Quantity::parse(&text).expect("what has a canonical text is read");
            let _ = (quantity.value(), quantity.milli_value(), quantity.as_f64(), quantity.scaled(3));
            answers.push("quantity".to_owned());
        }
        Err(error) => answers.push(error.to_string()),
    }
    if let Some(moment) = time::parse(&text) {
        let written = time::format(moment);
        let again = time::parse(&written).expect("what was written is read");
        assert_eq!(time::format(again), written);
        let micro = time::format_micro(moment);
        let again = time::parse(&micro).expect("what was written is read");
        assert_eq!(time::format_micro(again), micro);
        answers.push("time".to_owned());
    }
    match time::parse_duration(&text) {
        Ok(nanos) => {
            let written = time::format_duration(nanos);
            assert_eq!(time::parse_duration(&written), Ok(nanos), "{written}");
            answers.push("duration".to_owned());
        }
        Err(error) => answers.push(error),
    }
    if let Some(path) = JsonPath::parse(&text) {
        let _ = path.all(&pod().1).len();
        answers.push("path".to_owned());
    }
    match Regexp::compile(&text) {
        Ok(regexp) => {
            let _ = regexp.is_match("a-b.c/ä");
            answers.push("regexp".to_owned());
        }
        Err(error) => answers.push(error),
    }
    match url::parse(&text) {
        Ok(url) => {
            let _ = (url.hostname(), url.port(), url.parameters());
            let path = url.escaped_path();
            if path.starts_with('/') {
                let again = url::parse_request_uri(&path).expect("an escaped path is one");
                assert_eq!(again.escaped_path(), path, "of {text}");
            }
            answers.push("url".to_owned());
        }
        Err(error) => answers.push(error),
    }
    match netip::parse_addr(&text) {
        Ok(addr) if addr.zone.is_empty() => {
            let written = addr.ip.to_string();
            let again = netip::parse_addr(&written).expect("what was written is read");
            assert_eq!(again.ip, addr.ip, "of {text}");
            answers.push("address".to_owned());
        }
        Ok(_) => answers.push("address with a zone".to_owned()),
        Err(error) => answers.push(error),
    }
    answers.push(netip::parse_prefix(&text).map_or_else(|error| error, |_| "prefix".to_owned()));
    for format in FORMATS {
        assert!(knows_format("string", format), "{format}");
        if has_format(format, &text) {
            answers.push(format.to_owned());
        }
    }
    answers.join("; ")
}

/// Those that are more than a pattern.
const FORMATS: [&str; 11] = [
    "byte",
    "cidr",
    "credit-card",
    "date",
    "date-time",
    "duration",
    "email",
    "hostname",
    "isbn",
    "mac",
    "uri",
];
