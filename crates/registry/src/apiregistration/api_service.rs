//! APIService.

use apimachinery::field::{Errors, Path, quote};
use apimachinery::validation::{dns1035_label, dns1123_subdomain, path_segment_name, port_number};
use apimachinery::{Value, time, value};
use apiserver::{Context, NameRule, Strategy, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use crate::rules::required;

const MOST_GROUP_PRIORITY: i64 = 20_000;
const MOST_VERSION_PRIORITY: i64 = 1000;

/// APIService.
pub struct ApiService;

impl Strategy for ApiService {
    fn repeats_errors(&self) -> bool {
        true
    }

    fn reset_fields(&self, subresource: &str) -> &'static [&'static [&'static str]] {
        crate::changes::metadata_of_status(subresource)
    }

    fn knows_finalizers(&self) -> bool {
        false
    }

    fn default(&self, _: &str, object: &mut Value) {
        let service = &object["spec"]["service"];
        if !service.is_null() && service["port"].is_null() {
            object.entry("spec").entry("service").set("port", 443);
        }
    }

    /// The name depends on group and version: see [`wrong_name`].
    fn name_rule(&self) -> NameRule {
        |_| Vec::new()
    }

    fn prepare_status(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        crate::changes::keep_metadata(object, old);
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    /// What this server serves itself is available at once.
    fn prepare_create(&self, context: &Context<'_>, object: &mut Value) {
        if object["spec"]["service"].is_null() {
            let condition = value!({
                "type": "Available",
                "status": "True",
                "lastTransitionTime": time::format(context.now),
                "reason": "Local",
                "message": "Local APIServices are always available"
            });
            object.set("status", value!({"conditions": vec![condition]}));
        }
    }

    fn validate_create(&self, context: &Context<'_>, object: &Value) -> Errors {
        validate(context.name, &object["spec"])
    }

    fn validate_status(&self, _: &Context<'_>, object: &Value, _: &Value) -> Errors {
        let mut errors = Errors::new();
        let status = Path::Root.child("status");
        let list = status.child("conditions");
        for (at, condition) in object["status"]["conditions"].items().iter().enumerate() {
            let here = list.index(at);
            let known = ["True", "False", "Unknown"];
            errors.one_of(&here.child("status"), condition["status"].text(), &known);
        }
        errors
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::cluster::api_service(object, now)
    }
}

/// An APIService is called `VERSION.GROUP`.
fn wrong_name(name: &str, spec: &Value) -> Vec<String> {
    let wrong = path_segment_name(name);
    if !wrong.is_empty() {
        return wrong;
    }
    let expected = format!("{}.{}", spec["version"].text(), spec["group"].text());
    if name == expected {
        return Vec::new();
    }
    vec![format!("must be `spec.version+\".\"+spec.group`: {}", quote(&expected))]
}

fn validate(name: &str, spec: &Value) -> Errors {
    let mut errors = Errors::new();
    if !name.is_empty() {
        errors.check(&Path::Root.child("metadata").child("name"), name, wrong_name(name, spec));
    }
    let path = Path::Root.child("spec");
    let (group, version) = (spec["group"].text(), spec["version"].text());
    if !group.is_empty() {
        errors.check(&path.child("group"), group, dns1123_subdomain(group));
    } else if version != "v1" {
        let why = "only v1 may have an empty group and it better be legacy kube";
        errors.required(&path.child("group"), why);
    }
    errors.check(&path.child("version"), version, dns1035_label(version));
    for (field, most) in
        [("groupPriorityMinimum", MOST_GROUP_PRIORITY), ("versionPriority", MOST_VERSION_PRIORITY)]
    {
        let number = spec[field].as_i64().unwrap_or(0);
        if !(1..=most).contains(&number) {
            errors.invalid(&path.child(field), number, &format!("must be positive and less than {most}"));
        }
    }
    let bundle = STANDARD.decode(spec["caBundle"].text()).unwrap_or_default();
    let (service, insecure) = (&spec["service"], spec["insecureSkipTLSVerify"].is_true());
    if service.is_null() {
        if !bundle.is_empty() {
            let told = format!("{} bytes", bundle.len());
            errors.invalid(&path.child("caBundle"), told, "local APIServices may not have a caBundle");
        }
        if insecure {
            let why = "local APIServices may not have insecureSkipTLSVerify";
            errors.invalid(&path.child("insecureSkipTLSVerify"), true, why);
        }
        return errors;
    }
    let here = path.child("service");
    for field in ["namespace", "name"] {
        required(&here.child(field), &service[field], &mut errors);
    }
    let port = service["port"].as_i64().unwrap_or(0);
    let wrong = port_number(port);
    if !wrong.is_empty() {
        errors.invalid(&here.child("port"), port, &format!("port is not valid: {}", wrong.join(",")));
    }
    if insecure && !bundle.is_empty() {
        let why = "may not be true if caBundle is present";
        errors.invalid(&path.child("insecureSkipTLSVerify"), true, why);
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_services_trust_nobody() {
        let spec = |extra: &'static str, value: Value| {
            let mut spec =
                value!({"group": "ex.com", "version": "v1", "groupPriorityMinimum": 1, "versionPriority": 1});
            spec.set(extra, value);
            spec
        };
        for (spec, expected) in [
            (spec("group", "ex.com".into()), ""),
            (
                spec("caBundle", "YQ==".into()),
                "spec.caBundle: Invalid value: \"1 bytes\": local APIServices may not have a caBundle",
            ),
            (
                spec("insecureSkipTLSVerify", true.into()),
                "spec.insecureSkipTLSVerify: Invalid value: true: local APIServices may not have insecureSkipTLSVerify",
            ),
            (spec("service", value!({"name": "s", "port": 443})), "spec.service.namespace: Required value"),
        ] {
            assert_eq!(
                validate("v1.ex.com", &spec).iter().map(ToString::to_string).collect::<String>(),
                expected
            );
        }
    }
}
