//! Which claims a pod needs, and what of a claim nobody uses. Pure.

use k8s_openapi::api::resource::v1::{ResourceClaim, ResourceClaimConsumerReference, ResourceClaimTemplate};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::pods::{DeviceClaim, PodView};

/// Claims with an allocation bear it.
pub const FINALIZER: &str = "resource.kubernetes.io/delete-protection";
/// Tells for which entry of a pod's `spec.resourceClaims` a claim was made.
pub const MADE_FOR: &str = "resource.kubernetes.io/pod-claim-name";
/// A name of 63 letters less a hyphen and five at random.
const MOST_BASE: usize = 57;

/// Whether a pod that is there may still run with its claims.
pub fn needs_claims(pod: &PodView) -> bool {
    let never_runs = pod.terminating && pod.node.is_empty();
    !pod.has_ended() && !never_runs
}

/// Whether claims are made for a pod: not for one that goes, nor for one that
/// has ended, whose claims go.
pub fn is_served(pod: &PodView) -> bool {
    !pod.terminating && !pod.has_ended()
}

/// The names of the claims that a pod uses, as far as they are known, and
/// whether each was made for it and must be its own.
pub fn used(pod: &PodView) -> impl Iterator<Item = (&str, bool)> {
    let named = pod.device_claims.iter().filter_map(|claim| match (&claim.claim, &claim.made) {
        (Some(name), _) => Some((name.as_str(), false)),
        (None, Some(made)) => made.as_deref().map(|name| (name, true)),
        (None, None) => None,
    });
    named.chain(pod.extended_claim.as_deref().map(|name| (name, true)))
}

/// The names of the claims that a pod uses.
pub fn names(pod: &PodView) -> impl Iterator<Item = &str> {
    used(pod).map(|(name, _)| name)
}

/// What an entry of a pod's claims calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// It names a claim of the user's, or none is needed.
    Nothing,
    /// A claim of this template, which the pod's status calls by that name.
    Recorded { template: &'a str, name: &'a str },
    /// A claim of this template, which may be there already.
    Unrecorded { template: &'a str },
}

pub fn wanted(entry: &DeviceClaim) -> Wanted<'_> {
    match (&entry.claim, &entry.template, &entry.made) {
        (None, Some(template), Some(Some(name))) => Wanted::Recorded { template, name },
        (None, Some(template), None) => Wanted::Unrecorded { template },
        _ => Wanted::Nothing,
    }
}

/// Whether a pod owns a claim.
pub fn is_for(claim: &ResourceClaim, pod: &PodView) -> bool {
    let owners = claim.metadata.owner_references.iter().flatten();
    owners.into_iter().any(|owner| owner.controller == Some(true) && owner.uid == pod.uid)
}

/// Whether a claim was made for an entry of a pod's claims.
pub fn is_made_for(claim: &ResourceClaim, pod: &PodView, entry: &str) -> bool {
    let annotations = claim.metadata.annotations.as_ref();
    let made_for = annotations.and_then(|annotations| annotations.get(MADE_FOR));
    made_for.is_some_and(|name| name == entry) && owning_pod(claim).is_some_and(|(_, uid)| uid == pod.uid)
}

/// The name and uid of the pod that a claim was made for.
pub fn owning_pod(claim: &ResourceClaim) -> Option<(&str, &str)> {
    let owners = claim.metadata.owner_references.iter().flatten();
    let mut pods = owners
        .filter(|owner| owner.controller == Some(true) && owner.api_version == "v1" && owner.kind == "Pod");
    pods.next().map(|owner| (owner.name.as_str(), owner.uid.as_str()))
}

