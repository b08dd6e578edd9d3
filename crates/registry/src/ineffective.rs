//! What is accepted without having an effect yet (design rule 13). Under
//! `corten up` a write of it is answered with a warning. This list may only shrink.

use apiserver::Ineffective;

/// By group and resource.
const TABLE: &[(&str, &str, &[Ineffective])] = &[
    ("networking.k8s.io", "ingresses", &[whole("no controller serves ingresses yet")]),
    ("networking.k8s.io", "networkpolicies", &[whole("the policy is not enforced yet")]),
    ("resource.k8s.io", "resourceclaims", &[whole("devices are not allocated yet")]),
    (
        "",
        "pods",
        &[
            Ineffective {
                path: &["spec", "runtimeClassName"],
                why: "every pod runs by the embedded runtime",
            },
            Ineffective { path: &["spec", "resourceClaims"], why: "devices are not allocated yet" },
        ],
    ),
    (
        "",
        "services",
        &[
            Ineffective { path: &["spec", "loadBalancerSourceRanges"], why: "any client is let through" },
            Ineffective {
                path: &["metadata", "annotations", "service.kubernetes.io/topology-mode"],
                why: "endpoints are not shared out among zones, and Auto turns spec.trafficDistribution off",
            },
            Ineffective {
                path: &["metadata", "annotations", "service.kubernetes.io/topology-aware-hints"],
                why: "endpoints are not shared out among zones, and Auto turns spec.trafficDistribution off",
            },
        ],
    ),
];

const fn whole(why: &'static str) -> Ineffective {
    Ineffective { path: &[], why }
}

/// What of a resource has no effect.
pub(crate) fn of(group: &str, resource: &str) -> &'static [Ineffective] {
    let found = TABLE.iter().find(|(of, name, _)| *of == group && *name == resource);
    found.map_or(&[], |(_, _, unheeded)| unheeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_resource_is_served() {
        for (group, resource, _) in TABLE {
            assert!(
                api::facts::discovery().iter().any(|fact| fact.group == *group && fact.resource == *resource),
                "{resource}.{group}"
            );
        }
    }
}
