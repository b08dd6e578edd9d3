//! IPAddress: an address of a service range that is taken. Its name is the address.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apiserver::{Context, NameRule, Strategy, Version};
use jiff::Timestamp;

/// IPAddress.
pub struct IpAddress;

impl Strategy for IpAddress {
    fn name_rule(&self) -> NameRule {
        canonical_address
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        let mut errors = Errors::new();
        let spec = Path::Root.child("spec");
        let parent = spec.child("parentRef");
        let reference = &object["spec"]["parentRef"];
        if reference.is_null() {
            errors.required(&parent, "");
            return errors;
        }
        if reference["resource"].text().is_empty() {
            errors.required(&parent.child("resource"), "");
        }
        if reference["name"].text().is_empty() {
            errors.required(&parent.child("name"), "");
        }
        errors
    }

    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = self.validate_create(context, object);
        if object["spec"]["parentRef"] != old["spec"]["parentRef"] {
            let spec = Path::Root.child("spec");
            errors.invalid(
                &spec.child("parentRef"),
                object["spec"]["parentRef"].clone(),
                "field is immutable",
            );
        }
        errors
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::network::ip_address(object, now)
    }
}

fn canonical_address(name: &str) -> Vec<String> {
    match name.parse::<std::net::IpAddr>() {
        Ok(address) if address.to_string() == name => Vec::new(),
        Ok(address) => vec![format!("must be in canonical form ({:?})", address.to_string())],
        Err(_) => vec!["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".into()],
    }
}
