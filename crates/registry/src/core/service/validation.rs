//! Validation of Services.

use std::collections::HashSet;

use apimachinery::Value;
use apimachinery::field::{Errors, Named, Path};
use apimachinery::validation::{dns1123_label, dns1123_subdomain, in_range, meta, qualified_name};

use super::{cluster_ips, defaults};
use crate::rules::addresses::{valid_cidr, valid_ip};
use crate::rules::{internal, non_special_ip, port};

const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];
/// The longest time that a client sticks to a pod, in seconds.
const MOST_STICKY: i64 = 86_400;

/// How traffic may prefer what is near, as messages list it.
const DISTRIBUTIONS: [&str; 3] = ["PreferClose", "PreferSameZone", "PreferSameNode"];
const FOR_BALANCERS: &str = "may only be used when `type` is 'LoadBalancer'";

pub(super) const TOPOLOGY_HINTS: &str = "service.kubernetes.io/topology-aware-hints";
pub(super) const TOPOLOGY_MODE: &str = "service.kubernetes.io/topology-mode";
const SOURCE_RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";

/// Everything of a Service but its metadata, with the addresses it is given;
/// addresses and ranges of `old` are let be.
pub fn service(object: &Value, old: Option<&Value>) -> Errors {
    let mut errors = Errors::new();
    let annotations = &object["metadata"]["annotations"];
    if let (Some(mode), Some(hints)) =
        (annotations[TOPOLOGY_MODE].as_str(), annotations[TOPOLOGY_HINTS].as_str())
        && mode != hints
    {
        let metadata = Path::Root.child("metadata");
        let field = metadata.child("annotations");
        let why = format!("must match annotations[{TOPOLOGY_HINTS}] when both are specified");
        errors.invalid(&field.key(TOPOLOGY_MODE), mode, &why);
    }
    let (spec, path) = (&object["spec"], Path::Root.child("spec"));
    let kind = spec["type"].text();
    let ports = path.child("ports");
    if spec["ports"].items().is_empty() && !defaults::is_headless(object) && kind != "ExternalName" {
        errors.required(&ports, "");
    }
    by_type(object, &path, &mut errors);
    let mut names: HashSet<&str> = HashSet::new();
    let many = spec["ports"].items().len() > 1;
    for (at, entry) in spec["ports"].items().iter().enumerate() {
        let here = ports.index(at);
        service_port(entry, many, &mut names, &here, &mut errors);
    }
    if !spec["selector"].is_null() {
        meta::labels(&spec["selector"], &path.child("selector"), &mut errors);
    }
    affinity(spec, &path, &mut errors);
    cluster_ips::validate(object, old, &mut errors);
    let old = old.unwrap_or(&Value::Null);
    external_ips(spec, &old["spec"], &path.child("externalIPs"), &mut errors);
    match kind {
        "" => errors.required(&path.child("type"), ""),
        kind => errors.one_of(&path.child("type"), kind, &TYPES),
    }
    unused_node_ports(object, &ports, &mut errors);
    same_ports(spec, &ports, &mut errors);
    source_ranges(object, old, &path, &mut errors);
    balancer_fields(spec, &path, &mut errors);
    external_policy(object, &path, &mut errors);
    internal_policy(spec, &path.child("internalTrafficPolicy"), &mut errors);
    if let Some(preference) = spec["trafficDistribution"].as_str() {
        errors.one_of_texts(&path.child("trafficDistribution"), preference, &DISTRIBUTIONS);
    }
    errors
}

fn by_type(object: &Value, path: &Path<'_>, errors: &mut Errors) {
    let spec = &object["spec"];
    match spec["type"].text() {
        "LoadBalancer" | "NodePort" if defaults::is_headless(object) => {
            let list = path.child("clusterIPs");
            let why = format!("may not be set to 'None' for {} services", spec["type"].text());
            errors.invalid(&list.index(0), "None", &why);
        }
        "ExternalName" => {
            if !spec["clusterIPs"].items().is_empty() {
                errors.forbidden(&path.child("clusterIPs"), "may not be set for ExternalName services");
            }
            for field in ["ipFamilies", "ipFamilyPolicy"] {
                if !crate::rules::is_empty(&spec[field]) {
                    errors.forbidden(&path.child(field), "may not be set for ExternalName services");
                }
            }
            let name = spec["externalName"].text();
            let name = name.strip_suffix('.').unwrap_or(name);
            let field = path.child("externalName");
            if name.is_empty() {
                errors.required(&field, "");
            } else {
                errors.check(&field, name, dns1123_subdomain(name));
            }
        }
        _ => {}
    }
}

