//! What has lost its owners goes, in the way it was asked.

use std::time::Duration;

use apimachinery::{Value, value};
use client::{DeleteOptions, Propagation};

use crate::cluster::{CONFIG_MAPS, Cluster, DEPLOYMENTS, EVENTS, PODS, REPLICA_SETS, deployment};

async fn with_web(seed: u64) -> Cluster {
    let cluster = Cluster::start(seed, &["n1"]).await;
    let admin = &cluster.admin;
    admin.create(&DEPLOYMENTS, "default", deployment("web", 2, "one")).await.unwrap();
    admin.eventually("two pods", || async { admin.list(&PODS, "default").await.len() == 2 }).await;
    cluster
}

fn propagate(propagation: Propagation) -> DeleteOptions {
    DeleteOptions { propagation: Some(propagation), ..DeleteOptions::default() }
}

#[tokio::test(start_paused = true)]
async fn in_the_background_dependents_follow() {
    let cluster = with_web(21).await;
    let admin = &cluster.admin;
    admin.delete_with(&DEPLOYMENTS, "default", "web", propagate(Propagation::Background)).await.unwrap();
    admin
        .eventually("nothing", || async {
            admin.list(&REPLICA_SETS, "default").await.is_empty()
                && admin.list(&PODS, "default").await.is_empty()
        })
        .await;
    cluster.stop();
}

#[tokio::test(start_paused = true)]
async fn in_the_foreground_the_owner_goes_last() {
    let cluster = with_web(22).await;
    let admin = &cluster.admin;
    // A set that somebody holds.
    let set = admin.list(&REPLICA_SETS, "default").await.remove(0);
    let name = set["metadata"]["name"].text();
    let hold = value!({"metadata": {"finalizers": ["example.com/hold"]}});
    admin.patch(&REPLICA_SETS, "default", name, None, hold).await.unwrap();
    admin.delete_with(&DEPLOYMENTS, "default", "web", propagate(Propagation::Foreground)).await.unwrap();
    admin.eventually("no pods", || async { admin.list(&PODS, "default").await.is_empty() }).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let web = admin.get(&DEPLOYMENTS, "default", "web").await.expect("the owner waits");
    assert_eq!(web["metadata"]["finalizers"][0].text(), "foregroundDeletion");
    let free = value!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["example.com/hold"]}});
    admin.patch(&REPLICA_SETS, "default", name, None, free).await.unwrap();
    admin
        .eventually("the owner's end", || async {
            admin.get(&DEPLOYMENTS, "default", "web").await.is_err()
                && admin.list(&REPLICA_SETS, "default").await.is_empty()
        })
        .await;
    cluster.stop();
}

#[tokio::test(start_paused = true)]
async fn orphans_stay_without_owner() {
    let cluster = with_web(23).await;
    let admin = &cluster.admin;
    admin.delete_with(&DEPLOYMENTS, "default", "web", propagate(Propagation::Orphan)).await.unwrap();
    admin
        .eventually("the owner's end", || async { admin.get(&DEPLOYMENTS, "default", "web").await.is_err() })
        .await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let sets = admin.list(&REPLICA_SETS, "default").await;
    assert_eq!(sets.len(), 1);
    assert!(sets[0]["metadata"]["ownerReferences"].is_null());
    assert_eq!(admin.list(&PODS, "default").await.len(), 2);
    cluster.stop();
}

fn map(name: &str, owners: Value) -> Value {
    value!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "ownerReferences": (owners)}
    })
}

#[tokio::test(start_paused = true)]
async fn absent_owners_are_verified() {
    let cluster = Cluster::start(24, &["n1"]).await;
    let admin = &cluster.admin;
    let owner = value!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner"}});
    let owner = admin.create(&CONFIG_MAPS, "default", owner).await.unwrap();
    let uid = owner["metadata"]["uid"].text();
    let solid = || value!({"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid});
    let absent = || value!({"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "no-such"});
    for (name, owners) in [
        ("owned", value!([(solid())])),
        ("lost", value!([(absent())])),
        ("both", value!([(solid()), (absent())])),
    ] {
        admin.create(&CONFIG_MAPS, "default", map(name, owners)).await.unwrap();
    }
    // An owner of another namespace is none.
    admin.create(&CONFIG_MAPS, "kube-public", map("across", value!([(solid())]))).await.unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(admin.get(&CONFIG_MAPS, "default", "owned").await.is_ok());
    assert!(admin.get(&CONFIG_MAPS, "default", "lost").await.is_err());
    assert!(admin.get(&CONFIG_MAPS, "kube-public", "across").await.is_err());
    let events = admin.list(&EVENTS, "kube-public").await;
    let told = events.iter().find(|event| event["reason"].text() == "OwnerRefInvalidNamespace");
    let told = told.expect("its writer is told");
    assert_eq!(told["involvedObject"]["kind"].text(), "ConfigMap");
    assert_eq!(told["involvedObject"]["apiVersion"].text(), "v1");
    assert_eq!(told["involvedObject"]["name"].text(), "across");
    assert_eq!(
        told["message"].text(),
        format!(
            "ownerRef [v1/ConfigMap, namespace: kube-public, name: owner, uid: {uid}] does not exist in namespace \
             \"kube-public\""
        )
    );
    let both = admin.get(&CONFIG_MAPS, "default", "both").await.unwrap();
    assert_eq!(both["metadata"]["ownerReferences"].items().len(), 1);
    assert_eq!(both["metadata"]["ownerReferences"][0]["name"].text(), "owner");
    cluster.stop();
}

#[tokio::test(start_paused = true)]
async fn pods_of_a_node_that_is_gone_go_too() {
    let cluster = Cluster::start(25, &["n1"]).await;
    let admin = &cluster.admin;
    let pod = value!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "lost"},
        "spec": {"nodeName": "ghost", "containers": [{"name": "main", "image": "one"}]}
    });
    admin.create(&PODS, "default", pod).await.unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(admin.get(&PODS, "default", "lost").await.is_ok(), "its node may come yet");
    admin.eventually("its end", || async { admin.get(&PODS, "default", "lost").await.is_err() }).await;
    cluster.stop();
}
