//! ResourceClaim and ResourceClaimTemplate.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

use super::authorization;
use super::validation::{claim, declared, status};
use crate::changes::{default_struct, default_text, drop_unless_used, items};
use crate::rules::{internal, template_metadata};

/// The label of namespaces whose claims may ask for devices in use.
const ADMIN_LABEL: &str = "resource.kubernetes.io/admin-access";

/// ResourceClaim.
pub struct ResourceClaim;

/// ResourceClaimTemplate.
pub struct ResourceClaimTemplate;

/// Where a claim asks for devices; of a template the same is told.
const REQUESTS: &str = "spec.devices.requests";

/// Fields of features that are off, below the spec of a claim.
const DISABLED: [&[&str]; 2] = [
    &["devices", "requests", "*", "exactly", "derivedAttributes"],
    &["devices", "requests", "*", "firstAvailable", "*", "derivedAttributes"],
];

fn drop_disabled(object: &mut Value, old: &Value, above: &[&str]) {
    for path in DISABLED {
        drop_unless_used(object, old, &[above, path].concat());
    }
}

impl Strategy for ResourceClaim {
    fn reset_fields(&self, subresource: &str) -> &'static [&'static [&'static str]] {
        crate::changes::metadata_of_status(subresource)
    }

    fn default(&self, _: &str, object: &mut Value) {
        default_requests(object.entry("spec"));
    }

    fn prepare_create(&self, _: &Context<'_>, object: &mut Value) {
        drop_disabled(object, &Value::Null, &["spec"]);
    }

    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        drop_disabled(object, old, &["spec"]);
    }

    fn prepare_status(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        crate::changes::keep_metadata(object, old);
        drop_unless_used(
            object,
            old,
            &["status", "allocation", "devices", "results", "*", "skipNodeOperations"],
        );
        if let Some(status) = object.get_mut("status") {
            drop_deallocated(status, &old["status"]);
        }
    }

    fn validate_create(&self, context: &Context<'_>, object: &Value) -> Errors {
        let mut errors = admin_access(context, object["spec"]["devices"]["requests"].items(), REQUESTS);
        let path = Path::Root.child("spec");
        claim(&object["spec"], &path, &mut errors);
        declared::claim(&object["spec"], &path, &mut errors);
        errors
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = Errors::new();
        if object["spec"] != old["spec"] {
            errors.invalid(&Path::Root.child("spec"), Value::Null, "field is immutable");
        }
        errors
    }

    fn validate_status(&self, context: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let before = old["status"]["allocation"]["devices"]["results"].items();
        // It was granted with the allocation, which does not change.
        let mut errors = if before.iter().any(|result| result["adminAccess"].is_true()) {
            Errors::new()
        } else {
            let results = object["status"]["allocation"]["devices"]["results"].items();
            admin_access(context, results, "status.allocation.devices.results")
        };
        authorization::check(context, object, old, &mut errors);
        errors.append(status::validate(object, old));
        errors
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::cluster::resource_claim(object, now)
    }
}

impl Strategy for ResourceClaimTemplate {
    fn default(&self, _: &str, object: &mut Value) {
        let spec = object.entry("spec");
        default_struct(spec, "metadata");
        default_requests(spec.entry("spec"));
    }

    fn prepare_create(&self, _: &Context<'_>, object: &mut Value) {
        drop_disabled(object, &Value::Null, &["spec", "spec"]);
    }

    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        drop_disabled(object, old, &["spec", "spec"]);
    }

    fn validate_create(&self, context: &Context<'_>, object: &Value) -> Errors {
        let requests = object["spec"]["spec"]["devices"]["requests"].items();
        let mut errors = admin_access(context, requests, REQUESTS);
        written_template(object, &mut errors);
        declared_template(object, &mut errors);
        errors
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = Errors::new();
        written_template(object, &mut errors);
        if object["spec"] != old["spec"] {
            let told = internal::of("ResourceClaimTemplateSpec", &object["spec"]);
            errors.invalid(&Path::Root.child("spec"), told, "field is immutable");
        }
        declared_template(object, &mut errors);
        errors
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::config::name_and_age(object, now)
    }
}

