//! Table tests of what is used.

use std::collections::BTreeMap;

use apimachinery::Value;
use k8s_openapi::api::core::v1::{Pod, ResourceQuota};
use serde::Deserialize;

use super::plan::{is_open, plan, resources};
use crate::cases::{Written, check};

const CASES: &str = include_str!("cases.yaml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Using {
    quota: Written<ResourceQuota>,
    pods: Vec<Written<Pod>>,
}

#[test]
fn what_is_used_is_summed() {
    check(CASES, "what is used is summed", |case: Using| {
        let pods = case.pods.iter().map(|pod| Value::from_serialize(&pod.0).unwrap()).collect();
        let status = plan(&case.quota, &BTreeMap::from([(("", "pods"), pods)]));
        status.map(|status| Value::from_serialize(&status).unwrap())
    });
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    quota: Written<ResourceQuota>,
}

#[test]
fn what_a_quota_counts() {
    check(CASES, "what a quota counts", |case: Seen| {
        let counted = resources(&case.quota).into_iter();
        counted.map(|(group, plural)| format!("{plural}.{group}")).collect::<Vec<_>>()
    });
}

#[test]
fn a_quota_is_open_until_its_status_speaks_of_it() {
    check(CASES, "a quota is open until its status speaks of it", |case: Seen| is_open(&case.quota));
}
