//! Warnings about containers: fractions of bytes, variables and ports that
//! hide others.

use std::collections::{HashMap, HashSet};

use apimachinery::Value;
use apimachinery::field::{Path, quote};

use super::super::annotations::{APP_ARMOR, SECCOMP_CONTAINER};
use super::super::windows::each_container;
use super::Of;
use crate::rules::resources;

/// The containers of the pod or template at `place`.
pub(super) fn of_containers(object: &Value, of: Of, place: &Path<'_>, warnings: &mut Vec<String>) {
    let annotations = &object["metadata"]["annotations"];
    let metadata = place.child("metadata");
    let annotation = metadata.child("annotations");
    let pod = &object["spec"]["securityContext"];
    each_container(&object["spec"], &place.child("spec"), |container, path| {
        let context = &container["securityContext"];
        let key = format!("{SECCOMP_CONTAINER}{}", container["name"].text());
        if context["seccompProfile"].is_null() && !annotations[key.as_str()].is_null() {
            warnings.push(format!(
                "{}: non-functional in v1.27+; use the \"seccompProfile\" field instead",
                annotation.key(&key)
            ));
        }
        let key = format!("{APP_ARMOR}{}", container["name"].text());
        let has_field = !context["appArmorProfile"].is_null() || !pod["appArmorProfile"].is_null();
        if of == Of::Template && !has_field && !annotations[key.as_str()].is_null() {
            warnings.push(format!(
                "{}: deprecated since v1.30; use the \"appArmorProfile\" field instead",
                annotation.key(&key)
            ));
        }
        let here = path.child("resources");
        for name in ["memory", "ephemeral-storage"] {
            for field in ["limits", "requests"] {
                let amounts = here.child(field);
                let amount = &container["resources"][field][name];
                resources::warn_of_fraction(&amounts.key(name), amount, warnings);
            }
        }
        variables(&container["env"], &path.child("env"), warnings);
    });
}

fn variables(variables: &Value, path: &Path<'_>, warnings: &mut Vec<String>) {
    let mut before: HashSet<&str> = HashSet::new();
    for (at, variable) in variables.items().iter().enumerate() {
        let name = variable["name"].text();
        if before.insert(name) {
            continue;
        }
        let reference = format!("$({name})");
        let value = variable["value"].text();
        // A value that adds to the one before is fine.
        if !variable["valueFrom"].is_null() || value == reference || !value.contains(&reference) {
            warnings.push(format!(
                "{}: hides previous definition of {}, which may be dropped when using apply",
                path.index(at),
                quote(name)
            ));
        }
    }
}

/// Ports of all containers that meet.
pub(super) fn of_ports(spec: &Value, path: &Path<'_>, warnings: &mut Vec<String>) {
    let mut all: HashMap<(i64, String), Vec<(Value, String)>> = HashMap::new();
    each_container(spec, path, |container, path| {
        let ports = path.child("ports");
        for (at, port) in container["ports"].items().iter().enumerate() {
            let here = ports.index(at);
            let number = |port: &Value, field: &str| port[field].as_i64().unwrap_or(0);
            let (address, host) = (port["hostIP"].text(), number(port, "hostPort"));
            if !address.is_empty() && host == 0 {
                warnings.push(format!("{here}: hostIP set without hostPort: {}", in_go(port)));
            }
            let place = (number(port, "containerPort"), port["protocol"].text().to_owned());
            let known = all.entry(place).or_default();
            for (other, place) in &*known {
                let (other_address, other_host) = (other["hostIP"].text(), number(other, "hostPort"));
                let what = if address == other_address && host == other_host {
                    "duplicate"
                } else if host == 0 || other_host == 0 {
                    "overlapping"
                } else if host == other_host && address.is_empty() != other_address.is_empty() {
                    "dangerously ambiguous"
                } else {
                    continue;
                };
                warnings.push(format!("{here}: {what} port definition with {place}"));
            }
            known.push((port.clone(), here.to_string()));
        }
    });
}

/// A port as Go prints a struct with its names.
fn in_go(port: &Value) -> String {
    format!(
        "{{Name:{} HostPort:{} ContainerPort:{} Protocol:{} HostIP:{}}}",
        port["name"].text(),
        port["hostPort"].as_i64().unwrap_or(0),
        port["containerPort"].as_i64().unwrap_or(0),
        port["protocol"].text(),
        port["hostIP"].text()
    )
}
