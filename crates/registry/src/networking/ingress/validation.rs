//! What an Ingress must say, in upstream's order.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apimachinery::validation::{
    dns1123_label, dns1123_subdomain, parse_ip_sloppy, port_name, port_number, wildcard_dns1123_subdomain,
};

use crate::names::required_segment;
use crate::rules::addresses::valid_ip;
use crate::rules::required;

const PATH_TYPES: [&str; 3] = ["Exact", "ImplementationSpecific", "Prefix"];
const WRONG_SEQUENCES: [&str; 5] = ["//", "/./", "/../", "%2f", "%2F"];
const WRONG_ENDS: [&str; 2] = ["/..", "/."];
const NOT_AN_IP: &str = "must be a DNS name, not an IP address";

/// Everything of the spec; what `old` had wrong may stay wrong.
pub(super) fn validate(object: &Value, old: Option<&Value>) -> Errors {
    let mut errors = Errors::new();
    let (spec, path) = (&object["spec"], Path::Root.child("spec"));
    if spec["rules"].items().is_empty() && spec["defaultBackend"].is_null() {
        let why = "either `defaultBackend` or `rules` must be specified";
        errors.invalid(&path, spec["rules"].clone(), why);
    }
    if !spec["defaultBackend"].is_null() {
        backend(&spec["defaultBackend"], &path.child("defaultBackend"), &mut errors);
    }
    let tolerant = old.is_some_and(|old| old["spec"]["rules"].items().iter().any(is_wrong_wildcard));
    let rules = path.child("rules");
    for (at, each) in spec["rules"].items().iter().enumerate() {
        rule(each, tolerant, &rules.index(at), &mut errors);
    }
    let secrets = old.is_none_or(|old| {
        old["spec"]["tls"].items().iter().all(|tls| wrong_secret(tls["secretName"].text()).is_empty())
    });
    let list = path.child("tls");
    for (at, each) in spec["tls"].items().iter().enumerate() {
        tls(each, secrets, &list.index(at), &mut errors);
    }
    if let Some(class) = spec["ingressClassName"].as_str() {
        errors.check(&path.child("ingressClassName"), class, dns1123_subdomain(class));
    }
    errors
}

/// Addresses that were there before are not looked at again.
pub(super) fn validate_status(object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    let points = |object: &'_ Value| object["status"]["loadBalancer"]["ingress"].items().to_vec();
    let before = points(old);
    let before: Vec<&str> = before.iter().map(|point| point["ip"].text()).collect();
    let status = Path::Root.child("status");
    let balancer = status.child("loadBalancer");
    let list = balancer.child("ingress");
    for (at, point) in points(object).iter().enumerate() {
        let here = list.index(at);
        let address = point["ip"].text();
        if !address.is_empty() {
            valid_ip(&here.child("ip"), address, &before, &mut errors);
        }
        let name = point["hostname"].text();
        if !name.is_empty() {
            let place = here.child("hostname");
            errors.check(&place, name, dns1123_subdomain(name));
            if parse_ip_sloppy(name).is_some() {
                errors.invalid(&place, name, NOT_AN_IP);
            }
        }
    }
    errors
}

fn is_wrong_wildcard(rule: &Value) -> bool {
    let mut errors = Errors::new();
    if rule["host"].text().contains('*') {
        paths(rule, &Path::Root, &mut errors);
    }
    !errors.is_empty()
}

fn wrong_secret(name: &str) -> Vec<String> {
    if name.is_empty() { Vec::new() } else { dns1123_subdomain(name) }
}

fn host_rule(host: &str) -> Vec<String> {
    if host.contains('*') { wildcard_dns1123_subdomain(host) } else { dns1123_subdomain(host) }
}

fn rule(rule: &Value, tolerant: bool, path: &Path<'_>, errors: &mut Errors) {
    let host = rule["host"].text();
    if !host.is_empty() {
        let place = path.child("host");
        if parse_ip_sloppy(host).is_some() {
            errors.invalid(&place, host, NOT_AN_IP);
        }
        errors.check(&place, host, host_rule(host));
    }
    if !(tolerant && host.contains('*')) {
        paths(rule, path, errors);
    }
}

fn paths(rule: &Value, path: &Path<'_>, errors: &mut Errors) {
    let http = &rule["http"];
    if http.is_null() {
        return;
    }
    let here = path.child("http");
    let list = here.child("paths");
    if http["paths"].items().is_empty() {
        errors.required(&list, "");
    }
    for (at, each) in http["paths"].items().iter().enumerate() {
        http_path(each, &list.index(at), errors);
    }
}

