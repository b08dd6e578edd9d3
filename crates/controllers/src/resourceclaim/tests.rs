//! Table tests of what pods need of claims, and of what claims lose.

use apimachinery::{Value, value, yaml};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::resource::v1::{ResourceClaim, ResourceClaimTemplate};

use super::plan::{
    FINALIZER, MADE_FOR, Wanted, claim_of, is_for, is_made_for, is_pod, is_served, names, needs_claims,
    needs_reservation, plan, still_uses, wanted,
};
use crate::pods::PodView;

fn read(text: &str) -> Value {
    serde_json::from_slice(&yaml::to_json(text.as_bytes()).unwrap().json).unwrap()
}

/// The pod `p` with the uid `1`, unless `uid` says else; `node`, `phase`,
/// `terminating`, `claims` (`spec.resourceClaims`) and `made` (statuses) are told.
fn pod(told: &Value) -> PodView {
    let mut tree = value!({
        "metadata": {"name": "p", "namespace": "ns", "uid": (told["uid"].as_str().unwrap_or("1"))},
        "spec": {"containers": [], "resourceClaims": (told["claims"].clone())},
        "status": {
            "phase": (told["phase"].as_str().unwrap_or("Pending")),
            "resourceClaimStatuses": (told["made"].clone())
        }
    });
    if let Some(node) = told["node"].as_str() {
        tree.set_at(&["spec", "nodeName"], node);
    }
    if told["terminating"].is_true() {
        tree.set_at(&["metadata", "deletionTimestamp"], "2026-01-01T00:00:00Z");
    }
    if let Some(name) = told["extended"].as_str() {
        tree.set_at(
            &["status", "extendedResourceClaimStatus"],
            value!({"resourceClaimName": name, "requestMappings": []}),
        );
    }
    PodView::of(tree.decode::<Pod>().unwrap())
}

/// What each entry of a pod's claims calls for, and the claims that it uses.
const WANTS: &str = r#"
- what: a claim of the user's
  claims: [{name: gpu, resourceClaimName: mine}]
  wants: [nothing]
  names: [mine]
- what: a template without a claim so far
  claims: [{name: gpu, resourceClaimTemplateName: t}]
  wants: [make t]
  names: []
- what: a template whose claim is told
  claims: [{name: gpu, resourceClaimTemplateName: t}]
  made: [{name: gpu, resourceClaimName: p-gpu-x}]
  wants: [keep t p-gpu-x]
  names: [p-gpu-x]
- what: a template of which no claim is needed
  claims: [{name: gpu, resourceClaimTemplateName: t}]
  made: [{name: gpu}]
  wants: [nothing]
  names: []
- what: an entry of neither kind
  claims: [{name: gpu}]
  wants: [nothing]
  names: []
- what: several, one of them of an extended resource
  claims: [{name: a, resourceClaimName: mine}, {name: b, resourceClaimTemplateName: t}]
  made: [{name: b, resourceClaimName: p-b-x}, {name: other, resourceClaimName: o}]
  extended: e
  wants: [nothing, keep t p-b-x]
  names: [mine, p-b-x, e]
"#;

#[test]
fn a_pods_claims_are_told_apart() {
    for case in read(WANTS).items() {
        let pod = pod(case);
        let wants: Vec<String> = pod
            .device_claims
            .iter()
            .map(|entry| match wanted(entry) {
                Wanted::Nothing => "nothing".into(),
                Wanted::Recorded { template, name } => format!("keep {template} {name}"),
                Wanted::Unrecorded { template } => format!("make {template}"),
            })
            .collect();
        let texts = |of: &str| case[of].items().iter().map(|text| text.text().to_owned()).collect::<Vec<_>>();
        assert_eq!(wants, texts("wants"), "{}", case["what"].text());
        assert_eq!(names(&pod).collect::<Vec<_>>(), texts("names"), "{}", case["what"].text());
    }
}

/// Whether a pod may still run with its claims, and whether any are made for it.
const ENDS: &str = r#"
- {phase: Pending, needs: true, served: true}
- {phase: Running, node: n1, needs: true, served: true}
- {phase: Running, node: n1, terminating: true, needs: true, served: false}
- {phase: Pending, terminating: true, needs: false, served: false}
- {phase: Succeeded, node: n1, needs: false, served: false}
- {phase: Failed, node: n1, needs: false, served: false}
"#;

#[test]
fn a_pod_needs_its_claims_while_it_may_run() {
    for case in read(ENDS).items() {
        assert_eq!(needs_claims(&pod(case)), case["needs"].is_true(), "{case:?}");
        assert_eq!(is_served(&pod(case)), case["served"].is_true(), "{case:?}");
    }
}

