//! Warnings about Services: what is ignored, old, or written in an old way.

use apimachinery::Value;
use apimachinery::field::{Path, quote};

use super::defaults::is_headless;
use super::validation::{TOPOLOGY_HINTS, TOPOLOGY_MODE};
use crate::rules::addresses::{warn_of_cidr, warn_of_ip};

/// Warnings about a new or changed Service.
pub fn of(service: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    let (spec, path) = (&service["spec"], Path::Root.child("spec"));
    if !service["metadata"]["annotations"][TOPOLOGY_HINTS].is_null() {
        warnings
            .push(format!("annotation {TOPOLOGY_HINTS} is deprecated, please use {TOPOLOGY_MODE} instead"));
    }
    let headless = is_headless(service);
    if !headless {
        each(&spec["clusterIPs"], &path.child("clusterIPs"), warn_of_ip, &mut warnings);
    }
    let (external, balancer) = (&spec["externalIPs"], spec["loadBalancerIP"].text());
    let by_name = spec["type"].text() == "ExternalName";
    let ignored = if headless {
        Some("is ignored for headless services")
    } else if by_name {
        Some("is ignored when spec.type is \"ExternalName\"")
    } else {
        None
    };
    match ignored {
        Some(told) => {
            if !balancer.is_empty() {
                warnings.push(format!("spec.loadBalancerIP {told}"));
            }
            if !external.items().is_empty() {
                warnings.push(format!("spec.externalIPs {told}"));
            }
            if headless && spec["sessionAffinity"].text() != "None" {
                warnings.push(format!("spec.SessionAffinity {told}"));
            }
        }
        None if !external.items().is_empty() => {
            let told = "spec.externalIPs is deprecated and may no longer be implemented in some clusters";
            warnings.push(told.to_owned());
        }
        None => {}
    }
    if !by_name && !spec["externalName"].text().is_empty() {
        warnings.push("spec.externalName is ignored when spec.type is not \"ExternalName\"".to_owned());
    }
    each(external, &path.child("externalIPs"), warn_of_ip, &mut warnings);
    if !balancer.is_empty() {
        warn_of_ip(&path.child("loadBalancerIP"), balancer, &mut warnings);
    }
    let ranges = path.child("loadBalancerSourceRanges");
    each(&spec["loadBalancerSourceRanges"], &ranges, warn_of_cidr, &mut warnings);
    if spec["trafficDistribution"].text() == "PreferClose" {
        warnings.push(format!(
            "spec.trafficDistribution: {} is deprecated; use {}",
            quote("PreferClose"),
            quote("PreferSameZone")
        ));
    }
    warnings
}

fn each(
    list: &Value,
    path: &Path<'_>,
    warn: fn(&Path<'_>, &str, &mut Vec<String>),
    warnings: &mut Vec<String>,
) {
    for (at, item) in list.items().iter().enumerate() {
        warn(&path.index(at), item.text(), warnings);
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn what_is_ignored_is_told() {
        for (spec, told) in [
            (value!({"sessionAffinity": "None"}), vec![]),
            (
                value!({"clusterIP": "None", "externalIPs": ["1.2.3.4"], "sessionAffinity": "ClientIP"}),
                vec![
                    "spec.externalIPs is ignored for headless services",
                    "spec.SessionAffinity is ignored for headless services",
                ],
            ),
            (
                value!({"externalIPs": ["1.2.3.4"], "trafficDistribution": "PreferClose"}),
                vec![
                    "spec.externalIPs is deprecated and may no longer be implemented in some clusters",
                    "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"",
                ],
            ),
        ] {
            assert_eq!(of(&value!({"spec": spec})), told);
        }
    }
}
