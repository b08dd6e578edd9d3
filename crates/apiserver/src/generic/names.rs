//! Names and ages, as every kind has them.

use apimachinery::Value;
use jiff::Timestamp;

/// What is wrong with a DNS-1123 subdomain; a prefix may end with a dash.
pub fn subdomain(name: &str, prefix: bool) -> Vec<String> {
    let text = if prefix { name.strip_suffix('-').map_or(name.to_owned(), |rest| format!("{rest}a")) } else { name.to_owned() };
    let mut errors = Vec::new();
    if text.len() > 253 {
        errors.push("must be no more than 253 bytes".to_owned());
    }
    let good = |label: &str| {
        let bytes = label.as_bytes();
        let edge = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        edge(bytes.first())
            && edge(bytes.last())
            && bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
    };
    if !text.split('.').all(good) {
        errors.push(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and \
             must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
                .to_owned(),
        );
    }
    errors
}

/// `5m3s` since the creation; `<unknown>` without one.
pub fn age(object: &Value, now: Timestamp) -> String {
    let created: Option<Timestamp> = object["metadata"]["creationTimestamp"].as_str().and_then(|text| text.parse().ok());
    match created {
        None => "<unknown>".to_owned(),
        Some(created) => format!("{}s", now.duration_since(created).as_secs()),
    }
}
