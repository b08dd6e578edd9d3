//! The shared rules of names and values (apimachinery's `util/validation`),
//! with upstream's texts.
//!
//! A rule returns what is wrong with a value, in order; nothing wrong is an
//! empty list (and allocates nothing). Which rule a field has is its
//! strategy's matter; [`meta`] holds those of ObjectMeta.

pub mod meta;
mod values;

pub use values::{
    env_var_name, http_header_name, in_range, non_negative, parse_cidr_sloppy, parse_ip_sloppy, percent,
    port_name, port_number,
};

use crate::Value;
use crate::field::{Errors, Named, Path};

/// What an immutable field says when it changes.
pub const IMMUTABLE: &str = "field is immutable";

/// Bytes of a DNS label (RFC 1123).
pub const DNS_LABEL_MAX: usize = 63;
/// Bytes of a DNS subdomain.
pub const DNS_SUBDOMAIN_MAX: usize = 253;
/// Bytes of all annotations' keys and values together.
pub const ANNOTATIONS_MAX: usize = 256 << 10;

const LABEL_FORM: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN_FORM: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const SUBDOMAIN_WORDS: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, \
                               '-' or '.', and must start and end with an alphanumeric character";
const NAME_FORM: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const NAME_WORDS: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
                          alphanumeric character";

/// `words (e.g. 'a',  or 'b', regex used for validation is 'form')`.
pub(crate) fn explain(words: &str, form: &str, examples: &[&str]) -> String {
    let mut text = format!("{words} (e.g. ");
    for (at, example) in examples.iter().enumerate() {
        if at > 0 {
            text.push_str(" or ");
        }
        text.push('\'');
        text.push_str(example);
        text.push_str("', ");
    }
    text.push_str("regex used for validation is '");
    text.push_str(form);
    text.push_str("')");
    text
}

fn no_more_than(limit: usize, unit: &str) -> String {
    format!("must be no more than {limit} {unit}")
}

fn lower_alnum(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

/// Whether all bytes are `inner` and both ends `outer`; not for "".
fn shaped(text: &str, outer: impl Fn(u8) -> bool, inner: impl Fn(u8) -> bool) -> bool {
    match text.as_bytes() {
        [] => false,
        [only] => outer(*only),
        [first, middle @ .., last] => outer(*first) && outer(*last) && middle.iter().all(|byte| inner(*byte)),
    }
}

fn is_label(text: &str) -> bool {
    shaped(text, lower_alnum, |byte| lower_alnum(byte) || byte == b'-')
}

fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_label)
}

fn is_name(text: &str) -> bool {
    shaped(
        text,
        |byte| byte.is_ascii_alphanumeric(),
        |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'),
    )
}

/// A DNS label as RFC 1123 has it: `my-name`.
pub fn dns1123_label(value: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if value.len() > DNS_LABEL_MAX {
        wrong.push(no_more_than(DNS_LABEL_MAX, "characters"));
    }
    if !is_label(value) {
        wrong.push(if is_subdomain(value) {
            "must not contain dots".into()
        } else {
            explain(
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
                 start and end with an alphanumeric character",
                LABEL_FORM,
                &["my-name", "123-abc"],
            )
        });
    }
    wrong
}

/// A DNS subdomain as RFC 1123 has it: `example.com`.
pub fn dns1123_subdomain(value: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if value.len() > DNS_SUBDOMAIN_MAX {
        wrong.push(no_more_than(DNS_SUBDOMAIN_MAX, "characters"));
    }
    if !is_subdomain(value) {
        wrong.push(explain(SUBDOMAIN_WORDS, SUBDOMAIN_FORM, &["example.com"]));
    }
    wrong
}

/// A DNS subdomain whose parts may hold underscores and start with one.
pub fn dns1123_subdomain_with_underscore(value: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if value.len() > DNS_SUBDOMAIN_MAX {
        wrong.push(no_more_than(DNS_SUBDOMAIN_MAX, "characters"));
    }
    let part = |text: &str| {
        let text = text.strip_prefix('_').unwrap_or(text);
        shaped(text, lower_alnum, |byte| lower_alnum(byte) || matches!(byte, b'-' | b'_'))
    };
    if !value.split('.').all(part) {
        wrong.push(explain(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', \
             and must start and end with an alphanumeric character",
            r"_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*",
            &["example.com"],
        ));
    }
    wrong
}

/// The words of a rule that the type declares: lengths count in bytes there.
pub fn in_bytes(wrong: Vec<String>) -> Vec<String> {
    let count = |text: String| match text.strip_suffix(" characters") {
        Some(limit) if text.starts_with("must be no more than ") => format!("{limit} bytes"),
        _ => text,
    };
    wrong.into_iter().map(count).collect()
}

/// A DNS label as RFC 1035 has it: it starts with a letter.
pub fn dns1035_label(value: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if value.len() > DNS_LABEL_MAX {
        wrong.push(no_more_than(DNS_LABEL_MAX, "characters"));
    }
    if !is_label(value) || value.as_bytes()[0].is_ascii_digit() {
        wrong.push(explain(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
             character, and end with an alphanumeric character",
            "[a-z]([-a-z0-9]*[a-z0-9])?",
            &["my-name", "abc-123"],
        ));
    }
    wrong
}

