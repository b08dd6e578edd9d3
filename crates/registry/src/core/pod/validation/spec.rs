//! The spec of a pod, part after part.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apimachinery::validation::{dns1123_label, dns1123_subdomain, in_range, meta};

use super::{
    Owner, affinity, containers, environment, network, pod_resources, scheduling, security, volumes, windows,
};
use crate::rules::resources;

/// The seconds that a pod without a word has to end.
const DEFAULT_GRACE: i64 = 30;

/// What parts of a spec need to know of the rest.
pub(super) struct Around<'a> {
    pub spec: &'a Value,
    /// The volumes that are valid, by name.
    pub volumes: Vec<(&'a str, &'a Value)>,
    /// Names of the pod's resource claims.
    pub claims: Vec<&'a str>,
    pub grace: i64,
}

impl Around<'_> {
    /// False where the pod has a user namespace of its own.
    pub fn host_users(&self) -> bool {
        self.spec["hostUsers"].as_bool() != Some(false)
    }
}

/// A PodSpec at `path`.
pub(super) fn spec(spec: &Value, owner: Owner<'_>, path: &Path<'_>, errors: &mut Errors) {
    let volumes = volumes::validate(&spec["volumes"], owner, &path.child("volumes"), errors);
    let claims = if let Owner::Pod { is_static: true, .. } = owner {
        for _ in spec["resourceClaims"].items() {
            errors.forbidden(&Path::Root.key(""), "static pods do not support resource claims");
        }
        Vec::new()
    } else {
        scheduling::resource_claims(&spec["resourceClaims"], &path.child("resourceClaims"), errors)
    };
    let grace = spec["terminationGracePeriodSeconds"].as_i64().unwrap_or(DEFAULT_GRACE);
    let around = Around { spec, volumes, claims, grace };
    containers::regular(&around, &path.child("containers"), errors);
    containers::init(&around, &path.child("initContainers"), errors);
    containers::ephemeral(&around, &path.child("ephemeralContainers"), errors);
    pod_resources::validate(spec, &around.claims, &path.child("resources"), errors);
    network::host_ports(spec, owner, path, errors);
    enumerated(
        &path.child("restartPolicy"),
        &spec["restartPolicy"],
        &["Always", "OnFailure", "Never"],
        errors,
    );
    enumerated(&path.child("dnsPolicy"), &spec["dnsPolicy"], &network::DNS_POLICIES, errors);
    meta::labels(&spec["nodeSelector"], &path.child("nodeSelector"), errors);
    security::of_pod(spec, path, errors);
    affinity::validate(&spec["affinity"], &path.child("affinity"), errors);
    network::dns_config(spec, &path.child("dnsConfig"), errors);
    scheduling::readiness_gates(&spec["readinessGates"], &path.child("readinessGates"), errors);
    scheduling::scheduling_gates(&spec["schedulingGates"], &path.child("schedulingGates"), errors);
    scheduling::spread_constraints(
        &spec["topologySpreadConstraints"],
        &path.child("topologySpreadConstraints"),
        errors,
    );
    windows::host_processes(spec, path, errors);
    security::host_users(spec, path, errors);
    names_and_numbers(spec, path, errors);
    operating_system(spec, path, errors);
    network::hostname_override(spec, path, errors);
    environment::file_volumes(spec, path, errors);
}

fn names_and_numbers(spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    named(spec, path, "serviceAccountName", dns1123_subdomain, errors);
    named(spec, path, "nodeName", dns1123_subdomain, errors);
    if let Some(seconds) = spec["activeDeadlineSeconds"].as_i64() {
        for why in in_range(seconds, 1, i32::MAX.into()) {
            errors.invalid(&path.child("activeDeadlineSeconds"), seconds, &why);
        }
    }
    named(spec, path, "hostname", dns1123_label, errors);
    named(spec, path, "subdomain", dns1123_label, errors);
    scheduling::tolerations(&spec["tolerations"], &path.child("tolerations"), errors);
    network::host_aliases(&spec["hostAliases"], &path.child("hostAliases"), errors);
    named(spec, path, "priorityClassName", dns1123_subdomain, errors);
    if let Some(class) = spec["runtimeClassName"].as_str() {
        errors.check(&path.child("runtimeClassName"), class, dns1123_subdomain(class));
    }
    if !spec["preemptionPolicy"].is_null() {
        let known = ["PreemptLowerPriority", "Never"];
        enumerated(&path.child("preemptionPolicy"), &spec["preemptionPolicy"], &known, errors);
    }
    if let Some(overhead) = spec["overhead"].as_object() {
        let limits = apimachinery::value!({"limits": overhead.clone()});
        resources::requirements(&path.child("overhead"), &limits, &[], errors);
    }
}

fn named(spec: &Value, path: &Path<'_>, field: &str, rule: fn(&str) -> Vec<String>, errors: &mut Errors) {
    let name = spec[field].text();
    if !name.is_empty() {
        errors.check(&path.child(field), name, rule(name));
    }
}

/// One of `known`; required.
pub(super) fn enumerated(path: &Path<'_>, value: &Value, known: &[&str], errors: &mut Errors) {
    match value.text() {
        "" => errors.required(path, ""),
        text => errors.one_of(path, text, known),
    }
}

fn operating_system(spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    if spec["os"].is_null() {
        return;
    }
    let field = path.child("os");
    match spec["os"]["name"].text() {
        "" => errors.required(&field.child("name"), ""),
        "linux" => windows::not_on_linux(spec, path, errors),
        "windows" => windows::validate(spec, path, errors),
        other => errors.not_supported(&field, other, &["linux", "windows"]),
    }
}
