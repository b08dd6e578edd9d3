//! Table tests of both plans.

use std::collections::BTreeMap;

use apimachinery::Value;
use apimachinery::patch::merge;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::plan::{ClaimSeen, Plan, Write, plan_claim, plan_volume};
use crate::cases::{Written, check};

const CASES: &str = include_str!("cases.yaml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfClaim {
    claim: Written<PersistentVolumeClaim>,
    volume: Value,
    volumes: BTreeMap<String, Value>,
    class: Value,
    classes: BTreeMap<String, Value>,
    pods: Vec<String>,
}

/// The objects that differ from `base` in what is told by their name.
fn objects<T>(base: &Value, told: BTreeMap<String, Value>) -> Vec<T>
where
    Written<T>: DeserializeOwned,
{
    let object = |(name, more): (String, Value)| {
        let mut object = base.clone();
        merge::apply(&mut object, more);
        object.set_at(&["metadata", "name"], name.as_str());
        object.set_at(&["metadata", "uid"], name);
        object.decode::<Written<T>>().unwrap().0
    };
    told.into_iter().map(object).collect()
}

fn shown(plan: &Plan) -> Vec<String> {
    let name = |volume: &PersistentVolume| volume.metadata.name.clone().unwrap();
    let write = |write: &Write| match write {
        Write::Volume(volume) => {
            let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.clone());
            let to = reference.map_or("nobody".to_owned(), |to| {
                format!("{}/{}", to.name.unwrap_or_default(), to.uid.unwrap_or_default())
            });
            format!("bind volume {} to {to}", name(volume))
        }
        Write::VolumeStatus(volume) => {
            format!(
                "volume {} is {}",
                name(volume),
                volume.status.as_ref().unwrap().phase.as_deref().unwrap()
            )
        }
        Write::Claim(claim) => {
            let spec = claim.spec.clone().unwrap();
            let volume = spec.volume_name.filter(|name| !name.is_empty());
            let volume = volume.map(|volume| format!(" with volume {volume}")).unwrap_or_default();
            let class = spec.storage_class_name.map(|class| format!(" of class {class}")).unwrap_or_default();
            format!("write claim{volume}{class}")
        }
        Write::ClaimStatus(claim) => {
            format!("claim is {}", claim.status.as_ref().unwrap().phase.as_deref().unwrap())
        }
    };
    let events = plan.events.iter().map(|(_, _, reason, _)| format!("event {reason}"));
    plan.writes.iter().map(write).chain(events).collect()
}

#[test]
fn claims_get_their_volumes() {
    check(CASES, "claims get their volumes", |case: OfClaim| {
        let volumes: Vec<PersistentVolume> = objects(&case.volume, case.volumes);
        let classes: Vec<StorageClass> = objects(&case.class, case.classes);
        shown(&plan_claim(&ClaimSeen {
            claim: &case.claim,
            volumes: volumes.iter().collect(),
            classes: classes.iter().collect(),
            waiting_pods: case.pods,
        }))
    });
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfVolume {
    volume: Written<PersistentVolume>,
    claim: Option<Written<PersistentVolumeClaim>>,
}

#[test]
fn volumes_follow_their_claims() {
    check(CASES, "volumes follow their claims", |case: OfVolume| {
        shown(&plan_volume(&case.volume, case.claim.as_deref()))
    });
}
