//! Owners gone, dependents gone.

use client::{DeleteOptions, Propagation};

use crate::cluster::{DAEMON_SETS, DEPLOYMENTS, JOBS, PODS, REPLICA_SETS, REVISIONS, STATEFUL_SETS, living};
use crate::simulation::world::World;

pub async fn check(world: &World) {
    let admin = &world.admin;
    for (resource, name) in [
        (&DEPLOYMENTS, "web"),
        (&DEPLOYMENTS, "guarded"),
        (&STATEFUL_SETS, "db"),
        (&DAEMON_SETS, "agent"),
        (&JOBS, "once"),
    ] {
        let propagation = match world.edge.random.below(2) {
            0 => Propagation::Background,
            _ => Propagation::Foreground,
        };
        let options = DeleteOptions { propagation: Some(propagation), ..DeleteOptions::default() };
        admin.delete_with(resource, "default", name, options).await.expect("deleted");
    }
    for resource in [&DEPLOYMENTS, &STATEFUL_SETS, &DAEMON_SETS, &JOBS, &REPLICA_SETS, &REVISIONS, &PODS] {
        let what = format!("no {} are left", resource.plural);
        admin.eventually(&what, || async { admin.list(resource, "default").await.is_empty() }).await;
    }
    assert!(living(&admin.list(&PODS, "default").await).is_empty());
}
