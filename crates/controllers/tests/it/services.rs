//! Addresses behind Services follow their pods.

use std::time::Duration;

use apimachinery::value;

use crate::cluster::{
    CONFIG_MAPS, Cluster, DEPLOYMENTS, ENDPOINTS, NAMESPACES, PODS, SERVICES, SLICES, deployment,
};

#[tokio::test(start_paused = true)]
async fn endpoints_follow_pods() {
    let cluster = Cluster::start(11, &["n1"]).await;
    let admin = &cluster.admin;
    let service = value!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "labels": {"tier": "front"}},
        "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}
    });
    admin.create(&SERVICES, "default", service).await.unwrap();
    admin.create(&DEPLOYMENTS, "default", deployment("web", 3, "one")).await.unwrap();
    let ready = |wanted: usize| async move {
        let slices = admin.list(&SLICES, "default").await;
        let of_web = slices
            .iter()
            .filter(|slice| slice["metadata"]["labels"]["kubernetes.io/service-name"].text() == "web");
        let endpoints: Vec<_> = of_web.flat_map(|slice| slice["endpoints"].items().to_vec()).collect();
        let ready = endpoints.iter().filter(|e| e["conditions"]["ready"].is_true()).count();
        let old = admin.get(&ENDPOINTS, "default", "web").await;
        let addresses = old.map(|old| old["subsets"][0]["addresses"].items().len()).unwrap_or(0);
        ready == wanted && endpoints.len() == wanted && addresses == wanted
    };
    admin.eventually("three endpoints", || ready(3)).await;
    let slices = admin.list(&SLICES, "default").await;
    let slice = slices
        .iter()
        .find(|slice| slice["metadata"]["labels"]["kubernetes.io/service-name"].text() == "web")
        .unwrap();
    assert_eq!(slice["ports"][0]["port"].as_i64(), Some(8080));
    assert_eq!(slice["endpoints"][0]["nodeName"].text(), "n1");
    assert_eq!(slice["metadata"]["labels"]["tier"].text(), "front");
    assert_eq!(slice["metadata"]["ownerReferences"][0]["kind"].text(), "Service");

    // A pod that loses its readiness is an endpoint that is not ready.
    let pods = admin.list(&PODS, "default").await;
    let name = pods[0]["metadata"]["name"].text();
    let patch = value!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}});
    admin.patch(&PODS, "default", name, Some("status"), patch).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let slices = admin.list(&SLICES, "default").await;
    let unready = slices
        .iter()
        .flat_map(|slice| slice["endpoints"].items())
        .filter(|endpoint| endpoint["conditions"]["ready"].as_bool() == Some(false))
        .count();
    assert_eq!(unready, 1);
    let old = admin.get(&ENDPOINTS, "default", "web").await.unwrap();
    assert_eq!(old["subsets"][0]["notReadyAddresses"].items().len(), 1);

    let patch = value!({"spec": {"replicas": 0}});
    admin.patch(&DEPLOYMENTS, "default", "web", None, patch).await.unwrap();
    admin.eventually("no endpoints", || ready(0)).await;
    cluster.stop();
}

#[tokio::test(start_paused = true)]
async fn every_namespace_gets_its_account_and_authority_and_goes_empty() {
    let cluster = Cluster::start(12, &["n1"]).await;
    let admin = &cluster.admin;
    let namespace = value!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "short"}});
    admin.create(&NAMESPACES, "", namespace).await.unwrap();
    let accounts = client::Resource::new("", "v1", "serviceaccounts");
    admin
        .eventually("account and authority", || async {
            admin.get(&accounts, "short", "default").await.is_ok()
                && admin
                    .get(&CONFIG_MAPS, "short", "kube-root-ca.crt")
                    .await
                    .is_ok_and(|map| map["data"]["ca.crt"].text() == "PEM")
        })
        .await;
    admin.create(&DEPLOYMENTS, "short", deployment("web", 3, "one")).await.unwrap();
    admin.eventually("pods", || async { admin.list(&PODS, "short").await.len() == 3 }).await;
    admin.delete(&NAMESPACES, "", "short").await.unwrap();
    admin
        .eventually("the namespace's end", || async {
            admin.get(&NAMESPACES, "", "short").await.is_err_and(|error| error.is_not_found())
        })
        .await;
    assert!(admin.list(&PODS, "short").await.is_empty());
    assert!(admin.list(&CONFIG_MAPS, "short").await.is_empty());
    cluster.stop();
}
