//! A write as expressions and webhooks see it: admission.k8s.io/v1
//! AdmissionRequest, without its objects.

use apimachinery::{Object, Value, value};
use apiserver::{Admission, Operation, Version};

/// The request in the version that was matched.
pub(crate) fn request(admission: &Admission<'_>, matched: &Version) -> Value {
    let kind = |version: &Version| {
        let (group, version, kind) = admission.kind(version);
        value!({"group": group, "version": version, "kind": kind})
    };
    let resource = |version: &Version| {
        value!({
            "group": admission.definition.group.as_ref(),
            "version": version.name.as_ref(),
            "resource": admission.definition.resource.as_ref()
        })
    };
    let mut request = value!({
        "kind": kind(matched),
        "resource": resource(matched),
        "requestKind": kind(admission.version),
        "requestResource": resource(admission.version)
    });
    let mut text = |name: &'static str, text: &str| {
        if !text.is_empty() {
            request.set(name, text);
        }
    };
    text("subResource", admission.subresource);
    text("requestSubResource", admission.subresource);
    text("name", admission.name);
    text("namespace", admission.namespace);
    text("operation", admission.operation.as_str());
    request.set("userInfo", user(admission));
    request.set("dryRun", admission.dry_run);
    request.set("options", options(admission));
    request
}

fn user(admission: &Admission<'_>) -> Value {
    let user = admission.user;
    let list = |texts: &[String]| Value::Array(texts.iter().map(Value::from).collect());
    let mut info = value!({"username": &user.name});
    if !user.uid.is_empty() {
        info.set("uid", &user.uid);
    }
    if !user.groups.is_empty() {
        info.set("groups", list(&user.groups));
    }
    if !user.extra.is_empty() {
        let extra: Object =
            user.extra.iter().map(|(key, values)| (key.clone().into(), list(values))).collect();
        info.set("extra", extra);
    }
    info
}

/// The options of the request; at least their kind.
fn options(admission: &Admission<'_>) -> Value {
    if !admission.options.is_null() {
        return admission.options.clone();
    }
    let kind = match admission.operation {
        Operation::Create => "CreateOptions",
        Operation::Update => "UpdateOptions",
        Operation::Delete => "DeleteOptions",
        Operation::Connect => return Value::Null,
    };
    let mut options = value!({"kind": kind, "apiVersion": "meta.k8s.io/v1"});
    if admission.dry_run {
        options.set("dryRun", value!(["All"]));
    }
    options
}
