//! A node that stays silent loses its pods: others run elsewhere in their
//! stead. Only what needs the node's word to end is waited for.

use std::time::Duration;

use apimachinery::Value;

use crate::cluster::{DEPLOYMENTS, living};
use crate::simulation::world::{GUARDED, Wanted, World};

/// Whether a Deployment has all its pods, and none of them on the node.
async fn has_left(world: &World, node: &str, name: &str, wanted: &Wanted) -> bool {
    let deployment = world.admin.get(&DEPLOYMENTS, "default", name).await.expect("the Deployment");
    let pods = world.pods_of(name).await;
    let on_node: Vec<Value> =
        pods.iter().filter(|pod| pod["spec"]["nodeName"].text() == node).cloned().collect();
    living(&on_node).is_empty()
        && living(&pods).len() as i64 == wanted.replicas
        && deployment["status"]["availableReplicas"].as_i64().unwrap_or(0) == wanted.replicas
}

/// When a silent node is given up, and how long its pods stay then.
const GIVEN_UP: Duration = Duration::from_secs(50);
const TOLERATED: Duration = Duration::from_secs(300);

pub async fn check(world: &World, node: &str) {
    tokio::time::sleep(GIVEN_UP + TOLERATED).await;
    let guarded = Wanted { replicas: GUARDED, image: String::new() };
    for (name, wanted) in [("web", &world.web), ("guarded", &guarded)] {
        let what = format!("{name} has left {node}");
        world.eventually(&what, (&DEPLOYMENTS, name), || has_left(world, node, name, wanted)).await;
    }
    // Nobody can say that a pod of this name runs no more.
    for pod in world.pods_of("db").await {
        let (name, uid) = (pod["metadata"]["name"].text(), pod["metadata"]["uid"].text());
        if let Some(runs) = world.running.of(node, "default", name) {
            assert_eq!(runs, uid, "{name} was replaced while it ran on {node}");
        }
    }
}
