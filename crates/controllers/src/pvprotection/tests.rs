//! Table tests of protection.

use k8s_openapi::api::core::v1::PersistentVolume;
use serde::Deserialize;

use super::plan::{Volume, plan};
use crate::cases::{Written, check};
use crate::protection::Action;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    volume: Written<PersistentVolume>,
}

#[test]
fn volumes_are_protected_while_they_are_bound() {
    check(include_str!("cases.yaml"), "volumes are protected while they are bound", |case: Case| match plan(
        &Volume::of(&case.volume),
    ) {
        Action::Nothing => "nothing",
        Action::Protect => "protect",
        Action::Free => "free",
    });
}
