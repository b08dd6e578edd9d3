//! After the storm every workload comes to what is wanted of it.

use apimachinery::Value;

use crate::cluster::{DAEMON_SETS, DEPLOYMENTS, JOBS, STATEFUL_SETS};
use crate::simulation::world::{COMPLETIONS, GUARDED, PARALLELISM, Wanted, World};

pub async fn set_is_settled(world: &World, resource: &client::Resource, name: &str, wanted: &Wanted) -> bool {
    let set = world.admin.get(resource, "default", name).await.expect("the set");
    let count = |field: &str| set["status"][field].as_i64().unwrap_or(0);
    let counts: &[&str] = match &*resource.plural {
        "daemonsets" => &["numberAvailable", "updatedNumberScheduled", "desiredNumberScheduled"],
        _ => &["availableReplicas", "updatedReplicas", "replicas"],
    };
    let pods = world.pods_of(name).await;
    let image = |pod: &Value| pod["spec"]["containers"][0]["image"].text() == wanted.image;
    counts.iter().all(|field| count(field) == wanted.replicas)
        && pods.len() as i64 == wanted.replicas
        && pods.iter().all(image)
        && set["status"]["observedGeneration"] == set["metadata"]["generation"]
}

/// A create whose answer was lost leaves a pod more than was meant (its name is
/// generated, so nobody can tell): it is stopped, but may have succeeded before,
/// and is counted then, as upstream counts it.
async fn job_is_complete(world: &World) -> bool {
    let job = world.admin.get(&JOBS, "default", "once").await.expect("the Job");
    let mut conditions = job["status"]["conditions"].items().iter();
    let succeeded = job["status"]["succeeded"].as_i64().unwrap_or(0);
    (COMPLETIONS..=COMPLETIONS + PARALLELISM).contains(&succeeded)
        && conditions.any(|one| one["type"].text() == "Complete" && one["status"].text() == "True")
}

pub async fn check(world: &World) {
    let guarded = Wanted { replicas: GUARDED, image: "image-0".into() };
    for (resource, name, wanted) in [
        (&DEPLOYMENTS, "web", &world.web),
        (&DEPLOYMENTS, "guarded", &guarded),
        (&STATEFUL_SETS, "db", &world.db),
        (&DAEMON_SETS, "agent", &world.agent),
    ] {
        let what = format!("{name} settles at {wanted:?}");
        world.eventually(&what, (resource, name), || set_is_settled(world, resource, name, wanted)).await;
    }
    world.eventually("the Job completes", (&JOBS, "once"), || job_is_complete(world)).await;
    // A node that was lost for long may still cost a pod, which comes again.
    let db = (&STATEFUL_SETS, "db");
    world.eventually("the StatefulSet's pods have their names", db, || has_its_names(world)).await;
}

async fn has_its_names(world: &World) -> bool {
    let pods = world.pods_of("db").await;
    let names = pods.iter().map(|pod| pod["metadata"]["name"].text().to_owned());
    names.eq((0..world.db.replicas).map(|at| format!("db-{at}")))
}
