//! NetworkPolicy.

use apimachinery::{Value, value};
use apiserver::{Strategy, Version};
use jiff::Timestamp;

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

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::network::network_policy(object, now)
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
}
