//! Secret.

use apimachinery::field::{Errors, Path};
use apimachinery::{Object, Value, validation};
use apiserver::{Context, Strategy, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use super::config_map::{MOST_BYTES, decoded_bytes, refuse_immutable};

const SERVICE_ACCOUNT_TOKEN: &str = "kubernetes.io/service-account-token";
const SERVICE_ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";

/// Secret.
pub struct Secret;

impl Strategy for Secret {
    /// `stringData` is a way to write `data`, and never stored.
    fn default(&self, _: &str, object: &mut Value) {
        let Some(texts) = object.remove("stringData") else { return };
        if texts.members().next().is_none() {
            return;
        }
        let data = object.entry("data");
        for (key, text) in texts.members() {
            data.set(key.to_owned(), STANDARD.encode(text.text()));
        }
        if let Some(data) = data.as_object_mut() {
            Object::sort(data);
        }
    }

    /// The type stays where an update leaves it out.
    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        if object["type"].text().is_empty() {
            object.set("type", old["type"].clone());
        }
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        let mut errors = Errors::new();
        let data = Path::Root.child("data");
        let mut bytes = 0;
        for (key, text) in object["data"].members() {
            for why in validation::config_map_key(key) {
                errors.invalid(&data.key(key), key, &why);
            }
            bytes += decoded_bytes(text.text());
        }
        if bytes > MOST_BYTES {
            errors.too_long(&data, MOST_BYTES);
        }
        validate_type(object, &data, &mut errors);
        errors
    }

    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = Errors::new();
        if object["type"] != old["type"] {
            errors.invalid(&Path::Root.child("type"), object["type"].clone(), "field is immutable");
        }
        errors.append(refuse_immutable(object, old, &["data"]));
        errors.append(self.validate_create(context, object));
        errors
    }

    fn warnings(&self, _: &Context<'_>, object: &Value, _: Option<&Value>) -> Vec<String> {
        let certificate = &object["data"]["tls.crt"];
        if object["type"].text() != "kubernetes.io/tls" || certificate.is_null() {
            return Vec::new();
        }
        let text = STANDARD.decode(certificate.text()).unwrap_or_default();
        if String::from_utf8_lossy(&text).contains("-----BEGIN ") {
            Vec::new()
        } else {
            vec!["tls: failed to find any PEM data in certificate input".into()]
        }
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::config::secret(object, now)
    }
}

/// What each well-known type must hold.
fn validate_type(object: &Value, data: &Path<'_>, errors: &mut Errors) {
    let has = |key: &str| !object["data"][key].is_null();
    match object["type"].text() {
        SERVICE_ACCOUNT_TOKEN => {
            let metadata = Path::Root.child("metadata");
            let annotations = metadata.child("annotations");
            if object["metadata"]["annotations"][SERVICE_ACCOUNT_NAME].text().is_empty() {
                errors.required(&annotations.key(SERVICE_ACCOUNT_NAME), "");
            }
        }
        "kubernetes.io/dockercfg" => validate_json(object, data, ".dockercfg", errors),
        "kubernetes.io/dockerconfigjson" => validate_json(object, data, ".dockerconfigjson", errors),
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => {
            errors.required(&data.key("username"), "");
            errors.required(&data.key("password"), "");
        }
        "kubernetes.io/ssh-auth" if object["data"]["ssh-privatekey"].text().is_empty() => {
            errors.required(&data.key("ssh-privatekey"), "");
        }
        "kubernetes.io/tls" => {
            for key in ["tls.crt", "tls.key"] {
                if !has(key) {
                    errors.required(&data.key(key), "");
                }
            }
        }
        _ => {}
    }
}

fn validate_json(object: &Value, data: &Path<'_>, key: &str, errors: &mut Errors) {
    let text = &object["data"][key];
    if text.is_null() {
        errors.required(&data.key(key), "");
        return;
    }
    let bytes = STANDARD.decode(text.text()).unwrap_or_default();
    if let Err(why) = apimachinery::json::parse(&bytes) {
        errors.invalid(&data.key(key), "<secret contents redacted>", &why.to_string());
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn texts_become_data_and_win() {
        let mut object = value!({"stringData": {"b": "x"}, "data": {"c": "ZA==", "b": "eQ=="}});
        Secret.default("v1", &mut object);
        assert_eq!(object, value!({"data": {"b": "eA==", "c": "ZA=="}}));
    }

    #[test]
    fn types_say_what_must_be_there() {
        for (kind, data, told) in [
            ("Opaque", value!({}), ""),
            ("kubernetes.io/tls", value!({"tls.crt": "", "tls.key": ""}), ""),
            ("kubernetes.io/tls", value!({"tls.crt": ""}), "data[tls.key]: Required value"),
            (
                "kubernetes.io/basic-auth",
                value!({}),
                "[data[username]: Required value, data[password]: Required value]",
            ),
            (
                "kubernetes.io/service-account-token",
                value!({}),
                "metadata.annotations[kubernetes.io/service-account.name]: Required value",
            ),
        ] {
            let mut errors = Errors::new();
            validate_type(&value!({"type": kind, "data": data}), &Path::Root.child("data"), &mut errors);
            assert_eq!(if errors.is_empty() { String::new() } else { errors.to_string() }, told);
        }
    }
}