/// `*.example.com`.
pub fn wildcard_dns1123_subdomain(value: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if value.len() > DNS_SUBDOMAIN_MAX {
        wrong.push(no_more_than(DNS_SUBDOMAIN_MAX, "characters"));
    }
    if !value.strip_prefix("*.").is_some_and(is_subdomain) {
        wrong.push(explain(
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must \
             consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
            &format!(r"\*\.{SUBDOMAIN_FORM}"),
            &["*.example.com"],
        ));
    }
    wrong
}

/// A label's or annotation's key: a name of 63 bytes, behind an optional DNS
/// subdomain and a slash. Upstream's qualified names are the same.
pub fn label_key(value: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let (prefix, name) = match value.split_once('/') {
        None => (None, value),
        Some((_, name)) if name.contains('/') => {
            wrong.push(format!(
                "{} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
                explain(
                    &format!("a valid label key {NAME_WORDS}"),
                    NAME_FORM,
                    &["MyName", "my.name", "123-abc"]
                )
            ));
            return wrong;
        }
        Some((prefix, name)) => (Some(prefix), name),
    };
    match prefix {
        Some("") => wrong.push("prefix part must be non-empty".into()),
        Some(prefix) => wrong.extend(
            in_bytes(dns1123_subdomain(prefix)).into_iter().map(|text| format!("prefix part {text}")),
        ),
        None => {}
    }
    if name.is_empty() {
        wrong.push("name part must be non-empty".into());
    } else if name.len() > 63 {
        wrong.push(format!("name part {}", no_more_than(63, "bytes")));
    }
    if !is_name(name) {
        wrong.push(explain(&format!("name part {NAME_WORDS}"), NAME_FORM, &["MyName", "my.name", "123-abc"]));
    }
    wrong
}

/// A qualified name: `example.com/MyName` or `MyName`.
pub fn qualified_name(value: &str) -> Vec<String> {
    label_key(value)
}

/// A label's value: empty or a name of 63 bytes.
pub fn label_value(value: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if value.len() > 63 {
        wrong.push(no_more_than(63, "bytes"));
    }
    if !value.is_empty() && !is_name(value) {
        wrong.push(explain(
            &format!("a valid label must be an empty string or {}", &NAME_WORDS["must ".len()..]),
            &format!("({NAME_FORM})?"),
            &["MyValue", "my_value", "12345"],
        ));
    }
    wrong
}

/// A domain of at least three parts, such as a webhook's name.
pub fn fully_qualified_name(value: &str) -> Vec<String> {
    let wrong = dns1123_subdomain(value);
    if wrong.is_empty() && value.split('.').count() < 3 {
        return vec!["should be a domain with at least three segments separated by dots".into()];
    }
    wrong
}

/// A key of a ConfigMap or Secret.
pub fn config_map_key(value: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if value.len() > DNS_SUBDOMAIN_MAX {
        wrong.push(no_more_than(DNS_SUBDOMAIN_MAX, "characters"));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if value.is_empty() || !value.bytes().all(allowed) {
        wrong.push(explain(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
            "[-._a-zA-Z0-9]+",
            &["key.name", "KEY_NAME", "key-name"],
        ));
    }
    if value == "." {
        wrong.push("must not be '.'".into());
    } else if value == ".." {
        wrong.push("must not be '..'".into());
    } else if value.starts_with("..") {
        wrong.push("must not start with '..'".into());
    }
    wrong
}

/// A name that stands in a URL's path alone (roles, bindings, custom names).
pub fn path_segment_name(value: &str) -> Vec<String> {
    if matches!(value, "." | "..") {
        return vec![format!("may not be '{value}'")];
    }
    ["/", "%"]
        .into_iter()
        .filter(|text| value.contains(text))
        .map(|text| format!("may not contain '{text}'"))
        .collect()
}

/// A C identifier (RFC for attribute names in devices).
pub fn c_identifier(value: &str) -> Vec<String> {
    let shape = !value.is_empty()
        && !value.as_bytes()[0].is_ascii_digit()
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if shape {
        return Vec::new();
    }
    vec![explain(
        "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric \
         characters or '_'",
        "[A-Za-z_][A-Za-z0-9_]*",
        &["my_name", "MY_NAME", "MyName"],
    )]
}

impl Errors {
    /// [`check`](Self::check) of text with a type of its own.
    pub fn check_named(&mut self, path: &Path<'_>, value: &str, wrong: Vec<String>) {
        for text in wrong {
            self.invalid(path, Named(value), &text);
        }
    }

    /// An `Invalid value` error for each text of a rule.
    pub fn check(&mut self, path: &Path<'_>, value: &str, wrong: Vec<String>) {
        for text in wrong {
            self.invalid(path, value, &text);
        }
    }

    /// An error where the values differ: the field is immutable.
    pub fn immutable(&mut self, path: &Path<'_>, new: &Value, old: &Value) {
        if new != old {
            self.invalid(path, new.clone(), IMMUTABLE);
        }
    }

    /// An error where `value` is not among `supported`.
    pub fn one_of(&mut self, path: &Path<'_>, value: &str, supported: &[&str]) {
        if !supported.contains(&value) {
            self.not_supported(path, value, supported);
        }
    }

    /// [`one_of`](Self::one_of) for a field of type `string`, whose value is
    /// written otherwise.
    pub fn one_of_texts(&mut self, path: &Path<'_>, value: &str, supported: &[&str]) {
        if !supported.contains(&value) {
            self.text_not_supported(path, value, supported);
        }
    }
}

#[cfg(test)]
mod tests;
