//! A write as expressions and webhooks see it: admission.k8s.io/v1
//! AdmissionRequest, without its objects.

use apimachinery::{Object, Value, value};
use apiserver::{Admission, Version};

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
    let mut request = value!({"kind": kind(matched), "resource": resource(matched)});
    let text = |request: &mut Value, name: &'static str, text: &str| {
        if !text.is_empty() {
            request.set(name, text);
        }
    };
    text(&mut request, "subResource", admission.subresource);
    request.set("requestKind", kind(admission.version));
    request.set("requestResource", resource(admission.version));
    text(&mut request, "requestSubResource", admission.subresource);
    text(&mut request, "name", admission.name);
    text(&mut request, "namespace", admission.namespace);
    request.set("operation", admission.operation.as_str());
    request.set("userInfo", user(admission));
    request.set("dryRun", admission.dry_run);
    request.set("options", admission.options());
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
