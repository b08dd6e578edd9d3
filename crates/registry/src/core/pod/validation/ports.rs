//! Ports of containers.

use std::collections::HashSet;

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apimachinery::validation::{port_name, port_number};

use super::spec::enumerated;

/// Transport protocols, as messages list them.
pub const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

pub(super) fn validate(ports: &Value, path: &Path<'_>, errors: &mut Errors) {
    let mut names: HashSet<&str> = HashSet::new();
    for (at, port) in ports.items().iter().enumerate() {
        let here = path.index(at);
        let name = port["name"].text();
        if !name.is_empty() {
            let wrong = port_name(name);
            if !wrong.is_empty() {
                errors.check(&here.child("name"), name, wrong);
            } else if names.contains(&name) {
                errors.duplicate(&here.child("name"), name);
            } else {
                names.insert(name);
            }
        }
        match port["containerPort"].as_i64().unwrap_or(0) {
            0 => errors.required(&here.child("containerPort"), ""),
            number => in_range(&here.child("containerPort"), number, errors),
        }
        match port["hostPort"].as_i64().unwrap_or(0) {
            0 => {}
            number => in_range(&here.child("hostPort"), number, errors),
        }
        enumerated(&here.child("protocol"), &port["protocol"], &PROTOCOLS, errors);
    }
}

fn in_range(path: &Path<'_>, number: i64, errors: &mut Errors) {
    for why in port_number(number) {
        errors.invalid(path, number, &why);
    }
}

/// A host port is taken by one container only.
pub(super) fn conflicts(containers: &[Value], path: &Path<'_>, errors: &mut Errors) {
    let mut taken: HashSet<String> = HashSet::new();
    for (at, container) in containers.iter().enumerate() {
        let here = path.index(at);
        let list = here.child("ports");
        for (nth, port) in container["ports"].items().iter().enumerate() {
            let Some(number) = port["hostPort"].as_i64().filter(|number| *number != 0) else { continue };
            let key = format!("{}/{}/{number}", port["protocol"].text(), port["hostIP"].text());
            if taken.contains(&key) {
                errors.duplicate(&list.index(nth).child("hostPort"), key);
            } else {
                taken.insert(key);
            }
        }
    }
}
