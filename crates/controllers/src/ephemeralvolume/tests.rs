//! Table tests of the plan.

use std::sync::Arc;

use apimachinery::{Value, value};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::plan::{may_have_templates, plan};
use crate::pods::PodView;
use crate::volume_claims::ClaimView;

#[test]
fn each_template_becomes_a_claim_of_the_pod() {
    let mut tree = value!({
        "metadata": {"name": "web", "namespace": "ns", "uid": "u"},
        "spec": {"containers": [], "volumes": [
            {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {
                "metadata": {"labels": {"kind": "scratch"}},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
            }}},
            {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
            {"name": "tmp", "emptyDir": {}}
        ]}
    });
    let pod: Pod = tree.clone().decode().unwrap();
    assert!(may_have_templates(&PodView::of(pod.clone())));
    let steps = plan(&pod, |_| None);
    assert_eq!(
        Value::from_serialize(steps[0].claim.as_ref().unwrap()).unwrap(),
        value!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {
                "labels": {"kind": "scratch"}, "name": "web-scratch", "namespace": "ns",
                "ownerReferences": [{
                    "apiVersion": "v1", "blockOwnerDeletion": true, "controller": true, "kind": "Pod",
                    "name": "web", "uid": "u"
                }]
            },
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        })
    );
    assert_eq!((steps.len(), steps[0].volume.as_str()), (1, "scratch"));
    let owned = |uid: &str, controller| {
        let owner =
            OwnerReference { uid: uid.into(), controller: Some(controller), ..OwnerReference::default() };
        let claim = ClaimView { owners: vec![owner], ..ClaimView::default() };
        plan(&pod, |name| (name == "web-scratch").then(|| Arc::new(claim.clone())))
    };
    assert!(owned("u", true).is_empty(), "it is there");
    for (uid, controller) in [("other", true), ("u", false)] {
        assert_eq!(
            owned(uid, controller)[0].claim.as_ref().unwrap_err(),
            "PVC ns/web-scratch was not created for pod ns/web (pod is not owner)"
        );
    }
    tree.set_at(&["metadata", "deletionTimestamp"], "2026-01-01T00:00:00Z");
    let going: Pod = tree.decode().unwrap();
    assert!(plan(&going, |_| None).is_empty() && !may_have_templates(&PodView::of(going)));
}
