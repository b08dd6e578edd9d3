//! The claims that a pod's templates ask for. Pure.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimTemplate, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::owners::controlled_by;
use crate::pods::PodView;
use crate::volume_claims::{ClaimView, ephemeral_claim};

/// A claim that is called as an ephemeral volume's would be.
pub fn may_have_templates(pod: &PodView) -> bool {
    !pod.terminating && pod.claims.iter().any(|(volume, claim)| *claim == ephemeral_claim(&pod.name, volume))
}

/// What an ephemeral volume of a pod needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub volume: String,
    /// The claim to make, or why its place is taken.
    pub claim: Result<Box<PersistentVolumeClaim>, String>,
}

/// The volumes whose claim is missing or another's, in the pod's order.
pub fn plan(pod: &Pod, seen: impl Fn(&str) -> Option<Arc<ClaimView>>) -> Vec<Step> {
    if pod.metadata.deletion_timestamp.is_some() {
        return Vec::new();
    }
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (namespace, name) = (text(&pod.metadata.namespace), text(&pod.metadata.name));
    let uid = text(&pod.metadata.uid);
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let steps = volumes.filter_map(|volume| {
        let template = volume.ephemeral.as_ref()?.volume_claim_template.as_ref()?;
        let claim = ephemeral_claim(&name, &volume.name);
        let claim = match seen(&claim) {
            Some(known) if is_owned(&known, &uid) => return None,
            Some(_) => Err(format!(
                "PVC {namespace}/{claim} was not created for pod {namespace}/{name} (pod is not owner)"
            )),
            None => Ok(Box::new(claim_of(pod, claim, template))),
        };
        Some(Step { volume: volume.name.clone(), claim })
    });
    steps.collect()
}

fn is_owned(claim: &ClaimView, uid: &str) -> bool {
    claim.owners.iter().any(|owner| owner.controller == Some(true) && owner.uid == uid)
}

fn claim_of(pod: &Pod, claim: String, template: &PersistentVolumeClaimTemplate) -> PersistentVolumeClaim {
    let metadata = template.metadata.clone().unwrap_or_default();
    let owner = controlled_by(pod);
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(claim),
            namespace: pod.metadata.namespace.clone(),
            labels: metadata.labels,
            annotations: metadata.annotations,
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(template.spec.clone()),
        status: None,
    }
}
