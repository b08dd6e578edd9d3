//! Tells the API what was chosen, and waits until claims are bound.

use std::sync::Arc;
use std::time::Duration;

use client::{Api, Error, ListOptions, Object, Transport, WatchKind};
use futures::StreamExt;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};

use super::Chosen;
use super::facts::{SELECTED_NODE, bound_volume, selected_node};
use crate::PodInfo;

const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
/// How long a claim may take (`bindTimeoutSeconds`).
const PATIENCE: Duration = Duration::from_secs(600);
/// Before a watch that ended is begun again.
const PAUSE: Duration = Duration::from_secs(1);

/// Ties volumes to claims, says where volumes are to be made, and waits.
pub async fn carry_out(transport: &Arc<dyn Transport>, pod: &PodInfo, chosen: &Chosen) -> Result<(), String> {
    let claims = Api::<PersistentVolumeClaim>::namespaced(transport.clone(), pod.namespace.clone());
    let volumes = Api::<PersistentVolume>::all(transport.clone());
    for (claim, volume) in &chosen.matched {
        let claim = claims.get(claim).await.map_err(text)?;
        let volume = volumes.get(volume).await.map_err(text)?;
        if let Some(tied) = tied(volume, &claim)? {
            volumes.update(&tied).await.map_err(text)?;
        }
    }
    for claim in &chosen.made {
        let claim = claims.get(claim).await.map_err(text)?;
        if let Some(sent) = sent_to(claim, &chosen.node)? {
            claims.update(&sent).await.map_err(text)?;
        }
    }
    let all_bound = async {
        for (claim, _) in &chosen.matched {
            until(&claims, claim, |claim| bound(claim, None)).await?;
        }
        for claim in &chosen.made {
            until(&claims, claim, |claim| bound(claim, Some(&chosen.node))).await?;
        }
        Ok(())
    };
    let pods = Api::<Pod>::namespaced(transport.clone(), pod.namespace.clone());
    let left = until(&pods, &pod.name, |other: Option<&Pod>| {
        let uid = other.and_then(|other| other.metadata.uid.as_deref());
        (uid != Some(&pod.uid)).then(|| Err("pod does not exist any more".to_owned()))
    });
    let outcome = async {
        tokio::select! {
            // In order, so that a simulation repeats itself.
            biased;
            outcome = all_bound => outcome,
            outcome = left => outcome,
        }
    };
    match tokio::time::timeout(PATIENCE, outcome).await {
        Ok(outcome) => outcome.map_err(|why| format!("binding volumes: {why}")),
        Err(_) => Err("binding volumes: context deadline exceeded".to_owned()),
    }
}

fn text(error: Error) -> String {
    error.to_string()
}

/// The volume with a reference to the claim; None where it has one. Pure.
pub fn tied(
    mut volume: PersistentVolume,
    claim: &PersistentVolumeClaim,
) -> Result<Option<PersistentVolume>, String> {
    let kept = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
    let has_uid = kept.map(|kept| kept.uid.as_ref().is_some_and(|uid| !uid.is_empty()));
    match has_uid {
        Some(_) if !api::volume::is_bound_to(&volume, claim) => {
            let name = volume.metadata.name.unwrap_or_default();
            return Err(format!("volume {name:?} is bound to another claim by now"));
        }
        Some(true) => return Ok(None),
        // Somebody kept it for the claim, which was not there yet.
        Some(false) => {}
        None => {
            let annotations = volume.metadata.annotations.get_or_insert_default();
            annotations.insert(BOUND_BY_CONTROLLER.to_owned(), "yes".to_owned());
        }
    }
    volume.spec.get_or_insert_default().claim_ref = Some(api::volume::reference_to(claim));
    Ok(Some(volume))
}

/// The claim with the node for which a volume is to be made; None where it
/// says so. Pure.
pub fn sent_to(
    mut claim: PersistentVolumeClaim,
    node: &str,
) -> Result<Option<PersistentVolumeClaim>, String> {
    match selected_node(&claim) {
        Some(selected) if selected == node => return Ok(None),
        Some(_) => {
            let name = claim.metadata.name.unwrap_or_default();
            return Err(format!("a volume of PVC {name:?} is being made for another node"));
        }
        None => {}
    }
    let annotations = claim.metadata.annotations.get_or_insert_default();
    annotations.insert(SELECTED_NODE.to_owned(), node.to_owned());
    Ok(Some(claim))
}

/// Whether waiting for a claim has an end, and which. Whoever makes volumes
/// takes the node away where it cannot. Pure.
pub fn bound(claim: Option<&PersistentVolumeClaim>, node: Option<&str>) -> Option<Result<(), String>> {
    let Some(claim) = claim else { return Some(Err("a claim does not exist any more".to_owned())) };
    let name = claim.metadata.name.as_deref().unwrap_or_default();
    if node.is_some() && selected_node(claim) != node {
        return Some(Err(format!("provisioning failed for PVC {name:?}")));
    }
    bound_volume(claim).map(|_| Ok(()))
}

/// Watches one object until `judge` comes to an end; None is one that is gone.
async fn until<K: Object + 'static>(
    api: &Api<K>,
    name: &str,
    judge: impl Fn(Option<&K>) -> Option<Result<(), String>>,
) -> Result<(), String> {
    let one = ListOptions::fields(format!("metadata.name={name}"));
    loop {
        let (found, revision) = api.list(&one).await.map_err(text)?;
        if let Some(outcome) = judge(found.first()) {
            return outcome;
        }
        let since = ListOptions { resource_version: Some(revision.to_string()), ..one.clone() };
        let mut events = api.watch(&since).await.map_err(text)?;
        while let Some(Ok((kind, object))) = events.next().await {
            let seen = (kind != WatchKind::Deleted).then_some(&object);
            if let Some(outcome) = judge(seen) {
                return outcome;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}
