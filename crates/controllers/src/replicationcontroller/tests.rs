//! Tests of the reading as a ReplicaSet.

use apimachinery::value;
use k8s_openapi::api::apps::v1::ReplicaSetStatus;
use k8s_openapi::api::core::v1::ReplicationController;

use crate::replicaset::Replicated;

#[test]
fn a_controller_is_read_as_a_set_and_keeps_its_own_status() {
    let controller: ReplicationController = value!({
        "metadata": {"name": "web", "uid": "u"},
        "spec": {
            "replicas": 3, "minReadySeconds": 5, "selector": {"app": "web"},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": []}}
        },
        "status": {"replicas": 2, "conditions": [{"type": "ReplicaFailure", "status": "True"}]}
    })
    .decode()
    .unwrap();
    let set = controller.as_set();
    assert_eq!((set.spec.replicas, set.spec.min_ready_seconds), (Some(3), Some(5)));
    assert_eq!(set.spec.selector.match_labels.as_ref().unwrap()["app"], "web");
    let mut status = set.status.clone().unwrap();
    assert!(controller.has_status(&status));
    // What a ReplicationController cannot tell makes no difference.
    status.terminating_replicas = Some(1);
    assert!(controller.has_status(&status));
    let status = ReplicaSetStatus { replicas: 3, ..status };
    assert!(!controller.has_status(&status));
    assert_eq!(controller.with_status(status).status.unwrap().replicas, 3);
}
