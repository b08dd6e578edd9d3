//! Warnings about pods and templates: what is accepted and probably not meant.
//!
//! Their order is upstream's (pkg/api/pod/warnings.go), part by part.

mod containers;
mod placement;
mod volumes;

use std::collections::HashSet;

use apimachinery::Value;
use apimachinery::field::{Path, quote};
use apimachinery::validation::dns1123_label;

use super::annotations::SECCOMP_POD;
use crate::rules::addresses::warn_of_ip;
use crate::rules::{in_brackets, resources};

pub use placement::of_terms as of_nodes;
pub use volumes::of_claim;

/// Whose spec is looked at; a pod's AppArmor annotations become fields instead.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Pod,
    Template,
}

/// Warnings about a new pod.
pub fn of_pod(pod: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    let name = pod["metadata"]["name"].text();
    let wrong = if name.is_empty() { Vec::new() } else { dns1123_label(name) };
    if !wrong.is_empty() {
        warnings.push(format!(
            "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS \
             label is recommended: {}",
            in_brackets(&wrong)
        ));
    }
    about(pod, Of::Pod, &Path::Root, &mut warnings);
    warnings
}

/// Warnings about a pod template at `path`.
pub fn of_template(template: &Value, path: &Path<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    about(template, Of::Template, path, &mut warnings);
    warnings
}

/// Warnings about what a node says of a pod.
pub fn of_status(pod: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    let status = Path::Root.child("status");
    for list in ["podIPs", "hostIPs"] {
        let field = status.child(list);
        for (at, entry) in pod["status"][list].items().iter().enumerate() {
            warn_of_ip(&field.index(at).child("ip"), entry["ip"].text(), &mut warnings);
        }
    }
    warnings
}

/// Annotations that were fields' forerunners.
const OLD_ANNOTATIONS: [(&str, &str); 3] = [
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        "non-functional in v1.16+; use the \"priorityClassName\" field instead",
    ),
    ("security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
    (
        "security.alpha.kubernetes.io/unsafe-sysctls",
        "non-functional in v1.11+; use the \"sysctls\" field instead",
    ),
];

fn about(object: &Value, of: Of, place: &Path<'_>, warnings: &mut Vec<String>) {
    let spec = &object["spec"];
    let annotations = &object["metadata"]["annotations"];
    let path = place.child("spec");
    let metadata = place.child("metadata");
    let annotation = metadata.child("annotations");
    placement::of_nodes(spec, &path, warnings);
    for (key, _) in annotations.members() {
        if let Some((_, told)) = OLD_ANNOTATIONS.iter().find(|(old, _)| *old == key) {
            warnings.push(format!("{}: {told}", annotation.key(key)));
        }
    }
    volumes::of_volumes(&spec["volumes"], &path.child("volumes"), warnings);
    repeated(&spec["hostAliases"], &path.child("hostAliases"), "ip", warnings);
    repeated(&spec["imagePullSecrets"], &path.child("imagePullSecrets"), "name", warnings);
    let secrets = path.child("imagePullSecrets");
    for (at, secret) in spec["imagePullSecrets"].items().iter().enumerate() {
        let name = secret["name"].text();
        if name.is_empty() {
            warnings.push(format!("{}: invalid empty name {}", secrets.index(at).child("name"), quote(name)));
        }
    }
    let overhead = path.child("overhead");
    for name in ["memory", "ephemeral-storage"] {
        resources::warn_of_fraction(&overhead.key(name), &spec["overhead"][name], warnings);
    }
    if spec["securityContext"]["seccompProfile"].is_null() && !annotations[SECCOMP_POD].is_null() {
        warnings.push(format!(
            "{}: non-functional in v1.27+; use the \"seccompProfile\" field instead",
            annotation.key(SECCOMP_POD)
        ));
    }
    containers::of_containers(object, of, place, warnings);
    containers::of_ports(spec, &path, warnings);
    if spec["terminationGracePeriodSeconds"].as_i64().is_some_and(|seconds| seconds < 0) {
        let field = path.child("terminationGracePeriodSeconds");
        warnings.push(format!("{field}: must be >= 0; negative values are invalid and will be treated as 1"));
    }
    placement::of_pods(&spec["affinity"], &path.child("affinity"), warnings);
    let config = path.child("dnsConfig");
    let servers = config.child("nameservers");
    for (at, server) in spec["dnsConfig"]["nameservers"].items().iter().enumerate() {
        warn_of_ip(&servers.index(at), server.text(), warnings);
    }
    let aliases = path.child("hostAliases");
    for (at, alias) in spec["hostAliases"].items().iter().enumerate() {
        warn_of_ip(&aliases.index(at).child("ip"), alias["ip"].text(), warnings);
    }
}

/// Items with the same `field`.
fn repeated(list: &Value, path: &Path<'_>, field: &str, warnings: &mut Vec<String>) {
    let mut before: HashSet<&str> = HashSet::new();
    for (at, item) in list.items().iter().enumerate() {
        let text = item[field].text();
        if !before.insert(text) {
            let here = path.index(at);
            warnings.push(format!("{}: duplicate {field} {}", here.child(field), quote(text)));
        }
    }
}