#[test]
fn a_claim_is_as_its_template_says() {
    let template: ResourceClaimTemplate = read(
        "
metadata: {name: t, namespace: ns}
spec:
  metadata: {labels: {l: x}, annotations: {a: b}}
  spec: {devices: {requests: [{name: r, exactly: {deviceClassName: gpu}}]}}
",
    )
    .decode()
    .unwrap();
    let pod = pod(&value!({}));
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

/// What becomes of a claim. `reserved` are consumers, `uses` those that still
/// are there; `owner` is the pod that it was made for, as it is seen.
const CLAIMS: &str = r#"
- what: a claim that is used stays as it is
  given: {reserved: [a], uses: [a], allocated: true, protected: true}
  expected: {}
- what: one consumer of two is gone
  given: {reserved: [a, b], uses: [b], allocated: true, protected: true}
  expected: {reserved: [b], allocated: true}
- what: devices go back with the last consumer
  given: {reserved: [a], uses: [], allocated: true, protected: true}
  expected: {reserved: [], allocated: false, release: true}
- what: devices that somebody else allocated stay
  given: {reserved: [a], uses: [], allocated: true, protected: false}
  expected: {reserved: [], allocated: true}
- what: devices that were allocated ahead of any consumer stay
  given: {reserved: [], uses: [], allocated: true, protected: true}
  expected: {}
- what: a deleted claim gives its devices back
  given: {reserved: [], uses: [], allocated: true, protected: true, terminating: true}
  expected: {reserved: [], allocated: false, release: true}
- what: a deleted claim without devices is let go
  given: {reserved: [], uses: [], allocated: false, protected: true, terminating: true}
  expected: {release: true}
- what: a deleted claim that is used is not
  given: {reserved: [a], uses: [a], allocated: true, protected: true, terminating: true}
  expected: {}
- what: a claim whose pod may run stays
  given: {reserved: [], uses: [], owner: {phase: Running, node: n1}}
  expected: {}
- what: a claim whose pod has ended goes, though the pod is there
  given: {reserved: [], uses: [], owner: {phase: Succeeded, node: n1}}
  expected: {delete: true}
- what: a claim whose pod has ended frees its devices first
  given: {reserved: [a], uses: [], allocated: true, protected: true, owner: {phase: Failed, node: n1}}
  expected: {reserved: [], allocated: false, release: true, delete: true}
- what: a claim whose pod was replaced goes
  given: {reserved: [], uses: [], owner: {uid: other}}
  expected: {delete: true}
- what: a claim whose pod is not seen is the garbage collector's
  given: {reserved: [], uses: [], owner: none}
  expected: {}
- what: another's use keeps the claim of a pod that has ended
  given: {reserved: [b], uses: [b], owner: {phase: Succeeded, node: n1}}
  expected: {}
"#;

#[test]
fn what_nobody_uses_is_freed() {
    for case in read(CLAIMS).items() {
        let what = case["what"].text();
        let given = &case["given"];
        let consumers: Vec<Value> = given["reserved"]
            .items()
            .iter()
            .map(|uid| value!({"resource": "pods", "name": "x", "uid": (uid.clone())}))
            .collect();
        let mut tree = value!({
            "metadata": {"name": "c", "namespace": "ns"}, "spec": {}, "status": {"reservedFor": consumers}
        });
        if given["allocated"].is_true() {
            tree.set_at(&["status", "allocation"], value!({}));
        }
        if given["protected"].is_true() {
            tree.set_at(&["metadata", "finalizers"], value!([FINALIZER]));
        }
        if given["terminating"].is_true() {
            tree.set_at(&["metadata", "deletionTimestamp"], "2026-01-01T00:00:00Z");
        }
        if !given["owner"].is_null() {
            let owner =
                value!({"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "1", "controller": true});
            tree.set_at(&["metadata", "ownerReferences"], value!([owner]));
        }
        let claim: ResourceClaim = tree.decode().unwrap();
        let owner = matches!(given["owner"], Value::Object(_)).then(|| pod(&given["owner"]));
        let uses: Vec<&str> = given["uses"].items().iter().map(|uid| uid.text()).collect();
        let reserved = claim.status.as_ref().unwrap().reserved_for.clone().unwrap_or_default();
        let remaining: Vec<_> =
            reserved.into_iter().filter(|consumer| uses.contains(&consumer.uid.as_str())).collect();
        let plan = plan(&claim, &remaining, owner.as_ref());
        let expected = &case["expected"];
        let written = plan.status.map(|claim| {
            let status = claim.status.unwrap();
            let uids =
                status.reserved_for.into_iter().flatten().map(|consumer| consumer.uid).collect::<Vec<_>>();
            (uids, status.allocation.is_some())
        });
        let wanted = (!expected["reserved"].is_null()).then(|| {
            let uids =
                expected["reserved"].items().iter().map(|uid| uid.text().to_owned()).collect::<Vec<_>>();
            (uids, expected["allocated"].is_true())
        });
        assert_eq!(written, wanted, "{what}");
        assert_eq!(plan.release, expected["release"].is_true(), "{what}");
        assert_eq!(plan.delete, expected["delete"].is_true(), "{what}");
    }
}

/// Whether the claim `c` is to be reserved for the pod with the uid `1`.
const RESERVATIONS: &str = r#"
- {node: n1, allocated: true, reserved: [], expected: true}
- {node: n1, allocated: true, reserved: ["2"], expected: true}
- {node: n1, allocated: true, reserved: ["1"], expected: false}
- {node: n1, allocated: false, reserved: [], expected: false}
- {allocated: true, reserved: [], expected: false}
"#;

#[test]
fn a_pod_that_was_bound_by_hand_gets_its_reservation() {
    for case in read(RESERVATIONS).items() {
        let consumers: Vec<Value> = case["reserved"]
            .items()
            .iter()
            .map(|uid| value!({"resource": "pods", "name": "x", "uid": (uid.clone())}))
            .collect();
        let mut tree = value!({"metadata": {"name": "c"}, "spec": {}, "status": {"reservedFor": consumers}});
        if case["allocated"].is_true() {
            tree.set_at(&["status", "allocation"], value!({}));
        }
        let claim: ResourceClaim = tree.decode().unwrap();
        assert_eq!(needs_reservation(&claim, &pod(case)), case["expected"].is_true(), "{case:?}");
        for consumer in claim.status.unwrap().reserved_for.unwrap_or_default() {
            assert!(is_pod(&consumer));
            assert_eq!(still_uses(&consumer, &pod(case)), consumer.uid == "1");
        }
    }
}
