//! CSIDriver.

use std::collections::HashSet;

use apimachinery::field::{Errors, Path};
use apimachinery::{Value, meta, value};
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

use crate::rules::same;

const LEAST_TOKEN: i64 = 600;
const MOST_TOKEN: i64 = 1 << 32;
const LEAST_PERIOD: i64 = 10;

/// CSIDriver.
pub struct CsiDriver;

impl Strategy for CsiDriver {
    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn default(&self, _: &str, object: &mut Value) {
        let spec = object.entry("spec");
        if spec["volumeLifecycleModes"].items().is_empty() {
            spec.set("volumeLifecycleModes", value!(["Persistent"]));
        }
    }

    /// Changes are counted, though a new driver has no generation.
    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        if !same(&object["spec"], &old["spec"]) {
            object.entry("metadata").set("generation", meta::generation(old) + 1);
        }
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        validate(object)
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = validate(object);
        let spec = Path::Root.child("spec");
        // Upstream misspells the first.
        for (field, told) in
            [("attachRequired", "attachedRequired"), ("volumeLifecycleModes", "volumeLifecycleModes")]
        {
            errors.immutable(&spec.child(told), &object["spec"][field], &old["spec"][field]);
        }
        errors
    }

    fn warnings(&self, _: &Context<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        let (spec, requests) = (&object["spec"], &object["spec"]["tokenRequests"]);
        let changed = old.is_none_or(|old| !same(&old["spec"]["tokenRequests"], requests));
        if !changed || requests.items().is_empty() || !spec["serviceAccountTokenInSecrets"].is_null() {
            return Vec::new();
        }
        let why = "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to \
                   prevent possible logging of tokens in volume attributes";
        vec![why.to_owned()]
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::storage::driver(object, now)
    }
}

fn validate(object: &Value) -> Errors {
    let mut errors = Errors::new();
    let (spec, path) = (&object["spec"], Path::Root.child("spec"));
    for (field, told) in [
        ("attachRequired", "attachedRequired"),
        ("podInfoOnMount", "podInfoOnMount"),
        ("storageCapacity", "storageCapacity"),
    ] {
        if spec[field].is_null() {
            errors.required(&path.child(told), "");
        }
    }
    if let Some(policy) = spec["fsGroupPolicy"].as_str() {
        let known = ["File", "None", "ReadWriteOnceWithFSType"];
        errors.one_of(&path.child("fsGroupPolicy"), policy, &known);
    }
    token_requests(&spec["tokenRequests"], &path.child("tokenRequests"), &mut errors);
    for mode in spec["volumeLifecycleModes"].items() {
        errors.one_of(&path.child("volumeLifecycleModes"), mode.text(), &["Persistent", "Ephemeral"]);
    }
    if spec["seLinuxMount"].is_null() {
        errors.required(&path.child("seLinuxMount"), "");
    }
    let period = &spec["nodeAllocatableUpdatePeriodSeconds"];
    if let Some(seconds) = period.as_i64().filter(|seconds| *seconds < LEAST_PERIOD) {
        let why = "must be greater than or equal to 10 seconds";
        errors.invalid(&path.child("nodeAllocatableUpdatePeriodSeconds"), seconds, why);
    }
    let in_secrets = &spec["serviceAccountTokenInSecrets"];
    if !in_secrets.is_null() && spec["tokenRequests"].items().is_empty() {
        let why = "serviceAccountTokenInSecrets is set but no tokenRequests are specified";
        errors.invalid(&path.child("serviceAccountTokenInSecrets"), in_secrets.clone(), why);
    }
    errors
}

/// One token for an audience.
fn token_requests(requests: &Value, path: &Path<'_>, errors: &mut Errors) {
    let mut audiences: HashSet<&str> = HashSet::new();
    for (at, request) in requests.items().iter().enumerate() {
        let here = path.index(at);
        let audience = request["audience"].text();
        if audiences.contains(&audience) {
            errors.duplicate(&here.child("audience"), audience);
            continue;
        }
        audiences.insert(audience);
        let Some(seconds) = request["expirationSeconds"].as_i64() else { continue };
        let place = here.child("expirationSeconds");
        if seconds < LEAST_TOKEN {
            errors.invalid(&place, seconds, "may not specify a duration less than 10 minutes");
        }
        if seconds > MOST_TOKEN {
            errors.invalid(&place, seconds, "may not specify a duration larger than 2^32 seconds");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_token_for_an_audience() {
        for (requests, expected) in [
            (value!([{"audience": "a"}, {"audience": "b", "expirationSeconds": 600}]), ""),
            (
                value!([{"audience": "a"}, {"audience": "a", "expirationSeconds": 1}]),
                "t[1].audience: Duplicate value: \"a\"",
            ),
            (
                value!([{"audience": "", "expirationSeconds": 1}]),
                "t[0].expirationSeconds: Invalid value: 1: may not specify a duration less than 10 minutes",
            ),
        ] {
            let mut errors = Errors::new();
            token_requests(&requests, &Path::Root.child("t"), &mut errors);
            assert_eq!(errors.iter().map(ToString::to_string).collect::<String>(), expected);
        }
    }
}
