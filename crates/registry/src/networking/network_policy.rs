//! NetworkPolicy.

use std::net::IpAddr;

use apimachinery::field::{Errors, Path};
use apimachinery::validation::{parse_cidr_sloppy, port_name, port_number};
use apimachinery::{Value, value};
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

use crate::rules::addresses::{strictly_holds, valid_cidr, warn_of_cidr};
use crate::rules::selector;

const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];
const TYPES: [&str; 2] = ["Ingress", "Egress"];
/// Where rules are, and where a rule's peers are.
const DIRECTIONS: [(&str, &str); 2] = [("ingress", "from"), ("egress", "to")];

/// NetworkPolicy.
pub struct NetworkPolicy;

impl Strategy for NetworkPolicy {
    /// A policy is about ingress, and about egress where it has rules for it.
    fn default(&self, _: &str, object: &mut Value) {
        let spec = object.entry("spec");
        if spec["policyTypes"].items().is_empty() {
            let types = if spec["egress"].items().is_empty() {
                value!(["Ingress"])
            } else {
                value!(["Ingress", "Egress"])
            };
            spec.set("policyTypes", types);
        }
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        validate(object, None)
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        validate(object, Some(old))
    }

    fn warnings(&self, _: &Context<'_>, object: &Value, _: Option<&Value>) -> Vec<String> {
        let mut warnings = Vec::new();
        each_block(object, &mut |block, path| {
            warn_of_cidr(&path.child("cidr"), block["cidr"].text(), &mut warnings);
            let except = path.child("except");
            for (at, range) in block["except"].items().iter().enumerate() {
                warn_of_cidr(&except.index(at), range.text(), &mut warnings);
            }
        });
        warnings
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::network::network_policy(object, now)
    }
}

/// Calls `visit` with every range of a policy and its path.
fn each_block<'a>(object: &'a Value, visit: &mut dyn FnMut(&'a Value, &Path<'_>)) {
    let spec = Path::Root.child("spec");
    for (direction, peers) in DIRECTIONS {
        let rules = spec.child(direction);
        for (at, rule) in object["spec"][direction].items().iter().enumerate() {
            let here = rules.index(at);
            let list = here.child(peers);
            for (at, peer) in rule[peers].items().iter().enumerate() {
                let here = list.index(at);
                if !peer["ipBlock"].is_null() {
                    visit(&peer["ipBlock"], &here.child("ipBlock"));
                }
            }
        }
    }
}

/// Ranges that `old` had anywhere are not looked at again.
fn validate(object: &Value, old: Option<&Value>) -> Errors {
    let mut known: Vec<&str> = Vec::new();
    if let Some(old) = old {
        each_block(old, &mut |block, _| {
            known.push(block["cidr"].text());
            known.extend(block["except"].items().iter().map(Value::text));
        });
    }
    let mut errors = Errors::new();
    let (spec, path) = (&object["spec"], Path::Root.child("spec"));
    selector::validate(&path.child("podSelector"), &spec["podSelector"], &mut errors);
    for (direction, peers) in DIRECTIONS {
        let rules = path.child(direction);
        for (at, rule) in spec[direction].items().iter().enumerate() {
            let here = rules.index(at);
            let ports = here.child("ports");
            for (at, each) in rule["ports"].items().iter().enumerate() {
                port(each, &ports.index(at), &mut errors);
            }
            let list = here.child(peers);
            for (at, each) in rule[peers].items().iter().enumerate() {
                peer(each, &known, &list.index(at), &mut errors);
            }
        }
    }
    let types = path.child("policyTypes");
    if spec["policyTypes"].items().len() > TYPES.len() {
        let why = "may not specify more than two policyTypes";
        errors.invalid(&types, spec["policyTypes"].clone(), why);
    } else {
        for (at, each) in spec["policyTypes"].items().iter().enumerate() {
            errors.one_of(&types.index(at), each.text(), &TYPES);
        }
    }
    // A generated rule, whose errors come last.
    each_block(object, &mut |block, path| {
        if block["cidr"].text().is_empty() {
            errors.required(&path.child("cidr"), "");
        }
    });
    errors
}

