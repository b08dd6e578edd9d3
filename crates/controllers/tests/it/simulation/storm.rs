//! What users want, and what befalls the cluster meanwhile, at random.

use std::sync::atomic::Ordering;
use std::time::Duration;

use apimachinery::{Value, value};

use super::invariants::{lost_nodes_are_left, workloads_converge};
use super::world::{GUARDED, Wanted, World};
use crate::cluster::{DAEMON_SETS, DEPLOYMENTS, NODES, PODS, STATEFUL_SETS};

/// So many things happen, one after another.
const HAPPENINGS: usize = 14;

pub async fn rage(world: &mut World) {
    // In every other seed no node is lost.
    let loss = world.edge.random.below(2 * HAPPENINGS as u64) as usize;
    for happening in 0..HAPPENINGS {
        if happening == loss {
            lose_a_node(world).await;
        }
        world.pause(4000).await;
        let random = world.edge.random.clone();
        match random.below(14) {
            0..=1 => scale(world).await,
            2..=3 => update(world).await,
            4..=5 => delete_a_pod(world).await,
            6..=8 => evict(world).await,
            9 => world.crash_api().await,
            10 => world.crash_controllers().await,
            11 => world.crash_scheduler().await,
            12 => world.api.break_connections(),
            _ => world.jump(),
        }
    }
    world.api.stormy.store(false, Ordering::Relaxed);
}

/// A node falls silent: for a moment, for so long that its pods are given up,
/// or for good.
async fn lose_a_node(world: &mut World) {
    let node = world.any_node();
    match world.edge.random.below(4) {
        // Nobody need notice.
        0 => {
            world.silence(node);
            tokio::time::sleep(Duration::from_secs(5 + world.edge.random.below(60))).await;
            world.hear(node);
        }
        1 => {
            world.silence(node);
            meanwhile(world).await;
            lost_nodes_are_left::check(world, node).await;
            world.hear(node);
        }
        2 => {
            world.silence(node);
            tokio::time::sleep(Duration::from_secs(300 + world.edge.random.below(120))).await;
            world.hear(node);
        }
        _ => {
            world.destroy(node);
            meanwhile(world).await;
            // Somebody sees to it that what is no more is not waited for.
            let nodes = NODES;
            let deleted = || world.admin.delete(&nodes, "", node);
            match world.insist(deleted).await {
                Err(error) if error.is_not_found() => {}
                other => drop(other.expect("the node is deleted")),
            }
        }
    }
    // Nobody evicts by a budget's word of before.
    let guarded = Wanted { replicas: GUARDED, image: "image-0".into() };
    let deployments = DEPLOYMENTS;
    let settled = || workloads_converge::set_is_settled(world, &deployments, "guarded", &guarded);
    world.eventually("all that is guarded is there", (&deployments, "guarded"), settled).await;
}

/// What goes on elsewhere.
async fn meanwhile(world: &mut World) {
    for _ in 0..4 {
        world.pause(30_000).await;
        match world.edge.random.below(5) {
            0 => scale(world).await,
            1 => update(world).await,
            2 => delete_a_pod(world).await,
            3 => world.crash_controllers().await,
            _ => world.crash_scheduler().await,
        }
    }
}

async fn scale(world: &mut World) {
    let replicas = world.edge.random.below(6) as i64;
    let patch = || value!({"spec": {"replicas": replicas}});
    let (resource, name) = match world.edge.random.below(2) {
        0 => (&DEPLOYMENTS, "web"),
        _ => (&STATEFUL_SETS, "db"),
    };
    world.insist(|| world.admin.patch(resource, "default", name, None, patch())).await.expect("scaled");
    match name {
        "web" => world.web.replicas = replicas,
        _ => world.db.replicas = replicas,
    }
}

async fn update(world: &mut World) {
    let image = format!("image-{}", world.edge.random.below(3));
    let patch = || value!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": (image.as_str())}]}}}});
    let (resource, name) = match world.edge.random.below(3) {
        0 => (&DEPLOYMENTS, "web"),
        1 => (&STATEFUL_SETS, "db"),
        _ => (&DAEMON_SETS, "agent"),
    };
    world.insist(|| world.admin.patch(resource, "default", name, None, patch())).await.expect("updated");
    match name {
        "web" => world.web.image = image,
        "db" => world.db.image = image,
        _ => world.agent.image = image,
    }
}

async fn any_pod(world: &World, app: &str) -> Option<Value> {
    let pods = world.pods_of(app).await;
    pods.get(world.edge.random.below(pods.len() as u64) as usize).cloned()
}

async fn delete_a_pod(world: &World) {
    let app = ["web", "db", "agent", "once"][world.edge.random.below(4) as usize];
    if let Some(pod) = any_pod(world, app).await {
        let name = pod["metadata"]["name"].text();
        let _ = world.admin.delete(&PODS, "default", name).await;
    }
}

/// Somebody drains a node, a pod at a time.
async fn evict(world: &World) {
    let Some(pod) = any_pod(world, "guarded").await else { return };
    let name = pod["metadata"]["name"].text();
    let eviction = value!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}});
    let evicted = world.admin.create_in(&PODS, ("default", name), "eviction", eviction).await;
    if evicted.is_ok() {
        world.evictions.note(&pod, &world.pods_of("guarded").await);
    }
}
