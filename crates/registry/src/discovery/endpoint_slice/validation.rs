//! What an EndpointSlice must say: the written rules first, then those that
//! upstream generates (the type, and that endpoints have addresses).

use std::collections::HashSet;

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apimachinery::validation::{
    dns1123_label, dns1123_subdomain, label_value, meta, parse_ip_sloppy, qualified_name,
};

use crate::rules::addresses::{canonical_ip, ip};
use crate::rules::non_special_ip;

const TYPES: [&str; 3] = ["FQDN", "IPv4", "IPv6"];
const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];
const MOST_ENDPOINTS: usize = 1000;
const MOST_ADDRESSES: usize = 100;
const MOST_PORTS: usize = 20_000;
const MOST_TOPOLOGY: usize = 16;
const MOST_HINTS: usize = 8;

pub(super) fn validate(object: &Value, old: Option<&Value>) -> Errors {
    let mut errors = Errors::new();
    ports(&object["ports"], &Path::Root.child("ports"), &mut errors);
    endpoints(object, &Path::Root.child("endpoints"), &mut errors);
    declared(object, old, &mut errors);
    errors
}

/// What did not change is not looked at again.
fn declared(object: &Value, old: Option<&Value>, errors: &mut Errors) {
    let changed = |field: &str| old.is_none_or(|old| old[field] != object[field]);
    if changed("addressType") {
        let (kind, place) = (object["addressType"].text(), Path::Root.child("addressType"));
        if kind.is_empty() {
            errors.required(&place, "");
        }
        if !kind.is_empty() {
            errors.one_of(&place, kind, &TYPES);
        }
        if old.is_some() {
            errors.invalid(&place, Value::Null, "field is immutable");
        }
    }
    if changed("endpoints") {
        let list = Path::Root.child("endpoints");
        for (at, endpoint) in object["endpoints"].items().iter().enumerate() {
            let here = list.index(at);
            let addresses = endpoint["addresses"].items().len();
            if addresses == 0 {
                errors.required(&here.child("addresses"), "");
            } else if addresses > MOST_ADDRESSES {
                errors.too_many(&here.child("addresses"), addresses, MOST_ADDRESSES);
            }
        }
    }
}

fn endpoints(object: &Value, path: &Path<'_>, errors: &mut Errors) {
    let list = object["endpoints"].items();
    if list.len() > MOST_ENDPOINTS {
        errors.too_many(path, list.len(), MOST_ENDPOINTS);
        return;
    }
    for (at, each) in list.iter().enumerate() {
        endpoint(each, object["addressType"].text(), &path.index(at), errors);
    }
}

fn endpoint(endpoint: &Value, kind: &str, path: &Path<'_>, errors: &mut Errors) {
    let addresses = path.child("addresses");
    for (at, each) in endpoint["addresses"].items().iter().enumerate() {
        address(each.text(), kind, &addresses, &addresses.index(at), errors);
    }
    if let Some(node) = endpoint["nodeName"].as_str() {
        errors.check(&path.child("nodeName"), node, dns1123_subdomain(node));
    }
    let topology = &endpoint["deprecatedTopology"];
    let count = topology.members().count();
    if count > MOST_TOPOLOGY {
        errors.too_many(&path.child("deprecatedTopology"), count, MOST_TOPOLOGY);
    }
    meta::labels(topology, &path.child("deprecatedTopology"), errors);
    if let Some(name) = endpoint["hostname"].as_str() {
        errors.check(&path.child("hostname"), name, dns1123_label(name));
    }
    let hints = path.child("hints");
    for (field, rule) in [
        ("forZones", label_value as fn(&str) -> Vec<String>),
        ("forNodes", dns1123_subdomain as fn(&str) -> Vec<String>),
    ] {
        hint(&endpoint["hints"][field], rule, &hints.child(field), errors);
    }
}

