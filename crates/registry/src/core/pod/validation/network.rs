//! Names of hosts, DNS and ports of the node.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apimachinery::validation::{dns1123_subdomain, dns1123_subdomain_with_underscore};

use super::Owner;
use crate::rules::addresses::valid_ip;

/// DNS policies, as messages list them.
pub(super) const DNS_POLICIES: [&str; 4] = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];

const MOST_SERVERS: usize = 3;
const MOST_SEARCHES: usize = 32;
const MOST_SEARCH_BYTES: usize = 2048;

/// Names that stand for hosts.
pub fn hostname_rule(name: &str) -> Vec<String> {
    dns1123_subdomain(name)
}

/// On the host's network a port of a container is that of the host. A template
/// may leave it to the pods.
pub(super) fn host_ports(spec: &Value, owner: Owner<'_>, path: &Path<'_>, errors: &mut Errors) {
    if !spec["hostNetwork"].is_true() {
        return;
    }
    let field = path.child("containers");
    for (at, container) in spec["containers"].items().iter().enumerate() {
        let here = field.index(at);
        let ports = here.child("ports");
        for (nth, port) in container["ports"].items().iter().enumerate() {
            let host = port["hostPort"].as_i64().unwrap_or(0);
            let may_differ = host == 0 && matches!(owner, Owner::Template);
            if !may_differ && host != port["containerPort"].as_i64().unwrap_or(0) {
                let why = "must match `containerPort` when `hostNetwork` is true";
                errors.invalid(&ports.index(nth).child("hostPort"), host, why);
            }
        }
    }
}

/// The most letters that a host's name has in the kernel.
const MOST_HOSTNAME_BYTES: usize = 64;

/// `hostnameOverride`: a name, on a network of the pod's own.
pub(super) fn hostname_override(spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    let Some(name) = spec["hostnameOverride"].as_str() else { return };
    let field = path.child("hostnameOverride");
    if spec["setHostnameAsFQDN"].is_true() {
        errors.forbidden(&field, "may not be specified when setHostnameAsFQDN is true");
    }
    if spec["hostNetwork"].is_true() {
        errors.forbidden(&field, "may not be specified when hostNetwork is true");
    }
    if name.len() > MOST_HOSTNAME_BYTES {
        errors.too_long(&field, MOST_HOSTNAME_BYTES);
    }
    errors.check(&field, name, dns1123_subdomain(name));
}

pub(super) fn dns_config(spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    let config = &spec["dnsConfig"];
    if spec["dnsPolicy"].text() == "None" {
        if config.is_null() {
            errors.required(path, "must provide `dnsConfig` when `dnsPolicy` is None");
            return;
        }
        if config["nameservers"].items().is_empty() {
            let why = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            errors.required(&path.child("nameservers"), why);
            return;
        }
    }
    let (servers, searches) = (&config["nameservers"], &config["searches"]);
    let field = path.child("nameservers");
    if servers.items().len() > MOST_SERVERS {
        errors.invalid(
            &field,
            servers.clone(),
            &format!("must not have more than {MOST_SERVERS} nameservers"),
        );
    }
    for (at, server) in servers.items().iter().enumerate() {
        valid_ip(&field.index(at), server.text(), &[], errors);
    }
    let field = path.child("searches");
    if searches.items().len() > MOST_SEARCHES {
        let why = format!("must not have more than {MOST_SEARCHES} search paths");
        errors.invalid(&field, searches.clone(), &why);
    }
    let bytes: usize = searches.items().iter().map(|search| search.text().len() + 1).sum();
    if bytes.saturating_sub(1) > MOST_SEARCH_BYTES {
        let why = format!(
            "must not have more than {MOST_SEARCH_BYTES} characters (including spaces) in the search list"
        );
        errors.invalid(&field, searches.clone(), &why);
    }
    for (at, search) in searches.items().iter().enumerate() {
        let name = search.text();
        if name != "." {
            let name = name.strip_suffix('.').unwrap_or(name);
            errors.check(&field.index(at), name, dns1123_subdomain_with_underscore(name));
        }
    }
    let field = path.child("options");
    for (at, option) in config["options"].items().iter().enumerate() {
        if option["name"].text().is_empty() {
            errors.required(&field.index(at), "must not be empty");
        }
    }
}

pub(super) fn host_aliases(aliases: &Value, path: &Path<'_>, errors: &mut Errors) {
    for (at, alias) in aliases.items().iter().enumerate() {
        let here = path.index(at);
        valid_ip(&here.child("ip"), alias["ip"].text(), &[], errors);
        let names = here.child("hostnames");
        for (nth, name) in alias["hostnames"].items().iter().enumerate() {
            errors.check(&names.index(nth), name.text(), hostname_rule(name.text()));
        }
    }
}
