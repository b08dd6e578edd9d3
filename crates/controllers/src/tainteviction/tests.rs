//! Table tests of the plan.

use k8s_openapi::api::core::v1::{Pod, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Deserialize;

use super::plan::{Observed, plan};
use crate::cases::{Written, check};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    taints: Vec<Written<Taint>>,
    pods: Vec<Written<Pod>>,
    now: Time,
}

#[test]
fn tolerations_give_time() {
    check(include_str!("cases.yaml"), "tolerations give time", |case: Case| {
        let taints = case.taints.into_iter().map(|taint| {
            let since = taint.time_added.clone().unwrap().0;
            (taint.0, since)
        });
        let pods: Vec<Pod> = case.pods.into_iter().map(|pod| pod.0).collect();
        let plan = plan(&Observed { taints: taints.collect(), pods: &pods, now: case.now.0 });
        let names = plan.evict.iter().map(|(pod, _)| pod.metadata.name.as_deref().unwrap());
        let mut lines: Vec<String> = names.map(|name| format!("evict {name}")).collect();
        lines.extend(plan.again.map(|after| format!("look again after {after:?}")));
        lines
    });
}
