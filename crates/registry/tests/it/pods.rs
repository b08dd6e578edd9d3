//! A pod's way: admitted, bound, evicted, deleted with grace.

use apimachinery::value;
use client::Resource;

use crate::cluster::{Cluster, PODS};

#[tokio::test]
async fn a_pod_is_admitted_bound_and_deleted_with_grace() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let accounts = Resource::new("", "v1", "serviceaccounts");
    let pod = value!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}});
    let refused = admin.create(&PODS, "default", pod.clone()).await.expect_err("no service account yet");
    assert!(refused.to_string().contains("error looking up service account default/default"), "{refused}");

    admin.create(&accounts, "default", value!({"metadata": {"name": "default"}})).await.expect("an account");
    let made = admin.create(&PODS, "default", pod).await.expect("a pod");
    assert_eq!(made["spec"]["containers"][0]["imagePullPolicy"].text(), "Always");
    assert_eq!(made["spec"]["tolerations"].items().len(), 2);
    assert_eq!(made["spec"]["volumes"].items().len(), 1);
    assert_eq!(made["status"]["qosClass"].text(), "BestEffort");
    assert_eq!(made["metadata"]["generation"].as_i64(), Some(1));

    let binding = value!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}});
    admin.create_in(&PODS, ("default", "p"), "binding", binding.clone()).await.expect("bound");
    let again =
        admin.create_in(&PODS, ("default", "p"), "binding", binding).await.expect_err("bound already");
    assert!(again.to_string().contains("already assigned to node \"n1\""), "{again}");

    let ending = admin.delete(&PODS, "default", "p").await.expect("marked");
    assert_eq!(ending["metadata"]["deletionGracePeriodSeconds"].as_i64(), Some(30));
    assert_eq!(admin.get(&PODS, "default", "p").await.expect("still there")["spec"]["nodeName"].text(), "n1");
}

#[tokio::test]
async fn conditional_defaults_win_over_the_table() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let template = value!({"metadata": {"labels": {"a": "b"}}, "spec": {
        "containers": [{"name": "c", "image": "nginx"}], "restartPolicy": "Never"}});
    let jobs = Resource::new("batch", "v1", "jobs");
    let job = value!({"metadata": {"name": "j"}, "spec": {"parallelism": 3, "template": template.clone()}});
    let made = admin.create(&jobs, "default", job).await.expect("a job");
    assert!(made["spec"]["completions"].is_null());
    assert_eq!(
        made["spec"]["selector"]["matchLabels"]["batch.kubernetes.io/controller-uid"],
        made["metadata"]["uid"]
    );
    let deployments = Resource::new("apps", "v1", "deployments");
    let deployment = value!({"metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "x:1"}]}}}});
    let made = admin.create(&deployments, "default", deployment).await.expect("a deployment");
    assert_eq!(made["spec"]["strategy"]["rollingUpdate"]["maxSurge"].text(), "25%");
    assert_eq!(made["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"].text(), "IfNotPresent");
}
