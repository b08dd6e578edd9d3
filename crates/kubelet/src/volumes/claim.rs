//! persistentVolumeClaim and ephemeral: what lies behind a claim, where it is
//! a directory of this node (hostPath, local).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use client::{Api, Transport};
use k8s_openapi::api::core::v1::{
    HostPathVolumeSource, PersistentVolume, PersistentVolumeClaim, Pod, Volume,
};

use super::{Content, host_path};
use crate::pod::spec::PodExt;

/// The volume behind each claim of a pod.
pub type Claimed = BTreeMap<String, PersistentVolume>;

/// The claim that a volume shows.
fn claim_of(pod: &Pod, volume: &Volume) -> Option<String> {
    if volume.ephemeral.is_some() {
        return Some(format!("{}-{}", pod.name(), volume.name));
    }
    Some(volume.persistent_volume_claim.as_ref()?.claim_name.clone())
}

/// Asks for the claims of a pod and the volumes that they are bound to.
///
/// # Errors
/// The message of a FailedMount event.
pub async fn fetch(transport: &Arc<dyn Transport>, pod: &Pod) -> Result<Claimed, String> {
    let mut claimed = Claimed::new();
    let volumes = pod.spec().volumes.iter().flatten();
    for (volume, name) in volumes.filter_map(|volume| Some((volume, claim_of(pod, volume)?))) {
        let told = |why: String| {
            let (volume, namespace) = (&volume.name, pod.namespace());
            format!(
                "Unable to attach or mount volumes: unmounted volumes=[{volume}]: error processing PVC \
                 {namespace}/{name}: {why}"
            )
        };
        let claims = Api::<PersistentVolumeClaim>::namespaced(transport.clone(), pod.namespace());
        let claim = claims.get(&name).await.map_err(|error| told(error.to_string()))?;
        if volume.ephemeral.is_some() && !is_owned_by(&claim, pod) {
            let why = format!("PVC {}/{name} was not created for pod {}", pod.namespace(), pod.name());
            return Err(told(format!("{why} (pod is not owner)")));
        }
        let is_bound = claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound");
        let bound_to = claim.spec.and_then(|spec| spec.volume_name).filter(|_| is_bound);
        let bound_to = bound_to.ok_or_else(|| told("PVC is not bound".into()))?;
        let behind = Api::<PersistentVolume>::all(transport.clone()).get(&bound_to).await;
        claimed.insert(name.clone(), behind.map_err(|error| told(error.to_string()))?);
    }
    Ok(claimed)
}

fn is_owned_by(claim: &PersistentVolumeClaim, pod: &Pod) -> bool {
    let mut owners = claim.metadata.owner_references.iter().flatten();
    owners.any(|owner| owner.controller == Some(true) && owner.uid == pod.uid())
}

/// None for a volume that shows no claim.
pub(super) fn content(pod: &Pod, volume: &Volume, claimed: &Claimed) -> Option<Result<Content, String>> {
    let name = claim_of(pod, volume)?;
    let spec = claimed.get(&name).and_then(|behind| behind.spec.as_ref());
    let content =
        match (spec.and_then(|spec| spec.host_path.as_ref()), spec.and_then(|spec| spec.local.as_ref())) {
            (Some(source), _) => host_path::content(source),
            (_, Some(local)) => {
                let source =
                    HostPathVolumeSource { path: local.path.clone(), type_: Some("Directory".to_owned()) };
                host_path::content(&source)
            }
            _ => Err("this node cannot mount volumes of this kind".into()),
        };
    Some(content.map(|content| match content {
        Content::Node(path) => Content::Bound(path),
        other => other,
    }))
}

/// The place of a bound directory, which stays where it is.
pub(super) fn open(path: &Path) -> std::io::Result<std::os::fd::OwnedFd> {
    std::fs::File::open(path).map(Into::into)
}