fn service_port<'a>(
    entry: &'a Value,
    named: bool,
    names: &mut HashSet<&'a str>,
    path: &Path<'_>,
    errors: &mut Errors,
) {
    let name = entry["name"].text();
    let field = path.child("name");
    if named && name.is_empty() {
        errors.required(&field, "");
    } else if !name.is_empty() {
        errors.check(&field, name, dns1123_label(name));
        if !names.insert(name) {
            errors.duplicate(&field, name);
        }
    }
    let number = entry["port"].as_i64().unwrap_or(0);
    for why in in_range(number, 1, 65535) {
        errors.invalid(&path.child("port"), number, &why);
    }
    match entry["protocol"].text() {
        "" => errors.required(&path.child("protocol"), ""),
        protocol => errors.one_of(&path.child("protocol"), protocol, &PROTOCOLS),
    }
    port(&path.child("targetPort"), &entry["targetPort"], errors);
    if let Some(protocol) = entry["appProtocol"].as_str() {
        errors.check(&path.child("appProtocol"), protocol, qualified_name(protocol));
    }
}

fn affinity(spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    let affinity = spec["sessionAffinity"].text();
    match affinity {
        "" => errors.required(&path.child("sessionAffinity"), ""),
        text => errors.one_of(&path.child("sessionAffinity"), text, &["ClientIP", "None"]),
    }
    let (config, field) = (&spec["sessionAffinityConfig"], path.child("sessionAffinityConfig"));
    if affinity == "ClientIP" {
        let why = "when session affinity type is ClientIP";
        let client = field.child("clientIP");
        let place = client.child("timeoutSeconds");
        if config.is_null() {
            errors.required(&field, why);
        } else if config["clientIP"].is_null() {
            errors.required(&client, why);
        } else {
            match config["clientIP"]["timeoutSeconds"].as_i64() {
                None => errors.required(&place, why),
                Some(seconds) if seconds <= 0 || seconds > MOST_STICKY => {
                    let why = format!("must be greater than 0 and less than {MOST_STICKY}");
                    errors.invalid(&place, seconds, &why);
                }
                Some(_) => {}
            }
        }
    } else if affinity == "None" && !config.is_null() {
        errors.forbidden(&field, "must not be set when session affinity is None");
    }
}

fn external_ips(spec: &Value, old: &Value, path: &Path<'_>, errors: &mut Errors) {
    let known: Vec<&str> = old["externalIPs"].items().iter().map(Value::text).collect();
    for (at, address) in spec["externalIPs"].items().iter().enumerate() {
        let (here, text) = (path.index(at), address.text());
        let before = errors.len();
        valid_ip(&here, text, &known, errors);
        if errors.len() == before {
            non_special_ip(&here, text, errors);
        }
    }
}

/// Types without node ports have none.
fn unused_node_ports(object: &Value, path: &Path<'_>, errors: &mut Errors) {
    let spec = &object["spec"];
    if spec["type"].text() == "ClusterIP" {
        for (at, entry) in spec["ports"].items().iter().enumerate() {
            if entry["nodePort"].as_i64().unwrap_or(0) != 0 {
                let why = "may not be used when `type` is 'ClusterIP'";
                errors.forbidden(&path.index(at).child("nodePort"), why);
            }
        }
    }
    let mut taken: HashSet<(&str, i64)> = HashSet::new();
    for (at, entry) in spec["ports"].items().iter().enumerate() {
        let key = (entry["protocol"].text(), entry["nodePort"].as_i64().unwrap_or(0));
        if key.1 == 0 {
            continue;
        }
        if taken.contains(&key) {
            errors.duplicate(&path.index(at).child("nodePort"), key.1);
        }
        taken.insert(key);
    }
}

/// A protocol and number occur once.
fn same_ports(spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    let mut taken: HashSet<(&str, i64)> = HashSet::new();
    for (at, entry) in spec["ports"].items().iter().enumerate() {
        let key = (entry["protocol"].text(), entry["port"].as_i64().unwrap_or(0));
        if taken.contains(&key) {
            let bare = apimachinery::value!({"protocol": key.0, "port": key.1});
            errors.duplicate(&path.index(at), internal::of("ServicePort", &bare));
        }
        taken.insert(key);
    }
}

/// Ranges of clients, in the field or, where that is empty, in an annotation.
fn source_ranges(object: &Value, old: &Value, path: &Path<'_>, errors: &mut Errors) {
    let spec = &object["spec"];
    let balances = spec["type"].text() == "LoadBalancer";
    let ranges = spec["loadBalancerSourceRanges"].items();
    if !ranges.is_empty() {
        let field = path.child("LoadBalancerSourceRanges");
        if !balances {
            errors.forbidden(&field, FOR_BALANCERS);
        }
        let before = old["spec"]["loadBalancerSourceRanges"].items();
        let known: Vec<&str> = before.iter().map(|range| range.text().trim()).collect();
        for (at, range) in ranges.iter().enumerate() {
            valid_cidr(&field.index(at), range.text().trim(), &known, errors);
        }
        return;
    }
    let Some(annotation) = object["metadata"]["annotations"][SOURCE_RANGES].as_str() else { return };
    let metadata = Path::Root.child("metadata");
    let annotations = metadata.child("annotations");
    let field = annotations.key(SOURCE_RANGES);
    if !balances {
        errors.forbidden(&field, FOR_BALANCERS);
    }
    if !annotation.trim().is_empty()
        && old["metadata"]["annotations"][SOURCE_RANGES].as_str() != Some(annotation)
    {
        for range in annotation.trim().split(',') {
            valid_cidr(&field, range.trim(), &[], errors);
        }
    }
}

