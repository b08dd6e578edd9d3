//! Table tests of the plan.

use std::net::IpAddr;

use k8s_openapi::api::networking::v1::ServiceCIDR;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Deserialize;

use super::plan::{Action, plan};
use crate::cases::{Written, check};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    range: Written<ServiceCIDR>,
    others: Vec<Written<ServiceCIDR>>,
    /// Those in use.
    addresses: Vec<IpAddr>,
    now: Time,
}

#[test]
fn ranges_stay_while_they_are_needed() {
    check(include_str!("cases.yaml"), "ranges stay while they are needed", |case: Case| {
        let all: Vec<&ServiceCIDR> = case.others.iter().chain([&case.range]).map(|one| &one.0).collect();
        match plan(&case.range, &all, &case.addresses, case.now.0) {
            Action::Nothing => "nothing".to_owned(),
            Action::Protect => "protect".to_owned(),
            Action::Again(after) => format!("look again after {after:?}"),
            Action::Tell(told) => {
                format!("{} {} {}: {}", told.type_, told.status, told.reason, told.message)
            }
            Action::Free => "free".to_owned(),
        }
    });
}
