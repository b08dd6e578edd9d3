//! Table tests of what pods need of claims, and of what claims lose.

use apimachinery::{Value, value};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::resource::v1::{ResourceClaim, ResourceClaimTemplate};
use serde::Deserialize;

use super::plan::{
    MADE_FOR, Wanted, claim_of, is_for, is_made_for, is_pod, is_served, names, needs_claims,
    needs_reservation, plan, still_uses, wanted,
};
use crate::cases::{Written, check};
use crate::pods::PodView;

const CASES: &str = include_str!("cases.yaml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfPod {
    pod: Written<Pod>,
}

#[test]
fn a_pods_claims_are_told_apart() {
    check(CASES, "a pod's claims are told apart", |case: OfPod| {
        let pod: PodView = case.pod.seen();
        let wants = pod.device_claims.iter().map(|entry| match wanted(entry) {
            Wanted::Nothing => "nothing".into(),
            Wanted::Recorded { template, name } => format!("keep {template} {name}"),
            Wanted::Unrecorded { template } => format!("make {template}"),
        });
        let wants: Vec<Value> = wants.map(|text: String| text.into()).collect();
        let names: Vec<Value> = names(&pod).map(|name| name.to_string().into()).collect();
        value!({"wants": wants, "names": names})
    });
}

#[test]
fn a_pod_needs_its_claims_while_it_may_run() {
    check(CASES, "a pod needs its claims while it may run", |case: OfPod| {
        let pod = case.pod.seen();
        let mut words = Vec::from_iter(needs_claims(&pod).then_some("needed"));
        words.extend(is_served(&pod).then_some("made"));
        words
    });
}

#[test]
fn a_claim_is_as_its_template_says() {
    let template: ResourceClaimTemplate = value!({
        "metadata": {"name": "t", "namespace": "ns"},
        "spec": {
            "metadata": {"labels": {"l": "x"}, "annotations": {"a": "b"}},
            "spec": {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "gpu"}}]}}
        }
    })
    .decode()
    .unwrap();
    let pod = PodView { name: "p".into(), namespace: "ns".into(), uid: "1".into(), ..PodView::default() };
    let claim = claim_of(&pod, "gpu", &template);
    assert_eq!(claim.spec, template.spec.clone().unwrap().spec);
    assert_eq!(claim.metadata.generate_name.as_deref(), Some("p-gpu-"));
    assert_eq!(claim.metadata.labels.as_ref().unwrap()["l"], "x");
    let annotations = claim.metadata.annotations.as_ref().unwrap();
    assert_eq!((annotations["a"].as_str(), annotations[MADE_FOR].as_str()), ("b", "gpu"));
    assert!(is_for(&claim, &pod) && is_made_for(&claim, &pod, "gpu") && !is_made_for(&claim, &pod, "other"));
    let owners = claim.metadata.owner_references.unwrap();
    assert_eq!((owners[0].kind.as_str(), owners[0].block_owner_deletion), ("Pod", None));

    let long = PodView { name: "p".repeat(60), ..pod };
    let base = claim_of(&long, &"c".repeat(60), &template).metadata.generate_name.unwrap();
    assert_eq!(base, format!("{}-{}", "p".repeat(28), "c".repeat(28)));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfClaim {
    claim: Written<ResourceClaim>,
    uses: Vec<String>,
    pod: Option<Written<Pod>>,
}

#[test]
fn what_nobody_uses_is_freed() {
    check(CASES, "what nobody uses is freed", |case: OfClaim| {
        let reserved = case.claim.status.as_ref().unwrap().reserved_for.clone().unwrap_or_default();
        let remaining: Vec<_> =
            reserved.into_iter().filter(|consumer| case.uses.contains(&consumer.uid)).collect();
        let owner = case.pod.map(|pod| pod.seen());
        let plan = plan(&case.claim, &remaining, owner.as_ref());
        let mut lines = Vec::new();
        if let Some(status) = plan.status.and_then(|claim| claim.status) {
            let uids: Vec<_> =
                status.reserved_for.into_iter().flatten().map(|consumer| consumer.uid).collect();
            let uids = if uids.is_empty() { "nobody".to_owned() } else { uids.join(" ") };
            let allocated = if status.allocation.is_some() { "allocated" } else { "not allocated" };
            lines.push(format!("reserve for {uids}, {allocated}"));
        }
        lines.extend(plan.release.then(|| "release".to_owned()));
        lines.extend(plan.delete.then(|| "delete".to_owned()));
        lines
    });
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reserving {
    pod: Written<Pod>,
    claim: Written<ResourceClaim>,
}

#[test]
fn a_pod_that_was_bound_by_hand_gets_its_reservation() {
    check(CASES, "a pod that was bound by hand gets its reservation", |case: Reserving| {
        let pod = case.pod.seen();
        for consumer in case.claim.status.iter().flat_map(|status| status.reserved_for.iter().flatten()) {
            assert!(is_pod(consumer));
            assert_eq!(still_uses(consumer, &pod), consumer.uid == "1");
        }
        needs_reservation(&case.claim, &pod)
    });
}