fn port(port: &Value, path: &Path<'_>, errors: &mut Errors) {
    if let Some(protocol) = port["protocol"].as_str() {
        errors.one_of(&path.child("protocol"), protocol, &PROTOCOLS);
    }
    let (place, end) = (path.child("port"), path.child("endPort"));
    let last = port["endPort"].as_i64();
    match &port["port"] {
        Value::Null => {
            if let Some(last) = last {
                errors.invalid(&end, last, "may not be specified when `port` is not specified");
            }
        }
        Value::String(name) => {
            if let Some(last) = last {
                errors.invalid(&end, last, "may not be specified when `port` is non-numeric");
            }
            errors.check(&place, name, port_name(name));
        }
        number => {
            let first = number.as_i64().unwrap_or(0);
            for why in port_number(first) {
                errors.invalid(&place, first, &why);
            }
            if let Some(last) = last {
                if last < first {
                    errors.invalid(&end, last, "must be greater than or equal to `port`");
                }
                for why in port_number(last) {
                    errors.invalid(&end, last, &why);
                }
            }
        }
    }
}

fn peer(peer: &Value, known: &[&str], path: &Path<'_>, errors: &mut Errors) {
    let mut peers = 0;
    for field in ["podSelector", "namespaceSelector"] {
        if !peer[field].is_null() {
            peers += 1;
            selector::validate(&path.child(field), &peer[field], errors);
        }
    }
    let block = &peer["ipBlock"];
    if !block.is_null() {
        peers += 1;
        ip_block(block, known, &path.child("ipBlock"), errors);
    }
    if peers == 0 {
        errors.required(path, "must specify a peer");
    } else if peers > 1 && !block.is_null() {
        errors.forbidden(path, "may not specify both ipBlock and another peer");
    }
}

fn ip_block(block: &Value, known: &[&str], path: &Path<'_>, errors: &mut Errors) {
    let range = |text: &str, path: &Path<'_>, errors: &mut Errors| -> Option<(IpAddr, u8)> {
        valid_cidr(path, text, known, errors);
        parse_cidr_sloppy(text)
    };
    let whole = block["cidr"].text();
    if whole.is_empty() {
        return;
    }
    let Some(whole) = range(whole, &path.child("cidr"), errors) else { return };
    let except = path.child("except");
    for (at, part) in block["except"].items().iter().enumerate() {
        let here = except.index(at);
        if let Some(range) = range(part.text(), &here, errors)
            && !strictly_holds(whole, range)
        {
            errors.invalid(&here, part.text(), "must be a strict subset of `cidr`");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn egress_counts_where_it_has_rules() {
        for (spec, types) in [
            (value!({"podSelector": {}}), value!(["Ingress"])),
            (value!({"egress": [{}]}), value!(["Ingress", "Egress"])),
            (value!({"policyTypes": ["Egress"]}), value!(["Egress"])),
        ] {
            let mut object = value!({"spec": spec});
            NetworkPolicy.default("v1", &mut object);
            assert_eq!(object["spec"]["policyTypes"], types);
        }
    }

    #[test]
    fn ranges_are_checked_where_they_are_new() {
        let policy = |range: &str| value!({"spec": {"egress": [{"to": [{"ipBlock": {"cidr": range}}]}]}});
        for (new, old, expected) in [
            ("10.0.0.0/8", None, ""),
            (
                "x",
                None,
                "spec.egress[0].to[0].ipBlock.cidr: Invalid value: \"x\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
            ),
            ("x", Some("x"), ""),
            ("", None, "spec.egress[0].to[0].ipBlock.cidr: Required value"),
        ] {
            let errors = validate(&policy(new), old.map(policy).as_ref());
            let told = errors.iter().map(ToString::to_string).collect::<String>();
            assert_eq!(told, expected);
        }
    }
}
