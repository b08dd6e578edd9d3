//! A hundred seeds: whatever the order of things, what is wanted comes about,
//! and the same seed gives the same trace.

use std::collections::BTreeSet;
use std::time::Duration;

use apimachinery::value;
use client::DeleteOptions;

use crate::cluster::{
    Client, Cluster, DEPLOYMENTS, PODS, REPLICA_SETS, REVISIONS, STATEFUL_SETS, deployment, stateful_set,
};

/// The pods whose name begins so.
async fn pods_of(admin: &Client, set: &str) -> Vec<apimachinery::Value> {
    let mut pods = admin.list(&PODS, "default").await;
    pods.retain(|pod| pod["metadata"]["labels"]["app"].text() == set);
    pods
}

/// What is wanted of a set.
struct Wanted {
    replicas: i64,
    image: String,
}

/// A few random changes by a user and accidents to pods; then quiet. Gives
/// what there is at the end.
async fn run(seed: u64) -> Vec<String> {
    let cluster = Cluster::start(seed, &["n1", "n2"]).await;
    let (admin, random) = (&cluster.admin, cluster.edge.random.clone());
    admin.create(&DEPLOYMENTS, "default", deployment("web", 3, "image-0")).await.expect("created");
    admin.create(&STATEFUL_SETS, "default", stateful_set("db", 2, "image-0")).await.expect("created");
    let (deployments, stateful_sets) = (DEPLOYMENTS, STATEFUL_SETS);
    let sets = [(&deployments, "web"), (&stateful_sets, "db")];
    let mut wanted = [3, 2].map(|replicas| Wanted { replicas, image: "image-0".into() });
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(random.below(3000))).await;
        let at = random.below(2) as usize;
        let (resource, name) = sets[at];
        match random.below(3) {
            0 => {
                wanted[at].replicas = random.below(6) as i64;
                let patch = value!({"spec": {"replicas": (wanted[at].replicas)}});
                admin.patch(resource, "default", name, None, patch).await.expect("scaled");
            }
            1 => {
                wanted[at].image = format!("image-{}", random.below(3));
                let patch = value!({"spec": {"template": {"spec": {"containers": [
                    {"name": "main", "image": (wanted[at].image.as_str())}
                ]}}}});
                admin.patch(resource, "default", name, None, patch).await.expect("updated");
            }
            _ => {
                let pods = pods_of(admin, name).await;
                if let Some(pod) = pods.get(random.below(pods.len() as u64) as usize) {
                    let name = pod["metadata"]["name"].text();
                    let _ = admin.delete(&PODS, "default", name, DeleteOptions::default()).await;
                }
            }
        }
    }
    let [web, db] = &wanted;
    let settled = async |resource, name: &'static str, wanted: &Wanted| {
        let set = admin.get(resource, "default", name).await.expect("the set");
        let pods = pods_of(admin, name).await;
        let count = |name: &str| set["status"][name].as_i64().unwrap_or(0);
        count("availableReplicas") == wanted.replicas
            && count("updatedReplicas") == wanted.replicas
            && count("replicas") == wanted.replicas
            && pods.len() as i64 == wanted.replicas
            && pods.iter().all(|pod| pod["spec"]["containers"][0]["image"].text() == wanted.image)
    };
    let what = format!("seed {seed} settled at {} of {}", web.replicas, web.image);
    admin.eventually(&what, || settled(sets[0].0, "web", web)).await;
    let what = format!("seed {seed} settled at {} of {}, in order", db.replicas, db.image);
    admin.eventually(&what, || settled(sets[1].0, "db", db)).await;
    let ordinals: Vec<_> =
        pods_of(admin, "db").await.iter().map(|pod| pod["metadata"]["name"].text().to_owned()).collect();
    assert_eq!(ordinals, (0..db.replicas).map(|at| format!("db-{at}")).collect::<Vec<_>>());
    let mut trace = Vec::new();
    let mut names = BTreeSet::new();
    for resource in [&DEPLOYMENTS, &REPLICA_SETS, &STATEFUL_SETS, &REVISIONS, &PODS] {
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
