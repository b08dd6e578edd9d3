//! Probes and lifecycle hooks.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apimachinery::validation::http_header_name;

use crate::rules;

/// Lifecycle and probes of a container that may have them.
pub(super) fn of_container(container: &Value, grace: i64, path: &Path<'_>, errors: &mut Errors) {
    let lifecycle = path.child("lifecycle");
    for hook in ["postStart", "preStop"] {
        if !container["lifecycle"][hook].is_null() {
            handler(&container["lifecycle"][hook], grace, &lifecycle.child(hook), errors);
        }
    }
    for field in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let probe = &container[field];
        if probe.is_null() {
            continue;
        }
        let here = path.child(field);
        self::probe(probe, grace, &here, errors);
        if field == "readinessProbe" {
            if let Some(seconds) = probe["terminationGracePeriodSeconds"].as_i64() {
                errors.invalid(
                    &here.child("terminationGracePeriodSeconds"),
                    seconds,
                    "must not be set for readinessProbes",
                );
            }
        } else if let Some(threshold) = probe["successThreshold"].as_i64().filter(|number| *number != 1) {
            errors.invalid(&here.child("successThreshold"), threshold, "must be 1");
        }
    }
}

fn probe(probe: &Value, grace: i64, path: &Path<'_>, errors: &mut Errors) {
    handler(probe, grace, path, errors);
    for field in
        ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"]
    {
        rules::non_negative(&path.child(field), &probe[field], errors);
    }
    if let Some(seconds) = probe["terminationGracePeriodSeconds"].as_i64().filter(|seconds| *seconds <= 0) {
        errors.invalid(&path.child("terminationGracePeriodSeconds"), seconds, "must be greater than 0");
    }
}

/// Exactly one way to act or to ask.
fn handler(handler: &Value, grace: i64, path: &Path<'_>, errors: &mut Errors) {
    let mut found = false;
    for field in ["exec", "httpGet", "tcpSocket", "grpc", "sleep"] {
        let action = &handler[field];
        if action.is_null() {
            continue;
        }
        let here = path.child(field);
        if found {
            errors.forbidden(&here, "may not specify more than 1 handler type");
            continue;
        }
        found = true;
        match field {
            "exec" if action["command"].items().is_empty() => errors.required(&here.child("command"), ""),
            "exec" => {}
            "httpGet" => http_get(action, &here, errors),
            "sleep" => sleep(action, grace, &here, errors),
            _ => rules::port(&here.child("port"), &action["port"], errors),
        }
    }
    if !found {
        errors.required(path, "must specify a handler type");
    }
}

fn http_get(action: &Value, path: &Path<'_>, errors: &mut Errors) {
    rules::required(&path.child("path"), &action["path"], errors);
    rules::port(&path.child("port"), &action["port"], errors);
    errors.one_of(&path.child("scheme"), action["scheme"].text(), &["HTTP", "HTTPS"]);
    for header in action["httpHeaders"].items() {
        let name = header["name"].text();
        errors.check(&path.child("httpHeaders"), name, http_header_name(name));
    }
}

fn sleep(action: &Value, grace: i64, path: &Path<'_>, errors: &mut Errors) {
    let seconds = action["seconds"].as_i64().unwrap_or(0);
    if seconds < 0 || seconds > grace {
        let why = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        errors.invalid(path, seconds, &why);
    }
}
