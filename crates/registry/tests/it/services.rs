//! Addresses and node ports: given in the write's transaction, never twice.

use std::collections::BTreeSet;

use apimachinery::value;
use client::Resource;

use crate::cluster::{Cluster, SERVICES};

const ADDRESSES: Resource = Resource::new("networking.k8s.io", "v1", "ipaddresses");

#[tokio::test]
async fn the_cluster_has_its_own_service() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let service = admin.get(&SERVICES, "default", "kubernetes").await.expect("the service");
    assert_eq!(service["spec"]["clusterIP"].text(), "10.96.0.1");
    admin.get(&ADDRESSES, "", "10.96.0.1").await.expect("its address");
}

#[tokio::test]
async fn addresses_and_ports_are_given_once_and_come_back() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let mut given = BTreeSet::new();
    let mut ports = BTreeSet::new();
    for at in 0..60 {
        let service = value!({"metadata": {"name": format!("s{at}")},
            "spec": {"type": "NodePort", "ports": [{"port": 80}]}});
        let made = admin.create(&SERVICES, "default", service).await.expect("a service");
        assert!(given.insert(made["spec"]["clusterIP"].text().to_owned()));
        assert!(ports.insert(made["spec"]["ports"][0]["nodePort"].as_i64().expect("a port")));
    }
    let port = *ports.iter().next().expect("a port");
    let taken = value!({"metadata": {"name": "taken"},
        "spec": {"type": "NodePort", "ports": [{"port": 80, "nodePort": port}]}});
    let refused = admin.create(&SERVICES, "default", taken.clone()).await.expect_err("a taken port");
    assert!(refused.to_string().contains("provided port is already allocated"), "{refused}");
    for at in 0..60 {
        admin.delete(&SERVICES, "default", &format!("s{at}")).await.expect("deleted");
    }
    admin.create(&SERVICES, "default", taken).await.expect("the port is free again");
    for address in &given {
        assert!(
            admin.get(&ADDRESSES, "", address).await.is_err() || address.is_empty() || {
                let held = admin.get(&SERVICES, "default", "taken").await.expect("a service");
                held["spec"]["clusterIP"].text() == address
            }
        );
    }
}

#[tokio::test]
async fn writers_at_the_same_time_share_nothing() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let admin = &admin;
    let made = futures::future::join_all((0..40).map(|at| async move {
        let service = value!({"metadata": {"name": format!("c{at}")},
            "spec": {"type": "NodePort", "ports": [{"port": 80}]}});
        admin.create(&SERVICES, "default", service).await
    }))
    .await;
    let mut addresses = BTreeSet::new();
    let mut ports = BTreeSet::new();
    for service in made {
        let service = service.expect("a service");
        assert!(addresses.insert(service["spec"]["clusterIP"].text().to_owned()));
        assert!(ports.insert(service["spec"]["ports"][0]["nodePort"].as_i64().expect("a port")));
    }
}

#[tokio::test]
async fn another_type_drops_what_it_does_not_use() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let service = value!({"metadata": {"name": "s"}, "spec": {"type": "NodePort", "ports": [{"port": 80}]}});
    let mut made = admin.create(&SERVICES, "default", service).await.expect("a service");
    let address = made["spec"]["clusterIP"].text().to_owned();
    made.entry("spec").set("type", "ClusterIP");
    let changed = admin.update(&SERVICES, "default", made).await.expect("an update");
    assert!(changed["spec"]["ports"][0]["nodePort"].is_null());
    assert_eq!(changed["spec"]["clusterIP"].text(), address);
}