/// The claim that a template makes for an entry of a pod's claims.
pub fn claim_of(pod: &PodView, entry: &str, template: &ResourceClaimTemplate) -> ResourceClaim {
    let spec = template.spec.clone().unwrap_or_default();
    let metadata = spec.metadata.unwrap_or_default();
    let mut annotations = metadata.annotations.unwrap_or_default();
    annotations.insert(MADE_FOR.to_owned(), entry.to_owned());
    ResourceClaim {
        metadata: ObjectMeta {
            generate_name: Some(generate_name(&pod.name, entry)),
            namespace: Some(pod.namespace.clone()),
            labels: metadata.labels,
            annotations: Some(annotations),
            owner_references: Some(vec![OwnerReference {
                api_version: "v1".into(),
                kind: "Pod".into(),
                name: pod.name.clone(),
                uid: pod.uid.clone(),
                controller: Some(true),
                block_owner_deletion: None,
            }]),
            ..ObjectMeta::default()
        },
        spec: spec.spec,
        status: None,
    }
}

/// Where both names are too long, each is cut in proportion, so that both are
/// still told.
fn generate_name(pod: &str, entry: &str) -> String {
    let whole = format!("{pod}-{entry}-");
    if whole.len() <= MOST_BASE {
        return whole;
    }
    let cut = |name: &str| name.chars().take(name.len() * MOST_BASE / whole.len()).collect::<String>();
    format!("{}-{}", cut(pod), cut(entry))
}

/// Whether a pod that was bound without the scheduler's word on its claims
/// needs this one, which has its devices, reserved.
pub fn needs_reservation(claim: &ResourceClaim, pod: &PodView) -> bool {
    let Some(status) = &claim.status else { return false };
    let mut reserved = status.reserved_for.iter().flatten();
    !pod.node.is_empty() && status.allocation.is_some() && reserved.all(|consumer| consumer.uid != pod.uid)
}

/// The pod as `reservedFor` speaks of it.
pub fn consumer(pod: &PodView) -> ResourceClaimConsumerReference {
    ResourceClaimConsumerReference {
        api_group: None,
        resource: "pods".into(),
        name: pod.name.clone(),
        uid: pod.uid.clone(),
    }
}

/// Whether a consumer is a pod; others are left alone.
pub fn is_pod(consumer: &ResourceClaimConsumerReference) -> bool {
    consumer.api_group.as_deref().unwrap_or("").is_empty() && consumer.resource == "pods"
}

/// Whether a pod that is there still is the consumer, and may run.
pub fn still_uses(consumer: &ResourceClaimConsumerReference, pod: &PodView) -> bool {
    pod.uid == consumer.uid && needs_claims(pod)
}

/// What is to be done about a claim, in this order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClaimPlan {
    /// The claim with the status to write.
    pub status: Option<ResourceClaim>,
    /// Take the finalizer away.
    pub release: bool,
    /// Nobody will use the claim that was made for a pod.
    pub delete: bool,
}

/// `remaining` are the consumers that still use the claim; `owner` is the pod
/// that it was made for, as it is seen.
pub fn plan(
    claim: &ResourceClaim,
    remaining: &[ResourceClaimConsumerReference],
    owner: Option<&PodView>,
) -> ClaimPlan {
    let status = claim.status.clone().unwrap_or_default();
    let before = status.reserved_for.as_ref().map_or(0, Vec::len);
    let protected = claim.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER);
    let unused = remaining.is_empty();
    let freed = remaining.len() < before;
    let terminating = claim.metadata.deletion_timestamp.is_some();
    // Devices go back with the last consumer, so that another may have them
    // anywhere; those that were allocated ahead of any consumer stay.
    let deallocates = protected && unused && (freed || terminating);
    let writes = freed || deallocates && status.allocation.is_some();
    let mut plan = ClaimPlan {
        status: writes.then(|| {
            let mut claim = claim.clone();
            let status = claim.status.get_or_insert_default();
            status.reserved_for = Some(remaining.to_vec()).filter(|remaining| !remaining.is_empty());
            if deallocates {
                status.allocation = None;
            }
            claim
        }),
        ..ClaimPlan::default()
    };
    plan.release = deallocates || protected && freed && status.allocation.is_none();
    if let (true, Some((_, uid)), Some(pod)) = (unused, owning_pod(claim), owner) {
        plan.delete = pod.uid != uid || !needs_claims(pod);
    }
    plan
}
