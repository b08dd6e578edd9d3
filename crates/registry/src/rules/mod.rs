//! Rules that several kinds share: selectors, resource amounts, roll-outs,
//! addresses, paths in a file system, and values as upstream's internal types
//! write them.
//!
//! Pure functions on trees that add to a list of errors.

pub mod addresses;
pub mod diff;
pub mod internal;
pub mod paths;
pub mod resources;
pub mod rollout;
pub mod selector;
pub mod signer;

use apimachinery::Value;
use apimachinery::field::{Error, Errors, Kind, Path};
use apimachinery::validation::{self, meta};

/// A number that may not be negative, where it is there.
pub fn non_negative(path: &Path<'_>, value: &Value, errors: &mut Errors) {
    if let Some(number) = value.as_i64().filter(|number| *number < 0) {
        errors.invalid(path, number, "must be greater than or equal to 0");
    }
}

/// An error where a text is absent or empty. Whether there is a text.
pub fn required(path: &Path<'_>, value: &Value, errors: &mut Errors) -> bool {
    let empty = value.text().is_empty();
    if empty {
        errors.required(path, "");
    }
    !empty
}

/// A port by number or by name.
pub fn port(path: &Path<'_>, value: &Value, errors: &mut Errors) {
    match value {
        Value::String(name) => errors.check(path, name, validation::port_name(name)),
        other => {
            let number = other.as_i64().unwrap_or(0);
            for why in validation::port_number(number) {
                errors.invalid(path, number, &why);
            }
        }
    }
}

/// An address that is neither unspecified, loopback, link-local nor multicast
/// (ValidateNonSpecialIP), where it is an address.
pub fn non_special_ip(path: &Path<'_>, text: &str, errors: &mut Errors) {
    let Some(ip) = validation::parse_ip_sloppy(text) else { return };
    let ip = ip.to_canonical();
    let (link_local, multicast) = match ip {
        std::net::IpAddr::V4(ip) => (ip.is_link_local(), ip.octets()[..3] == [224, 0, 0]),
        std::net::IpAddr::V6(ip) => {
            (ip.segments()[0] & 0xffc0 == 0xfe80, ip.segments()[0] & 0xff0f == 0xff02)
        }
    };
    if ip.is_unspecified() {
        errors.invalid(path, text, &format!("may not be unspecified ({text})"));
    }
    if ip.is_loopback() {
        errors.invalid(path, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
    }
    if link_local {
        errors.invalid(path, text, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
    }
    if multicast {
        errors.invalid(path, text, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
    }
}

/// `Not found: "x": detail`, which upstream's own constructor cannot say.
pub fn not_found_because(path: &Path<'_>, value: &str, detail: &str, errors: &mut Errors) {
    let body = format!("Not found: {}: {detail}", apimachinery::field::quote(value));
    errors.push(Error { kind: Kind::NotFound, field: path.to_string(), body });
}

/// A qualified name, as it may be written in capitals or not.
pub fn qualified(path: &Path<'_>, text: &str, errors: &mut Errors) {
    errors.check(path, text, validation::qualified_name(text));
}

/// What a name of `rule` is warned of, in Go's form of a list.
pub fn in_brackets(wrong: &[String]) -> String {
    format!("[{}]", wrong.join(" "))
}

/// Errors told as they are, in a form that shows no value in quotes.
pub fn invalid_unquoted(path: &Path<'_>, what: &str, errors: &mut Errors) {
    let body = format!("Invalid value: {what}");
    errors.push(Error { kind: Kind::Invalid, field: path.to_string(), body });
}

/// Metadata of a template: labels and annotations, and nothing else
/// (ValidateTemplateObjectMeta).
pub fn template_metadata(path: &Path<'_>, metadata: &Value, errors: &mut Errors) {
    meta::annotations(&metadata["annotations"], &path.child("annotations"), errors);
    meta::labels(&metadata["labels"], &path.child("labels"), errors);
    for (name, value) in metadata.members() {
        if !matches!(name, "annotations" | "labels") && !is_empty(value) && value.as_i64() != Some(0) {
            // Upstream makes the name of Go's by its first letter.
            let told = if name == "uid" { "uID" } else { name };
            errors.forbidden(&path.child(told), "cannot be set");
        }
    }
}

/// Whether a map, a list or a text is absent or empty.
pub fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// Whether two values are the same, absent and empty counting as one.
pub fn same(one: &Value, other: &Value) -> bool {
    one == other || (is_empty(one) && is_empty(other))
}

#[cfg(test)]
mod tests;
