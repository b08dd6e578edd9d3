//! Table tests of protection.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::VolumeAttributesClass;
use serde::Deserialize;

use super::plan::{Claim, Class, Volume, plan};
use crate::cases::{Written, check};
use crate::protection::Action;

const CASES: &str = include_str!("cases.yaml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Protected {
    class: Written<VolumeAttributesClass>,
    used: bool,
}

#[test]
fn classes_are_protected_while_they_are_named() {
    check(CASES, "classes are protected while they are named", |case: Protected| {
        match plan(&Class::of(&case.class), case.used) {
            Action::Nothing => "nothing",
            Action::Protect => "protect",
            Action::Free => "free",
        }
    });
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Naming {
    claim: Option<Written<PersistentVolumeClaim>>,
    volume: Option<Written<PersistentVolume>>,
}

#[test]
fn claims_and_volumes_name_classes() {
    check(CASES, "claims and volumes name classes", |case: Naming| {
        let of_claim = case.claim.map(|claim| Claim::of(claim.0).classes);
        of_claim.or_else(|| case.volume.map(|volume| Volume::of(volume.0).classes)).unwrap()
    });
}
