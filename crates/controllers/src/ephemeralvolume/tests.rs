//! Table tests of the plan.

use apimachinery::{Value, value};
use k8s_openapi::api::core::v1::Pod;

use super::plan::{may_have_templates, plan};
use crate::pods::PodView;

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
    let claims = plan(&pod, |_| false);
    assert_eq!(
        Value::from_serialize(&claims[0]).unwrap(),
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
    assert_eq!(claims.len(), 1);
    assert!(plan(&pod, |name| name == "web-scratch").is_empty(), "it is there");
    tree.set_at(&["metadata", "deletionTimestamp"], "2026-01-01T00:00:00Z");
    let going: Pod = tree.decode().unwrap();
    assert!(plan(&going, |_| false).is_empty() && !may_have_templates(&PodView::of(going)));
}