fn balancer_fields(spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    let balances = spec["type"].text() == "LoadBalancer";
    let allocates = &spec["allocateLoadBalancerNodePorts"];
    let field = path.child("allocateLoadBalancerNodePorts");
    if !balances && !allocates.is_null() {
        errors.forbidden(&field, FOR_BALANCERS);
    }
    if balances && allocates.is_null() {
        errors.required(&field, "");
    }
    if let Some(name) = spec["loadBalancerClass"].as_str() {
        let field = path.child("loadBalancerClass");
        if balances {
            errors.check(&field, name, qualified_name(name));
        } else {
            errors.forbidden(&field, FOR_BALANCERS);
        }
    }
}

fn external_policy(object: &Value, path: &Path<'_>, errors: &mut Errors) {
    let spec = &object["spec"];
    let (policy, field) = (spec["externalTrafficPolicy"].text(), path.child("externalTrafficPolicy"));
    if defaults::is_external(object) {
        match policy {
            "" => errors.required(&field, ""),
            policy => errors.one_of(&field, policy, &["Cluster", "Local"]),
        }
    } else if !policy.is_empty() {
        errors.invalid(&field, Named(policy), "may only be set for externally-accessible services");
    }
    let (port, field) =
        (spec["healthCheckNodePort"].as_i64().unwrap_or(0), path.child("healthCheckNodePort"));
    if !defaults::needs_health_check_port(object) {
        if port != 0 {
            let why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            errors.invalid(&field, port, why);
        }
    } else if port == 0 {
        errors.required(&field, "");
    } else {
        for why in in_range(port, 1, 65535) {
            errors.invalid(&field, port, &why);
        }
    }
}

fn internal_policy(spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    let policy = spec["internalTrafficPolicy"].text();
    if policy.is_empty() {
        if matches!(spec["type"].text(), "NodePort" | "LoadBalancer" | "ClusterIP") {
            errors.required(path, "");
        }
        return;
    }
    errors.one_of(path, policy, &["Cluster", "Local"]);
}

/// Everything of a changed Service but its metadata.
pub fn update(object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    let spec = Path::Root.child("spec");
    cluster_ips::validate_change(object, old, &mut errors);
    let balances = |service: &Value| service["spec"]["type"].text() == "LoadBalancer";
    let (class, before) = (&object["spec"]["loadBalancerClass"], &old["spec"]["loadBalancerClass"]);
    if balances(object) && balances(old) && class != before {
        errors.invalid(&spec.child("loadBalancerClass"), class.clone(), "may not change once set");
    }
    let port = |service: &Value| service["spec"]["healthCheckNodePort"].as_i64().unwrap_or(0);
    let checked = defaults::needs_health_check_port(object) && defaults::needs_health_check_port(old);
    if checked && port(object) != port(old) {
        errors.forbidden(&spec.child("healthCheckNodePort"), "field is immutable");
    }
    errors.append(service(object, Some(old)));
    errors
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    fn told(spec: Value) -> Vec<String> {
        let mut whole = value!({"type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
            "ports": [{"port": 80, "targetPort": 80, "protocol": "TCP"}]});
        for (name, value) in spec.members() {
            whole.set(name.to_owned(), value.clone());
        }
        service(&value!({"spec": whole}), None).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn fields_belong_to_types() {
        for (spec, expected) in [
            (value!({}), vec![]),
            (value!({"ports": []}), vec!["spec.ports: Required value"]),
            (value!({"ports": [], "clusterIP": "None", "clusterIPs": ["None"]}), vec![]),
            (
                value!({"loadBalancerClass": "a.example/b"}),
                vec!["spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'"],
            ),
            (
                value!({"externalIPs": ["169.254.1.1"], "externalTrafficPolicy": "Cluster"}),
                vec![
                    "spec.externalIPs[0]: Invalid value: \"169.254.1.1\": may not be in the link-local range (169.254.0.0/16, fe80::/10)",
                ],
            ),
            (
                value!({"healthCheckNodePort": 31000}),
                vec![
                    "spec.healthCheckNodePort: Invalid value: 31000: may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
                ],
            ),
            (
                value!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 0}}}),
                vec![
                    "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 0: must be greater than 0 and less than 86400",
                ],
            ),
        ] {
            assert_eq!(told(spec), expected);
        }
    }
}
