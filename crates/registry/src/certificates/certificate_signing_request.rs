//! CertificateSigningRequest: who asks is written by the server; approval and
//! certificate have subresources of their own.

mod validation;

use apimachinery::Value;
use apimachinery::field::Errors;
use apiserver::{Context, NameRule, Strategy, Version};
use jiff::Timestamp;

use crate::changes::{items, keep, keep_in};
use validation::Way;

/// CertificateSigningRequest.
pub struct CertificateSigningRequest;

/// The subresource `approval`: conditions Approved and Denied.
pub struct Approval;

impl Strategy for CertificateSigningRequest {
    fn name_rule(&self) -> NameRule {
        apimachinery::validation::path_segment_name
    }

    /// The request keeps the identity of who made it.
    fn prepare_create(&self, context: &Context<'_>, object: &mut Value) {
        let user = context.user;
        let spec = object.entry("spec");
        spec.set("username", user.name.as_str());
        set_or_remove(spec, "uid", (!user.uid.is_empty()).then(|| user.uid.as_str().into()));
        let groups: Vec<Value> = user.groups.iter().map(Value::from).collect();
        set_or_remove(spec, "groups", (!groups.is_empty()).then_some(Value::Array(groups)));
        let mut extra = Value::object();
        for (key, values) in &user.extra {
            extra.set(key.clone(), values.iter().map(Value::from).collect::<Vec<_>>());
        }
        set_or_remove(spec, "extra", (!user.extra.is_empty()).then_some(extra));
    }

    /// Nothing of a request changes.
    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        keep(object, old, "spec");
    }

    /// The signer may add a certificate and conditions other than the approver's.
    fn prepare_status(&self, context: &Context<'_>, object: &mut Value, old: &Value) {
        stamp_conditions(object, old, context);
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        validation::validate(object, None)
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        validation::validate_update(object, old, Way::Object)
    }

    fn validate_status(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        validation::validate_update(object, old, Way::Status)
    }

    fn reset_fields(&self, subresource: &str) -> &'static [&'static [&'static str]] {
        match subresource {
            "status" => &[&["spec"], &["status", "conditions"]],
            "approval" => &[&["spec"], &["status", "certificate"]],
            _ => &[&["spec"]],
        }
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::access::signing_request(object, now)
    }
}

impl Strategy for Approval {
    fn prepare_update(&self, context: &Context<'_>, object: &mut Value, old: &Value) {
        keep(object, old, "spec");
        keep_in(object, old, "status", "certificate");
        stamp_conditions(object, old, context);
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        validation::validate_update(object, old, Way::Approval)
    }
}

fn set_or_remove(spec: &mut Value, field: &'static str, value: Option<Value>) {
    match value {
        Some(value) => spec.set(field, value),
        None => {
            spec.remove(field);
        }
    }
}

/// New conditions get their times.
fn stamp_conditions(object: &mut Value, old: &Value, context: &Context<'_>) {
    let now: Value = apimachinery::time::format(context.now).into();
    let before = old["status"]["conditions"].clone();
    let Some(status) = object.get_mut("status") else { return };
    for condition in items(status, "conditions") {
        let known = before.items().iter().find(|known| {
            known["type"] == condition["type"]
                && known["status"] == condition["status"]
                && !known["lastTransitionTime"].is_null()
        });
        if condition["lastUpdateTime"].is_null() {
            condition.set("lastUpdateTime", now.clone());
        }
        if condition["lastTransitionTime"].is_null() {
            let since = known.map_or(&now, |known| &known["lastTransitionTime"]);
            condition.set("lastTransitionTime", since.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn absent_parts_of_an_identity_are_left_out() {
        let mut spec = value!({"uid": "forged"});
        set_or_remove(&mut spec, "uid", None);
        assert_eq!(spec, value!({}));
    }
}
