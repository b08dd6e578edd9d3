//! Table tests of protection.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use serde::Deserialize;

use super::plan::{plan, uses};
use crate::cases::{Written, check};
use crate::protection::Action;

const CASES: &str = include_str!("cases.yaml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Protected {
    claim: Written<PersistentVolumeClaim>,
    used: bool,
}

#[test]
fn claims_are_protected_while_they_are_used() {
    check(CASES, "claims are protected while they are used", |case: Protected| {
        match plan(&case.claim.seen(), case.used) {
            Action::Nothing => "nothing",
            Action::Protect => "protect",
            Action::Free => "free",
        }
    });
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Using {
    pod: Written<Pod>,
}

#[test]
fn a_bound_pod_uses_its_claims() {
    check(CASES, "a bound pod uses its claims", |case: Using| uses(&case.pod.seen(), "data"));
}
