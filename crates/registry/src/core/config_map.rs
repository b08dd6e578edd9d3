//! ConfigMap.

use apimachinery::field::{Errors, Path};
use apimachinery::{Value, validation};
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

/// All data of a ConfigMap or Secret together, in bytes.
pub(crate) const MOST_BYTES: usize = 1024 * 1024;

/// ConfigMap.
pub struct ConfigMap;

impl Strategy for ConfigMap {
    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        let mut errors = Errors::new();
        let (data, binary) = (Path::Root.child("data"), Path::Root.child("binaryData"));
        let mut bytes = 0;
        for (key, text) in object["data"].members() {
            check_key(&data, key, &mut errors);
            if !object["binaryData"][key].is_null() {
                errors.invalid(&data.key(key), key, "duplicate of key present in binaryData");
            }
            bytes += text.text().len();
        }
        for (key, text) in object["binaryData"].members() {
            check_key(&binary, key, &mut errors);
            bytes += decoded_bytes(text.text());
        }
        if bytes > MOST_BYTES {
            // Upstream names the empty path with a key: it writes as `[]`.
            errors.too_long(&Path::Root.key(""), MOST_BYTES);
        }
        errors
    }

    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = refuse_immutable(object, old, &["data", "binaryData"]);
        errors.append(self.validate_create(context, object));
        errors
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::config::config_map(object, now)
    }
}

fn check_key(path: &Path<'_>, key: &str, errors: &mut Errors) {
    for why in validation::config_map_key(key) {
        errors.invalid(&path.key(key), key, &why);
    }
}

/// The size of what base64 text stands for.
pub(crate) fn decoded_bytes(text: &str) -> usize {
    text.len() / 4 * 3 - text.bytes().rev().take(2).filter(|&byte| byte == b'=').count().min(text.len())
}

/// What an immutable ConfigMap or Secret refuses.
pub(crate) fn refuse_immutable(object: &Value, old: &Value, fields: &[&str]) -> Errors {
    let mut errors = Errors::new();
    if !old["immutable"].is_true() {
        return errors;
    }
    let why = "field is immutable when `immutable` is set";
    if !object["immutable"].is_true() {
        errors.forbidden(&Path::Root.child("immutable"), why);
    }
    for field in fields {
        let empty = |value: &Value| value.members().next().is_none();
        if object[*field] != old[*field] && !(empty(&object[*field]) && empty(&old[*field])) {
            errors.forbidden(&Path::Root.child(field), why);
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn immutable_means_data_and_the_flag() {
        let old = value!({"immutable": true, "data": {"a": "b"}});
        for (new, told) in [
            (value!({"immutable": true, "data": {"a": "b"}, "metadata": {"labels": {"x": "y"}}}), ""),
            (
                value!({"immutable": true, "data": {"a": "c"}}),
                "data: Forbidden: field is immutable when `immutable` is set",
            ),
            (
                value!({"data": {"a": "b"}}),
                "immutable: Forbidden: field is immutable when `immutable` is set",
            ),
        ] {
            let errors = refuse_immutable(&new, &old, &["data"]);
            assert_eq!(if errors.is_empty() { String::new() } else { errors.to_string() }, told);
        }
    }

    #[test]
    fn base64_is_measured_without_decoding() {
        for (text, bytes) in [("", 0), ("YQ==", 1), ("YWI=", 2), ("YWJj", 3)] {
            assert_eq!(decoded_bytes(text), bytes, "{text}");
        }
    }
}
