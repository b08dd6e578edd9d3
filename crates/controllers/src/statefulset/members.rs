//! The pods of a StatefulSet: names, ordinals, and how they are made
//! (`statefulset/stateful_set_utils`). Pure.

use std::ops::Range;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, Pod, PodTemplateSpec, Volume,
};

use crate::pods::{PodView, pod_of_template};

/// The label of pods that names their revision.
pub const REVISION: &str = "controller-revision-hash";
const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
const POD_INDEX: &str = "apps.kubernetes.io/pod-index";

/// A template with the name of the ControllerRevision that keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Revision {
    pub name: String,
    pub template: PodTemplateSpec,
}

pub fn set_name(set: &StatefulSet) -> &str {
    set.metadata.name.as_deref().unwrap_or_default()
}

/// The ordinals that the set wants.
pub fn ordinals(set: &StatefulSet) -> Range<i32> {
    let start = set.spec.ordinals.as_ref().and_then(|ordinals| ordinals.start).unwrap_or(0);
    start..start.saturating_add(set.spec.replicas.unwrap_or(1).max(0))
}

/// The ordinal of a pod by its name; None where the name is not of this set.
pub fn ordinal(set: &StatefulSet, pod: &str) -> Option<i32> {
    let (parent, number) = pod.rsplit_once('-')?;
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (parent == set_name(set) && digits).then(|| number.parse().ok()).flatten()
}

pub fn pod_name(set: &StatefulSet, ordinal: i32) -> String {
    format!("{}-{ordinal}", set_name(set))
}

/// The name of the claim that a pod of this ordinal has by a template.
pub fn claim_name(set: &StatefulSet, template: &PersistentVolumeClaim, ordinal: i32) -> String {
    let template = template.metadata.name.as_deref().unwrap_or_default();
    format!("{template}-{}-{ordinal}", set_name(set))
}

pub fn templates(set: &StatefulSet) -> &[PersistentVolumeClaim] {
    set.spec.volume_claim_templates.as_deref().unwrap_or_default()
}

/// The claims of a pod, to be created.
pub fn claims(set: &StatefulSet, ordinal: i32) -> Vec<PersistentVolumeClaim> {
    let claim = |template: &PersistentVolumeClaim| {
        let mut claim = PersistentVolumeClaim { status: None, ..template.clone() };
        claim.metadata.name = Some(claim_name(set, template, ordinal));
        claim.metadata.namespace = set.metadata.namespace.clone();
        let selected = set.spec.selector.match_labels.clone().unwrap_or_default();
        claim.metadata.labels.get_or_insert_default().extend(selected);
        claim
    };
    templates(set).iter().map(claim).collect()
}

/// The pod of this ordinal by the template of `revision`.
pub fn pod(set: &StatefulSet, revision: &Revision, ordinal: i32) -> Pod {
    let mut pod = pod_of_template(set, &revision.template);
    let name = pod_name(set, ordinal);
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.extend(identity(&name, ordinal));
    labels.insert(REVISION.into(), revision.name.clone());
    let spec = pod.spec.get_or_insert_default();
    spec.hostname = Some(name.clone());
    spec.subdomain = set.spec.service_name.clone().filter(|service| !service.is_empty());
    let mut volumes = volumes(set, ordinal);
    let claimed = |volume: &Volume| {
        templates(set).iter().any(|template| template.metadata.name.as_ref() == Some(&volume.name))
    };
    volumes.extend(spec.volumes.take().unwrap_or_default().into_iter().filter(|volume| !claimed(volume)));
    spec.volumes = Some(volumes).filter(|volumes| !volumes.is_empty());
    pod.metadata.name = Some(name);
    pod
}

/// The labels by which a pod tells who it is.
pub fn identity(name: &str, ordinal: i32) -> [(String, String); 2] {
    [(POD_NAME.into(), name.to_owned()), (POD_INDEX.into(), ordinal.to_string())]
}

/// The volumes that show a pod its claims.
pub fn volumes(set: &StatefulSet, ordinal: i32) -> Vec<Volume> {
    let volume = |template: &PersistentVolumeClaim| Volume {
        name: template.metadata.name.clone().unwrap_or_default(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: claim_name(set, template, ordinal),
            read_only: None,
        }),
        ..Volume::default()
    };
    templates(set).iter().map(volume).collect()
}

pub fn identity_matches(pod: &PodView) -> bool {
    pod.labels.get(POD_NAME) == Some(&pod.name)
}

/// Whether the pod's volumes show every claim.
pub fn storage_matches(set: &StatefulSet, pod: &PodView, ordinal: i32) -> bool {
    templates(set).iter().all(|template| {
        let volume = template.metadata.name.as_deref().unwrap_or_default();
        let claim = claim_name(set, template, ordinal);
        pod.claims.iter().any(|(name, of)| name == volume && *of == claim)
    })
}

pub fn revision_of(pod: &PodView) -> &str {
    pod.labels.get(REVISION).map(String::as_str).unwrap_or_default()
}
