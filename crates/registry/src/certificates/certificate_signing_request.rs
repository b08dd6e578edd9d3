//! CertificateSigningRequest: who asks is written by the server; approval and
//! certificate have subresources of their own.

use apimachinery::Value;
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

use crate::changes::{items, keep, keep_in};

/// CertificateSigningRequest.
pub struct CertificateSigningRequest;

/// The subresource `approval`: conditions Approved and Denied.
pub struct Approval;

impl Strategy for CertificateSigningRequest {
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

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::access::signing_request(object, now)
    }
}

impl Strategy for Approval {
    fn prepare_update(&self, context: &Context<'_>, object: &mut Value, old: &Value) {
        keep(object, old, "spec");
        let certificate = old["status"]["certificate"].clone();
        if certificate.is_null() {
            if let Some(status) = object.get_mut("status") {
                status.remove("certificate");
            }
        } else {
            keep_in(object, old, "status", "certificate");
        }
        stamp_conditions(object, old, context);
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

/// New conditions get their times and, where none is said, the status True.
fn stamp_conditions(object: &mut Value, old: &Value, context: &Context<'_>) {
    let now: Value = apimachinery::time::format(context.now).into();
    let before = old["status"]["conditions"].clone();
    let Some(status) = object.get_mut("status") else { return };
    for condition in items(status, "conditions") {
        let known = before.items().iter().find(|known| known["type"] == condition["type"]);
        if condition["status"].text().is_empty() {
            condition.set("status", "True");
        }
        if condition["lastUpdateTime"].is_null() {
            condition.set("lastUpdateTime", now.clone());
        }
        if condition["lastTransitionTime"].is_null() {
            let kept = known.filter(|known| known["status"] == condition["status"]);
            let since = kept.map_or(&Value::Null, |known| &known["lastTransitionTime"]);
            let at = if since.is_null() { now.clone() } else { since.clone() };
            condition.set("lastTransitionTime", at);
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