/// `list` is where upstream tells of the wrong family.
fn address(text: &str, kind: &str, list: &Path<'_>, path: &Path<'_>, errors: &mut Errors) {
    let wanted = match kind {
        "IPv4" => true,
        "IPv6" => false,
        "FQDN" => return domain(text, path, errors),
        _ => return,
    };
    let wrong = if wanted { ip(text) } else { canonical_ip(text) };
    if !wrong.is_empty() {
        errors.check(path, text, wrong);
        return;
    }
    if parse_ip_sloppy(text).is_some_and(|address| address.is_ipv4() != wanted) {
        errors.invalid(
            list,
            text,
            if wanted { "must be an IPv4 address" } else { "must be an IPv6 address" },
        );
    }
    non_special_ip(path, text, errors);
}

/// A fully qualified domain name.
fn domain(text: &str, path: &Path<'_>, errors: &mut Errors) {
    if text.is_empty() {
        errors.required(path, "");
        return;
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let wrong = dns1123_subdomain(name);
    if !wrong.is_empty() {
        errors.invalid(path, name, &wrong.join(","));
        return;
    }
    if !name.contains('.') {
        let why = "should be a domain with at least two segments separated by dots";
        errors.invalid(path, name, why);
        return;
    }
    for label in name.split('.') {
        let wrong = dns1123_label(label);
        if !wrong.is_empty() {
            errors.invalid(path, label, &wrong.join(","));
            return;
        }
    }
}

fn hint(list: &Value, rule: fn(&str) -> Vec<String>, path: &Path<'_>, errors: &mut Errors) {
    let list = list.items();
    if list.len() > MOST_HINTS {
        errors.too_many(path, list.len(), MOST_HINTS);
        return;
    }
    let mut names: HashSet<&str> = HashSet::new();
    for (at, each) in list.iter().enumerate() {
        let here = path.index(at);
        let (name, place) = (each["name"].text(), here.child("name"));
        if names.contains(&name) {
            errors.duplicate(&place, name);
        } else {
            names.insert(name);
        }
        errors.check(&place, name, rule(name));
    }
}

fn ports(list: &Value, path: &Path<'_>, errors: &mut Errors) {
    let list = list.items();
    if list.len() > MOST_PORTS {
        errors.too_many(path, list.len(), MOST_PORTS);
        return;
    }
    let mut names: HashSet<&str> = HashSet::new();
    for (at, port) in list.iter().enumerate() {
        let here = path.index(at);
        let (name, place) = (port["name"].text(), here.child("name"));
        if !name.is_empty() {
            errors.check(&place, name, dns1123_label(name));
        }
        if names.contains(&name) {
            errors.duplicate(&place, name);
        } else {
            names.insert(name);
        }
        match port["protocol"].as_str() {
            None => errors.required(&here.child("protocol"), ""),
            Some(protocol) => errors.one_of(&here.child("protocol"), protocol, &PROTOCOLS),
        }
        if let Some(protocol) = port["appProtocol"].as_str() {
            errors.check(&here.child("appProtocol"), protocol, qualified_name(protocol));
        }
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn addresses_are_of_the_type() {
        for (kind, address, expected) in [
            ("IPv4", "10.0.0.1", ""),
            ("IPv6", "2001:db8::1", ""),
            (
                "IPv6",
                "10.0.0.1",
                "endpoints[0].addresses: Invalid value: \"10.0.0.1\": must be an IPv6 address",
            ),
            ("FQDN", "ex.com.", ""),
            (
                "FQDN",
                "com",
                "endpoints[0].addresses[0]: Invalid value: \"com\": should be a domain with at least two segments separated by dots",
            ),
        ] {
            let slice = value!({"addressType": kind, "endpoints": [{"addresses": [address]}]});
            let told = validate(&slice, None).iter().map(ToString::to_string).collect::<String>();
            assert_eq!(told, expected);
        }
    }

    #[test]
    fn the_type_never_changes() {
        let slice = |kind: &str| value!({"addressType": kind});
        let told = validate(&slice("IPv6"), Some(&slice("IPv4"))).to_string();
        assert_eq!(told, "addressType: Invalid value: null: field is immutable");
        assert!(validate(&slice("Odd"), Some(&slice("Odd"))).is_empty());
    }

    #[test]
    fn hints_are_named_once() {
        let mut errors = Errors::new();
        hint(&value!([{"name": "a"}, {"name": "a"}]), label_value, &Path::Root.child("h"), &mut errors);
        assert_eq!(errors.to_string(), "h[1].name: Duplicate value: \"a\"");
    }
}
