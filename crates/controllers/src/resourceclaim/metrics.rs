//! What the ResourceClaim controller counts (`dynamic_resource_allocation_…`).

use std::collections::BTreeMap;

use informer::{Informer, Whole};
use k8s_openapi::api::resource::v1::{DeviceRequest, ResourceClaim};
use serve::families::{Counter, Description, Families, Sample};

pub(super) struct Metrics(Counter);

impl Metrics {
    /// Counts the claims of `claims` too, when somebody asks.
    pub fn among(families: &Families, claims: Informer<Whole<ResourceClaim>>) -> Self {
        families.counted(
            Description {
                name: "dynamic_resource_allocation_resource_claims",
                help: "[ALPHA] Number of ResourceClaims, categorized by allocation status, admin access, and \
                       source. Source can be 'resource_claim_template' (created from a template), \
                       'extended_resource' (extended resources), or empty (manually created by a user).",
                labels: &["allocated", "admin_access", "source"],
            },
            move || samples(claims.list().iter().map(|claim| &claim.0)),
        );
        Self(families.counter(Description {
            name: "dynamic_resource_allocation_resourceclaim_creates_total",
            help: "[ALPHA] Number of ResourceClaims creation requests, categorized by creation status, admin \
                   access, and owning API group and kind (either Pod or scheduling.k8s.io/PodGroup)",
            labels: &["status", "admin_access", "owner_api_group", "owner_api_kind"],
        }))
    }

    /// A claim was asked for.
    pub fn asked(&self, claim: &ResourceClaim, failed: bool) {
        let status = if failed { "failure" } else { "success" };
        let owners = claim.metadata.owner_references.iter().flatten();
        let owner = owners.into_iter().find(|owner| owner.controller == Some(true));
        let group = owner.and_then(|owner| owner.api_version.split_once('/')).map_or("", |(group, _)| group);
        let kind = owner.map_or("", |owner| owner.kind.as_str());
        self.0.increase(&[status, admin_access(claim), group, kind]);
    }
}

fn admin_access(claim: &ResourceClaim) -> &'static str {
    let devices = claim.spec.iter().filter_map(|spec| spec.devices.as_ref());
    let mut requests = devices.flat_map(|devices| devices.requests.iter().flatten());
    let asks = |request: &DeviceRequest| {
        request.exactly.as_ref().is_some_and(|exactly| exactly.admin_access == Some(true))
    };
    if requests.any(asks) { "true" } else { "false" }
}

/// The claims by what the labels tell.
pub fn samples<'a>(claims: impl Iterator<Item = &'a ResourceClaim>) -> Vec<Sample> {
    let mut counts: BTreeMap<[&str; 3], u32> = BTreeMap::new();
    for claim in claims {
        let allocated = claim.status.as_ref().is_some_and(|status| status.allocation.is_some());
        let annotation = |key: &str| claim.metadata.annotations.as_ref()?.get(key).map(String::as_str);
        let source = if annotation("resource.kubernetes.io/extended-resource-claim") == Some("true") {
            "extended_resource"
        } else if annotation("resource.kubernetes.io/pod-claim-name").is_some_and(|name| !name.is_empty()) {
            "resource_claim_template"
        } else {
            ""
        };
        let allocated = if allocated { "true" } else { "false" };
        *counts.entry([allocated, admin_access(claim), source]).or_default() += 1;
    }
    let sample = |(labels, count): ([&str; 3], u32)| (labels.map(str::to_owned).to_vec(), f64::from(count));
    counts.into_iter().map(sample).collect()
}
