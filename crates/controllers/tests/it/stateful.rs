//! StatefulSets, ReplicationControllers and CronJobs come to what is wanted of them.

use std::time::Duration;

use apimachinery::value;

use crate::cluster::{
    CLAIMS, CRON_JOBS, Cluster, JOBS, PODS, REPLICATION_CONTROLLERS, REVISIONS, STATEFUL_SETS, living,
    stateful_set,
};

#[tokio::test(start_paused = true)]
async fn a_stateful_set_has_ordered_pods_with_claims() {
    let cluster = Cluster::start(21, &["n1"]).await;
    let admin = &cluster.admin;
    let mut set = stateful_set("db", 3, "one");
    set.set_at(
        &["spec", "volumeClaimTemplates"],
        value!([{
            "metadata": {"name": "data"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        }]),
    );
    set.set_at(
        &["spec", "persistentVolumeClaimRetentionPolicy"],
        value!({"whenDeleted": "Delete", "whenScaled": "Delete"}),
    );
    admin.create(&STATEFUL_SETS, "default", set).await.unwrap();
    let settled = |image: &'static str, replicas: i64| async move {
        let set = admin.get(&STATEFUL_SETS, "default", "db").await.unwrap();
        let status = &set["status"];
        let pods = admin.list(&PODS, "default").await;
        let names: Vec<_> = (0..replicas).map(|at| format!("db-{at}")).collect();
        living(&pods) == names
            && status["availableReplicas"].as_i64() == Some(replicas)
            && status["currentRevision"] == status["updateRevision"]
            && status["observedGeneration"] == set["metadata"]["generation"]
            && pods.iter().all(|pod| pod["spec"]["containers"][0]["image"].text() == image)
    };
    admin.eventually("three pods", || settled("one", 3)).await;
    let pods = admin.list(&PODS, "default").await;
    let first = &pods[0];
    assert_eq!(first["metadata"]["labels"]["apps.kubernetes.io/pod-index"].text(), "0");
    assert_eq!(first["spec"]["hostname"].text(), "db-0");
    assert_eq!(first["spec"]["subdomain"].text(), "db");
    let claims = admin.list(&CLAIMS, "default").await;
    assert_eq!(living(&claims), ["data-db-0", "data-db-1", "data-db-2"]);
    admin
        .eventually("the claims go with the set", || async {
            let claims = admin.list(&CLAIMS, "default").await;
            claims.iter().all(|claim| claim["metadata"]["ownerReferences"][0]["kind"].text() == "StatefulSet")
        })
        .await;

    let image = value!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "two"}]}}}});
    admin.patch(&STATEFUL_SETS, "default", "db", None, image).await.unwrap();
    admin.eventually("the new template", || settled("two", 3)).await;
    assert_eq!(admin.list(&REVISIONS, "default").await.len(), 2);

    let patch = value!({"spec": {"replicas": 1}});
    admin.patch(&STATEFUL_SETS, "default", "db", None, patch).await.unwrap();
    admin.eventually("one pod", || settled("two", 1)).await;
    admin
        .eventually("the claims of the others go", || async {
            living(&admin.list(&CLAIMS, "default").await) == ["data-db-0"]
        })
        .await;
    cluster.stop();
}

#[tokio::test(start_paused = true)]
async fn a_replication_controller_keeps_its_pods() {
    let cluster = Cluster::start(22, &["n1"]).await;
    let admin = &cluster.admin;
    let controller = value!({
        "apiVersion": "v1", "kind": "ReplicationController", "metadata": {"name": "web"},
        "spec": {
            "replicas": 3, "selector": {"app": "web"},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "main", "image": "one"}]}
            }
        }
    });
    admin.create(&REPLICATION_CONTROLLERS, "default", controller).await.unwrap();
    for replicas in [3, 1] {
        let patch = value!({"spec": {"replicas": replicas}});
        admin.patch(&REPLICATION_CONTROLLERS, "default", "web", None, patch).await.unwrap();
        admin
            .eventually("the wanted pods", || async {
                let web = admin.get(&REPLICATION_CONTROLLERS, "default", "web").await.unwrap();
                web["status"]["availableReplicas"].as_i64() == Some(replicas)
                    && admin.list(&PODS, "default").await.len() as i64 == replicas
            })
            .await;
    }
    let pods = admin.list(&PODS, "default").await;
    assert_eq!(pods[0]["metadata"]["ownerReferences"][0]["kind"].text(), "ReplicationController");
    cluster.stop();
}

#[tokio::test(start_paused = true)]
async fn a_cron_job_starts_jobs_by_the_clock() {
    let cluster = Cluster::start(23, &["n1"]).await;
    let admin = &cluster.admin;
    let cron = value!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "tick"},
        "spec": {
            "schedule": "*/2 * * * *", "successfulJobsHistoryLimit": 2,
            "jobTemplate": {"spec": {"template": {"spec": {
                "restartPolicy": "Never", "containers": [{"name": "main", "image": "succeeds"}]
            }}}}
        }
    });
    admin.create(&CRON_JOBS, "default", cron).await.unwrap();
    tokio::time::sleep(Duration::from_secs(9 * 60)).await;
    admin
        .eventually("the last two Jobs", || async {
            let cron = admin.get(&CRON_JOBS, "default", "tick").await.unwrap();
            let jobs = admin.list(&JOBS, "default").await;
            jobs.len() == 2
                && jobs.iter().all(|job| job["status"]["succeeded"].as_i64() == Some(1))
                && cron["status"]["active"].is_null()
                && !cron["status"]["lastSuccessfulTime"].is_null()
        })
        .await;
    let cron = admin.get(&CRON_JOBS, "default", "tick").await.unwrap();
    assert_eq!(cron["status"]["lastScheduleTime"].text(), "2026-11-01T00:08:00Z");
    let patch = value!({"spec": {"suspend": true}});
    admin.patch(&CRON_JOBS, "default", "tick", None, patch).await.unwrap();
    let before: Vec<String> = names(&admin.list(&JOBS, "default").await);
    tokio::time::sleep(Duration::from_secs(5 * 60)).await;
    assert_eq!(names(&admin.list(&JOBS, "default").await), before);
    cluster.stop();
}

fn names(objects: &[apimachinery::Value]) -> Vec<String> {
    objects.iter().map(|object| object["metadata"]["name"].text().to_owned()).collect()
}
