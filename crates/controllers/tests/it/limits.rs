//! Budgets, quotas and aggregated roles tell what is so.

use apimachinery::value;

use crate::cluster::{BUDGETS, CLUSTER_ROLES, CONFIG_MAPS, Cluster, DEPLOYMENTS, PODS, QUOTAS, deployment};

#[tokio::test(start_paused = true)]
async fn a_budget_follows_its_pods() {
    let cluster = Cluster::start(31, &["n1"]).await;
    let admin = &cluster.admin;
    admin.create(&DEPLOYMENTS, "default", deployment("web", 3, "one")).await.unwrap();
    let budget = value!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "web"}}}
    });
    admin.create(&BUDGETS, "default", budget).await.unwrap();
    let status = |healthy: i64, allowed: i64| async move {
        let budget = admin.get(&BUDGETS, "default", "web").await.unwrap();
        let count = |name: &str| budget["status"][name].as_i64();
        count("expectedPods") == Some(3)
            && count("desiredHealthy") == Some(2)
            && count("currentHealthy") == Some(healthy)
            && count("disruptionsAllowed") == Some(allowed)
    };
    admin.eventually("one may go", || status(3, 1)).await;
    let pods = admin.list(&PODS, "default").await;
    let name = pods[0]["metadata"]["name"].text();
    let eviction = value!({
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": "default"}
    });
    admin.create_in(&PODS, ("default", name), "eviction", eviction).await.unwrap();
    admin.eventually("another has come", || status(3, 1)).await;
    cluster.stop();
}

#[tokio::test(start_paused = true)]
async fn a_quota_gives_back_what_is_gone() {
    let cluster = Cluster::start(32, &["n1"]).await;
    let admin = &cluster.admin;
    let quota = value!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"},
        "spec": {"hard": {"count/configmaps": "3", "pods": "5"}}
    });
    admin.create(&QUOTAS, "default", quota).await.unwrap();
    let used = |maps: &'static str| async move {
        let quota = admin.get(&QUOTAS, "default", "q").await.unwrap();
        quota["status"]["used"]["count/configmaps"].text() == maps
            && quota["status"]["used"]["pods"].text() == "0"
            && quota["status"]["hard"] == quota["spec"]["hard"]
    };
    // The cluster's certificates lie in every namespace.
    admin.eventually("what is there is counted", || used("1")).await;
    let map = |name: &str| value!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
    for name in ["a", "b"] {
        admin.create(&CONFIG_MAPS, "default", map(name)).await.unwrap();
    }
    assert!(used("3").await);
    assert!(admin.create(&CONFIG_MAPS, "default", map("c")).await.unwrap_err().is_forbidden());
    admin.delete(&CONFIG_MAPS, "default", "a").await.unwrap();
    admin.eventually("one is free", || used("2")).await;
    admin.create(&CONFIG_MAPS, "default", map("c")).await.unwrap();
    cluster.stop();
}

#[tokio::test(start_paused = true)]
async fn aggregated_roles_follow_their_parts() {
    let cluster = Cluster::start(33, &["n1"]).await;
    let admin = &cluster.admin;
    let has = |role: &'static str, resource: &'static str| async move {
        let role = admin.get(&CLUSTER_ROLES, "", role).await.unwrap();
        let rules = role["rules"].items();
        rules.iter().any(|rule| rule["resources"].items().iter().any(|one| one.text() == resource))
    };
    admin.eventually("view sees pods", || has("view", "pods")).await;
    let part = value!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {
            "name": "see-widgets", "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
        },
        "rules": [{"apiGroups": ["example.com"], "resources": ["widgets"], "verbs": ["get"]}]
    });
    admin.create(&CLUSTER_ROLES, "", part).await.unwrap();
    admin.eventually("view sees widgets", || has("view", "widgets")).await;
    // Which are seen by those above it too.
    admin.eventually("admin sees widgets", || has("admin", "widgets")).await;
    admin.delete(&CLUSTER_ROLES, "", "see-widgets").await.unwrap();
    admin.eventually("nobody does", || async { !has("admin", "widgets").await }).await;
    cluster.stop();
}
