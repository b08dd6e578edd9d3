//! A hundred seeds: whatever the order of things, what is wanted comes about,
//! and the same seed gives the same trace.

use std::collections::BTreeSet;
use std::time::Duration;

use apimachinery::value;
use client::DeleteOptions;

use crate::cluster::{Cluster, DEPLOYMENTS, PODS, REPLICA_SETS, deployment};

/// A few random changes by a user and accidents to pods; then quiet. Gives
/// what there is at the end.
async fn run(seed: u64) -> Vec<String> {
    let cluster = Cluster::start(seed, &["n1", "n2"]).await;
    let (admin, random) = (&cluster.admin, cluster.edge.random.clone());
    admin.create(&DEPLOYMENTS, "default", deployment("web", 3, "image-0")).await.expect("created");
    let (mut replicas, mut image) = (3, "image-0".to_owned());
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(random.below(3000))).await;
        match random.below(3) {
            0 => {
                replicas = random.below(6) as i64;
                let patch = value!({"spec": {"replicas": replicas}});
                admin.patch(&DEPLOYMENTS, "default", "web", None, patch).await.expect("scaled");
            }
            1 => {
                image = format!("image-{}", random.below(3));
                let patch = value!({"spec": {"template": {"spec": {"containers": [
                    {"name": "main", "image": (image.as_str())}
                ]}}}});
                admin.patch(&DEPLOYMENTS, "default", "web", None, patch).await.expect("updated");
            }
            _ => {
                let pods = admin.list(&PODS, "default").await;
                if let Some(pod) = pods.get(random.below(pods.len() as u64) as usize) {
                    let name = pod["metadata"]["name"].text();
                    let _ = admin.delete(&PODS, "default", name, DeleteOptions::default()).await;
                }
            }
        }
    }
    let settled = || async {
        let web = admin.get(&DEPLOYMENTS, "default", "web").await.expect("the Deployment");
        let pods = admin.list(&PODS, "default").await;
        let count = |name: &str| web["status"][name].as_i64().unwrap_or(0);
        count("availableReplicas") == replicas
            && count("updatedReplicas") == replicas
            && count("replicas") == replicas
            && pods.len() as i64 == replicas
            && pods.iter().all(|pod| pod["spec"]["containers"][0]["image"].text() == image)
    };
    admin.eventually(&format!("seed {seed} settled at {replicas} of {image}"), settled).await;
    let mut trace = Vec::new();
    let mut names = BTreeSet::new();
    for resource in [&DEPLOYMENTS, &REPLICA_SETS, &PODS] {
        for object in admin.list(resource, "default").await {
            let name = object["metadata"]["name"].text();
            let revision = object["metadata"]["resourceVersion"].text();
            assert!(names.insert((resource.plural.clone(), name.to_owned())), "{name} is there twice");
            trace.push(format!("{}/{name}@{revision}", resource.plural));
        }
    }
    cluster.stop();
    trace
}

fn simulate(seed: u64) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(run(seed))
}

#[test]
fn a_hundred_seeds_converge() {
    for seed in 0..100 {
        simulate(seed);
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    assert_eq!(simulate(42), simulate(42));
}
