//! Who owns the claims of a StatefulSet, so that the garbage collector removes
//! them when its retention policy says so (KEP-1847). Pure.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::members::{ordinal, ordinals, set_name, templates};
use crate::pods::PodView;
use crate::volume_claims::ClaimView;

/// Whether a claim of this name is of a pod of the set.
pub fn is_named_by(set: &StatefulSet, claim: &str) -> bool {
    templates(set).iter().filter_map(|template| template.metadata.name.as_deref()).any(|template| {
        let pod = claim.strip_prefix(template).and_then(|rest| rest.strip_prefix('-'));
        pod.is_some_and(|pod| ordinal(set, pod).is_some())
    })
}

/// `spec.persistentVolumeClaimRetentionPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    pub delete_when_deleted: bool,
    pub delete_when_scaled: bool,
}

impl Retention {
    pub fn of(set: &StatefulSet) -> Self {
        let policy = set.spec.persistent_volume_claim_retention_policy.as_ref();
        let deletes = |when: Option<&String>| when.is_some_and(|when| when == "Delete");
        Self {
            delete_when_deleted: deletes(policy.and_then(|policy| policy.when_deleted.as_ref())),
            delete_when_scaled: deletes(policy.and_then(|policy| policy.when_scaled.as_ref())),
        }
    }
}

/// One of the two that may own a claim.
struct Owner<'a> {
    api_version: &'static str,
    kind: &'static str,
    name: &'a str,
    /// "" of a pod that is not created yet.
    uid: &'a str,
}

impl<'a> Owner<'a> {
    fn set(set: &'a StatefulSet) -> Self {
        let uid = set.metadata.uid.as_deref().unwrap_or_default();
        Self { api_version: "apps/v1", kind: "StatefulSet", name: set_name(set), uid }
    }

    fn pod(name: &'a str, uid: &'a str) -> Self {
        Self { api_version: "v1", kind: "Pod", name, uid }
    }

    fn is_meant_by(&self, reference: &OwnerReference) -> bool {
        reference.api_version == self.api_version
            && reference.kind == self.kind
            && reference.name == self.name
    }

    fn owns(&self, claim: &ClaimView) -> bool {
        claim.owners.iter().any(|reference| reference.uid == self.uid)
    }

    /// A reference to a former object of this name.
    fn is_stale_in(&self, claim: &ClaimView) -> bool {
        let meant = claim.owners.iter().find(|reference| self.is_meant_by(reference));
        meant.is_some_and(|reference| reference.uid != self.uid)
    }

    fn reference(&self) -> OwnerReference {
        OwnerReference {
            api_version: self.api_version.into(),
            kind: self.kind.into(),
            name: self.name.into(),
            uid: self.uid.into(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }
    }
}

/// A claim that still waits to go with a former pod of this name.
pub fn is_stale(claim: &ClaimView, pod: &str) -> bool {
    Owner::pod(pod, "").is_stale_in(claim)
}

/// The owners that the claim of a pod should have; None where it has them.
pub fn owners(set: &StatefulSet, claim: &ClaimView, pod: &PodView) -> Option<Vec<OwnerReference>> {
    let (of_set, of_pod) = (Owner::set(set), Owner::pod(&pod.name, &pod.uid));
    // What an earlier object of the name left is not to be touched.
    if of_set.is_stale_in(claim) || of_pod.is_stale_in(claim) {
        return None;
    }
    let retention = Retention::of(set);
    let others: Vec<OwnerReference> = claim
        .owners
        .iter()
        .filter(|reference| !of_set.is_meant_by(reference) && !of_pod.is_meant_by(reference))
        .cloned()
        .collect();
    let retains_all = !retention.delete_when_deleted && !retention.delete_when_scaled;
    if !retains_all && others.iter().any(|reference| reference.controller == Some(true)) {
        // Another controls it: ours must go and none may come.
        return (of_set.owns(claim) || of_pod.owns(claim)).then_some(others);
    }
    let scaled_down = ordinal(set, &pod.name).is_some_and(|ordinal| !ordinals(set).contains(&ordinal));
    let by_pod = retention.delete_when_scaled && scaled_down;
    let by_set = retention.delete_when_deleted && !by_pod;
    let mut wanted = others;
    wanted.extend(by_set.then(|| of_set.reference()));
    wanted.extend(by_pod.then(|| of_pod.reference()));
    let controls = claim
        .owners
        .iter()
        .filter(|reference| [of_set.uid, of_pod.uid].contains(&reference.uid.as_str()))
        .all(|reference| reference.controller == Some(true));
    let right = of_set.owns(claim) == by_set && of_pod.owns(claim) == by_pod && controls;
    (!right).then_some(wanted)
}