fn http_path(entry: &Value, path: &Path<'_>, errors: &mut Errors) {
    let (text, place) = (entry["path"].text(), path.child("path"));
    let not_absolute = "must be an absolute path";
    match entry["pathType"].as_str() {
        None => {
            errors.required(&path.child("pathType"), "pathType must be specified");
            return;
        }
        Some("Exact" | "Prefix") => {
            if !text.starts_with('/') {
                errors.invalid(&place, text, not_absolute);
            }
            for part in WRONG_SEQUENCES.iter().filter(|part| text.contains(**part)) {
                errors.invalid(&place, text, &format!("must not contain '{part}'"));
            }
            for end in WRONG_ENDS.iter().filter(|end| text.ends_with(**end)) {
                errors.invalid(&place, text, &format!("cannot end with '{end}'"));
            }
        }
        Some("ImplementationSpecific") => {
            if !text.is_empty() && !text.starts_with('/') {
                errors.invalid(&place, text, not_absolute);
            }
        }
        Some(other) => errors.not_supported(&path.child("pathType"), other, &PATH_TYPES),
    }
    backend(&entry["backend"], &path.child("backend"), errors);
}

fn backend(backend: &Value, path: &Path<'_>, errors: &mut Errors) {
    let (service, resource) = (&backend["service"], &backend["resource"]);
    match (service.is_null(), resource.is_null()) {
        (false, false) => errors.invalid(path, "", "cannot set both resource and service backends"),
        (true, true) => errors.invalid(path, "", "resource or service backend is required"),
        (true, false) => reference(resource, &path.child("resource"), errors),
        (false, true) => {
            let here = path.child("service");
            if required(&here.child("name"), &service["name"], errors) {
                let name = service["name"].text();
                errors.check(&here.child("name"), name, dns1123_label(name));
            }
            service_port(&service["port"], path, &here.child("port"), errors);
        }
    }
}

/// A port by name or number; `backend` is where upstream tells of both or none.
fn service_port(port: &Value, backend: &Path<'_>, path: &Path<'_>, errors: &mut Errors) {
    let (name, number) = (port["name"].text(), port["number"].as_i64().unwrap_or(0));
    match (name, number) {
        ("", 0) => errors.required(backend, "port name or number is required"),
        ("", number) => {
            for why in port_number(number) {
                errors.invalid(&path.child("number"), number, &why);
            }
        }
        (name, 0) => errors.check(&path.child("name"), name, port_name(name)),
        _ => errors.invalid(backend, "", "cannot set both port name & port number"),
    }
}

/// A TypedLocalObjectReference.
fn reference(reference: &Value, path: &Path<'_>, errors: &mut Errors) {
    if let Some(group) = reference["apiGroup"].as_str() {
        errors.check(&path.child("apiGroup"), group, dns1123_subdomain(group));
    }
    for field in ["kind", "name"] {
        required_segment(&path.child(field), &reference[field], errors);
    }
}

fn tls(tls: &Value, secrets: bool, path: &Path<'_>, errors: &mut Errors) {
    let hosts = path.child("hosts");
    for (at, host) in tls["hosts"].items().iter().enumerate() {
        errors.check(&hosts.index(at), host.text(), host_rule(host.text()));
    }
    if secrets {
        let name = tls["secretName"].text();
        errors.check(&path.child("secretName"), name, wrong_secret(name));
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    fn told(spec: &Value, old: Option<&Value>) -> Vec<String> {
        let old = old.map(|spec| value!({"spec": spec.clone()}));
        validate(&value!({"spec": spec.clone()}), old.as_ref()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn backends_are_services_or_resources() {
        let service = |port: Value| value!({"service": {"name": "s", "port": port}});
        for (backend, expected) in [
            (service(value!({"number": 80})), ""),
            (service(value!({"name": "http"})), ""),
            (
                service(value!({"number": 80, "name": "x"})),
                "spec.defaultBackend: Invalid value: \"\": cannot set both port name & port number",
            ),
            (
                service(value!({"number": 70000})),
                "spec.defaultBackend.service.port.number: Invalid value: 70000: must be between 1 and 65535, inclusive",
            ),
            (value!({"resource": {"kind": "K", "name": "n"}}), ""),
            (value!({"resource": {"kind": "K"}}), "spec.defaultBackend.resource.name: Required value"),
            (value!({}), "spec.defaultBackend: Invalid value: \"\": resource or service backend is required"),
        ] {
            assert_eq!(told(&value!({"defaultBackend": backend}), None).join(""), expected);
        }
    }

    #[test]
    fn what_was_wrong_may_stay_wrong() {
        let spec = value!({
            "rules": [{"host": "*.ex.com", "http": {"paths": []}}],
            "tls": [{"secretName": "Bad"}]
        });
        assert_eq!(told(&spec, None).len(), 2);
        assert_eq!(told(&spec, Some(&spec)).len(), 0);
    }

    #[test]
    fn addresses_of_balancers_are_checked_where_they_are_new() {
        let status =
            |ip: &str| value!({"status": {"loadBalancer": {"ingress": [{"ip": ip, "hostname": "1.2.3.4"}]}}});
        let told = |new: &str, old: &str| validate_status(&status(new), &status(old)).len();
        assert_eq!(told("1.2.3.4", "x"), 1);
        assert_eq!(told("x", "1.2.3.4"), 2);
        assert_eq!(told("x", "x"), 1);
    }
}
