//! IPAddress: an address of a service range that is taken. Its name is the address.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apimachinery::validation::{dns1123_subdomain, path_segment_name};
use apiserver::{Context, NameRule, Strategy, Version};
use jiff::Timestamp;

use crate::rules::addresses::canonical_ip;

/// IPAddress.
pub struct IpAddress;

impl Strategy for IpAddress {
    fn name_rule(&self) -> NameRule {
        canonical_ip
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        validate(object)
    }

    /// Its parent is for ever; what the type declares is looked at again where it changed.
    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        if object["spec"]["parentRef"] == old["spec"]["parentRef"] {
            return Errors::new();
        }
        let mut errors = validate(object);
        errors.invalid(&Path::Root.child("spec").child("parentRef"), Value::Null, "field is immutable");
        errors
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::network::ip_address(object, now)
    }
}

/// What is missing is told by generated rules, whose errors come last.
fn validate(object: &Value) -> Errors {
    let mut errors = Errors::new();
    let spec = Path::Root.child("spec");
    let path = spec.child("parentRef");
    let reference = &object["spec"]["parentRef"];
    if reference.is_null() {
        errors.required(&path, "");
        return errors;
    }
    let group = reference["group"].text();
    if !group.is_empty() {
        errors.check(&path.child("group"), group, dns1123_subdomain(group));
    }
    for field in ["resource", "name", "namespace"] {
        let text = reference[field].text();
        errors.check(&path.child(field), text, path_segment_name(text));
    }
    for field in ["resource", "name"] {
        if reference[field].text().is_empty() {
            errors.required(&path.child(field), "");
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn parents_are_named_in_full() {
        for (reference, expected) in [
            (value!({"resource": "services", "name": "s", "namespace": "n"}), ""),
            (value!({"resource": "services"}), "spec.parentRef.name: Required value"),
            (Value::Null, "spec.parentRef: Required value"),
            (
                value!({"resource": "a/b", "name": "s"}),
                "spec.parentRef.resource: Invalid value: \"a/b\": may not contain '/'",
            ),
        ] {
            let errors = validate(&value!({"spec": {"parentRef": reference}}));
            assert_eq!(errors.iter().map(ToString::to_string).collect::<String>(), expected);
        }
    }
}
