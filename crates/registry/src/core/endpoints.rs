//! Endpoints.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apimachinery::validation::{dns1123_label, dns1123_subdomain, parse_ip_sloppy, port_number};
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

use crate::rules::addresses::{valid_ip, warn_of_ip};
use crate::rules::{non_special_ip, qualified};

/// Endpoints.
pub struct Endpoints;

/// What every request of this version is told.
pub const DEPRECATION: &str = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice";

/// Whose objects nobody is warned about.
const MANAGED_BY: (&str, &str) = ("endpoints.kubernetes.io/managed-by", "endpoint-controller");

const ADDRESSES: [&str; 2] = ["addresses", "notReadyAddresses"];

impl Strategy for Endpoints {
    fn creates_on_update(&self) -> bool {
        true
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        let mut errors = Errors::new();
        validate(&object["subsets"], &mut errors);
        errors
    }

    /// What was accepted once may stay.
    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Errors {
        if object["subsets"] == old["subsets"] {
            Errors::new()
        } else {
            self.validate_create(context, object)
        }
    }

    fn warnings(&self, _: &Context<'_>, object: &Value, _: Option<&Value>) -> Vec<String> {
        let mut warnings = Vec::new();
        if object["metadata"]["labels"][MANAGED_BY.0].text() == MANAGED_BY.1 {
            return warnings;
        }
        let subsets = Path::Root.child("subsets");
        for (at, subset) in object["subsets"].items().iter().enumerate() {
            let here = subsets.index(at);
            for list in ADDRESSES {
                let field = here.child(list);
                for (nth, address) in subset[list].items().iter().enumerate() {
                    warn_of_ip(&field.index(nth).child("ip"), address["ip"].text(), &mut warnings);
                }
            }
        }
        warnings
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::network::endpoints(object, now)
    }
}

fn validate(subsets: &Value, errors: &mut Errors) {
    let path = Path::Root.child("subsets");
    for (at, subset) in subsets.items().iter().enumerate() {
        let here = path.index(at);
        if ADDRESSES.iter().all(|list| subset[*list].items().is_empty()) {
            errors.required(&here, "must specify `addresses` or `notReadyAddresses`");
        }
        for list in ADDRESSES {
            let field = here.child(list);
            for (nth, address) in subset[list].items().iter().enumerate() {
                validate_address(address, &field.index(nth), errors);
            }
        }
        let (ports, field) = (subset["ports"].items(), here.child("ports"));
        for (nth, port) in ports.iter().enumerate() {
            validate_port(port, ports.len() > 1, &field.index(nth), errors);
        }
    }
}

fn validate_address(address: &Value, path: &Path<'_>, errors: &mut Errors) {
    let (ip, field) = (address["ip"].text(), path.child("ip"));
    valid_ip(&field, ip, &[], errors);
    let host = address["hostname"].text();
    if !host.is_empty() {
        errors.check(&path.child("hostname"), host, dns1123_label(host));
    }
    if let Some(node) = address["nodeName"].as_str() {
        errors.check(&path.child("nodeName"), node, dns1123_subdomain(node));
    }
    if parse_ip_sloppy(ip).is_none() {
        errors.invalid(&field, ip, "must be a valid IP address");
    }
    non_special_ip(&field, ip, errors);
}

fn validate_port(port: &Value, named: bool, path: &Path<'_>, errors: &mut Errors) {
    let name = port["name"].text();
    if !name.is_empty() {
        errors.check(&path.child("name"), name, dns1123_label(name));
    } else if named {
        errors.required(&path.child("name"), "");
    }
    let number = port["port"].as_i64().unwrap_or(0);
    for why in port_number(number) {
        errors.invalid(&path.child("port"), number, &why);
    }
    match port["protocol"].text() {
        "" => errors.required(&path.child("protocol"), ""),
        protocol => errors.one_of(&path.child("protocol"), protocol, &["SCTP", "TCP", "UDP"]),
    }
    if let Some(protocol) = port["appProtocol"].as_str() {
        qualified(&path.child("appProtocol"), protocol, errors);
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn subsets_have_addresses_and_several_ports_names() {
        for (subset, told) in [
            (value!({"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80, "protocol": "TCP"}]}), vec![]),
            (value!({}), vec!["subsets[0]"]),
            (
                value!({"addresses": [{"ip": "x"}]}),
                vec!["subsets[0].addresses[0].ip", "subsets[0].addresses[0].ip"],
            ),
            (
                value!({"notReadyAddresses": [{"ip": "127.0.0.1"}]}),
                vec!["subsets[0].notReadyAddresses[0].ip"],
            ),
            (
                value!({"addresses": [{"ip": "10.0.0.1"}], "ports": [
                    {"port": 80, "protocol": "TCP"}, {"name": "a", "port": 0, "protocol": "TCP"}
                ]}),
                vec!["subsets[0].ports[0].name", "subsets[0].ports[1].port"],
            ),
        ] {
            let mut errors = Errors::new();
            validate(&Value::Array(vec![subset]), &mut errors);
            let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
            assert_eq!(fields, told);
        }
    }
}