/// The status of devices that are no longer allocated goes.
fn drop_deallocated(status: &mut Value, old: &Value) {
    let allocated = status["allocation"]["devices"]["results"].items();
    // Those of before are few: what was stored is valid.
    let gone: Vec<&Value> = old["allocation"]["devices"]["results"]
        .items()
        .iter()
        .filter(|result| !allocated.iter().any(|other| is_same_device(result, other)))
        .collect();
    if gone.is_empty() {
        return;
    }
    let mut kept = status["devices"].items().to_vec();
    kept.retain(|device| !gone.iter().any(|result| is_same_device(result, device)));
    match kept.is_empty() {
        true => drop(status.remove("devices")),
        false => status.set("devices", kept),
    }
}

fn is_same_device(one: &Value, other: &Value) -> bool {
    ["driver", "pool", "device", "shareID"].iter().all(|part| one[*part] == other[*part])
}

/// The written rules.
fn written_template(object: &Value, errors: &mut Errors) {
    let (spec, path) = (&object["spec"], Path::Root.child("spec"));
    template_metadata(&path.child("metadata"), &spec["metadata"], errors);
    claim(&spec["spec"], &path.child("spec"), errors);
}

/// The generated ones, whose errors come last.
fn declared_template(object: &Value, errors: &mut Errors) {
    declared::claim(&object["spec"]["spec"], &Path::Root.child("spec").child("spec"), errors);
}

/// Devices that are in use are for namespaces of administrators: `list`, at
/// `path`, has requests or results.
fn admin_access(context: &Context<'_>, list: &[Value], path: &str) -> Errors {
    let mut errors = Errors::new();
    let asks = |one: &Value| one["adminAccess"].is_true() || one["exactly"]["adminAccess"].is_true();
    let Some(at) = list.iter().position(asks) else { return errors };
    let namespace = context.view.get("", "namespaces", "", context.namespace);
    let allowed = namespace
        .is_some_and(|namespace| namespace.tree()["metadata"]["labels"][ADMIN_LABEL].text() == "true");
    if !allowed {
        let why = format!(
            "admin access to devices requires the `{ADMIN_LABEL}: true` label on the containing namespace"
        );
        errors.forbidden(&Path::Root.child(path).index(at).child("adminAccess"), &why);
    }
    errors
}

/// A request asks for a count of devices, one unless it says how many.
fn default_requests(spec: &mut Value) {
    let Some(devices) = spec.get_mut("devices") else { return };
    for request in items(devices, "requests") {
        if let Some(exactly) = request.get_mut("exactly") {
            default_count(exactly);
        }
        for alternative in items(request, "firstAvailable") {
            default_count(alternative);
        }
    }
}

fn default_count(request: &mut Value) {
    if request.as_object().is_none() {
        return;
    }
    default_text(request, "allocationMode", "ExactCount");
    if request["allocationMode"].text() == "ExactCount" && request["count"].as_i64().unwrap_or(0) == 0 {
        request.set("count", 1);
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn what_is_told_of_a_device_goes_with_its_allocation() {
        let status = |allocated: &[&str], told: &[&str]| {
            let devices = |names: &[&str]| -> Vec<Value> {
                names.iter().map(|name| value!({"driver": "d", "pool": "p", "device": *name})).collect()
            };
            value!({"allocation": {"devices": {"results": devices(allocated)}}, "devices": devices(told)})
        };
        for (old, mut new, left) in [
            (status(&["a", "b"], &["a", "b"]), status(&["a", "b"], &["a", "b"]), vec!["a", "b"]),
            (status(&["a", "b"], &["a", "b"]), status(&["b"], &["a", "b"]), vec!["b"]),
            (status(&["a"], &["a"]), status(&[], &["a"]), vec![]),
            (status(&["a"], &[]), status(&["a"], &["never"]), vec!["never"]),
        ] {
            drop_deallocated(&mut new, &old);
            let told: Vec<&str> =
                new["devices"].items().iter().map(|device| device["device"].text()).collect();
            assert_eq!(told, left);
        }
    }
}
