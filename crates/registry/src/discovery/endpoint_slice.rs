//! EndpointSlice.

mod validation;

use std::collections::BTreeSet;

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

use crate::changes::{default_struct, items};
use crate::rules::addresses::warn_of_ip;
use crate::rules::same;

/// EndpointSlice.
pub struct EndpointSlice;

impl Strategy for EndpointSlice {
    /// Ports have a name and a protocol; endpoints have conditions.
    fn default(&self, _: &str, object: &mut Value) {
        for endpoint in items(object, "endpoints") {
            default_struct(endpoint, "conditions");
        }
    }

    fn has_generation(&self) -> bool {
        true
    }

    /// Labels count, too.
    fn changes_generation(&self, object: &Value, old: &Value) -> bool {
        let labels = |object: &Value| object["metadata"]["labels"].clone();
        ["addressType", "endpoints", "ports"].into_iter().any(|field| !same(&object[field], &old[field]))
            || !same(&labels(object), &labels(old))
    }

    fn prepare_create(&self, _: &Context<'_>, object: &mut Value) {
        drop_topology(object, None);
    }

    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        drop_topology(object, Some(old));
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        validation::validate(object, None)
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        validation::validate(object, Some(old))
    }

    fn warnings(&self, _: &Context<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        if old.is_none() && object["addressType"].text() == "FQDN" {
            return vec!["spec.addressType: FQDN endpoints are deprecated".into()];
        }
        let mut warnings = Vec::new();
        let endpoints = Path::Root.child("endpoints");
        for (at, endpoint) in object["endpoints"].items().iter().enumerate() {
            let here = endpoints.index(at);
            let list = here.child("addresses");
            for (at, address) in endpoint["addresses"].items().iter().enumerate() {
                warn_of_ip(&list.index(at), address.text(), &mut warnings);
            }
        }
        warnings
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::network::endpoint_slice(object, now)
    }
}

/// The topology of old versions cannot be written; the name of the node that
/// an older object had there moves to its own field.
fn drop_topology(object: &mut Value, old: Option<&Value>) {
    if old.is_some_and(|old| old["endpoints"] == object["endpoints"]) {
        return;
    }
    let node = |endpoint: &Value| endpoint["deprecatedTopology"]["kubernetes.io/hostname"].text().to_owned();
    let known: BTreeSet<String> = old
        .into_iter()
        .flat_map(|old| old["endpoints"].items())
        .map(node)
        .filter(|name| !name.is_empty())
        .collect();
    for endpoint in items(object, "endpoints") {
        let name = node(endpoint);
        if known.contains(&name) && endpoint["nodeName"].is_null() {
            endpoint.set("nodeName", name);
        }
        endpoint.remove("deprecatedTopology");
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn only_nodes_that_were_known_are_kept() {
        let slice = |zone: &str| {
            value!({"endpoints": [{
                "addresses": ["10.0.0.1"],
                "deprecatedTopology": {"kubernetes.io/hostname": "n", "zone": zone}
            }]})
        };
        let mut new = slice("a");
        drop_topology(&mut new, None);
        assert_eq!(new, value!({"endpoints": [{"addresses": ["10.0.0.1"]}]}));
        let mut changed = slice("b");
        drop_topology(&mut changed, Some(&slice("a")));
        assert_eq!(changed["endpoints"][0]["nodeName"].text(), "n");
        let mut same = slice("a");
        drop_topology(&mut same, Some(&slice("a")));
        assert_eq!(same, slice("a"));
    }

    #[test]
    fn labels_change_the_generation() {
        let old = value!({"metadata": {"labels": {"a": "b"}}, "addressType": "IPv4", "endpoints": []});
        let mut new = old.clone();
        new.set_at(&["metadata", "annotations"], value!({"x": "y"}));
        assert!(!EndpointSlice.changes_generation(&new, &old));
        new.set_at(&["metadata", "labels"], value!({"a": "c"}));
        assert!(EndpointSlice.changes_generation(&new, &old));
    }
}
