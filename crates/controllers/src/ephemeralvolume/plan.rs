//! The claims that a pod's templates ask for. Pure.

use k8s_openapi::Resource;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::pods::PodView;
use crate::volume_claims::ephemeral_claim;

/// A claim that is called as an ephemeral volume's would be.
pub fn may_have_templates(pod: &PodView) -> bool {
    !pod.terminating && pod.claims.iter().any(|(volume, claim)| *claim == ephemeral_claim(&pod.name, volume))
}

/// Those that are missing; `exists` tells whether a claim of a name is there.
pub fn plan(pod: &Pod, exists: impl Fn(&str) -> bool) -> Vec<PersistentVolumeClaim> {
    if pod.metadata.deletion_timestamp.is_some() {
        return Vec::new();
    }
    let name = pod.metadata.name.as_deref().unwrap_or("");
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let templates = volumes.filter_map(|volume| {
        let template = volume.ephemeral.as_ref()?.volume_claim_template.as_ref()?;
        Some((ephemeral_claim(name, &volume.name), template))
    });
    let missing = templates.filter(|(claim, _)| !exists(claim));
    missing
        .map(|(claim, template)| {
            let metadata = template.metadata.clone().unwrap_or_default();
            let owner = OwnerReference {
                api_version: Pod::API_VERSION.into(),
                kind: Pod::KIND.into(),
                name: name.to_owned(),
                uid: pod.metadata.uid.clone().unwrap_or_default(),
                controller: Some(true),
                block_owner_deletion: Some(true),
            };
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
        })
        .collect()
}
