//! Table tests of aggregated rules.

use apimachinery::Value;
use k8s_openapi::api::rbac::v1::ClusterRole;
use serde::Deserialize;

use super::plan::plan;
use crate::cases::{Written, check};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    role: Written<ClusterRole>,
    others: Vec<Written<ClusterRole>>,
}

#[test]
fn rules_come_from_the_selected_roles() {
    check(include_str!("cases.yaml"), "rules come from the selected roles", |case: Case| {
        // It never takes its own rules.
        let all: Vec<&ClusterRole> = case.others.iter().chain([&case.role]).map(|role| &role.0).collect();
        plan(&case.role, &all).map(|rules| Value::from_serialize(&rules).unwrap())
    });
}
