//! What cannot be done is said, and is not tried again and again.

use std::time::Duration;

use apimachinery::{Value, value};

use crate::cluster::{
    AUTOSCALERS, CRON_JOBS, Cluster, DEPLOYMENTS, EVENTS, PODS, QUOTAS, REPLICA_SETS, deployment,
};

/// What a while without any change takes.
const WHILE: Duration = Duration::from_secs(600);

/// Reason and message of the events about an object of this kind.
async fn events(cluster: &Cluster, kind: &str) -> Vec<String> {
    let events = cluster.admin.list(&EVENTS, "default").await;
    let about = events.iter().filter(|event| event["involvedObject"]["kind"].text() == kind);
    about.map(|event| format!("{}: {}", event["reason"].text(), event["message"].text())).collect()
}

fn condition<'a>(object: &'a Value, kind: &str) -> &'a Value {
    let mut conditions = object["status"]["conditions"].items().iter();
    conditions.find(|one| one["type"].text() == kind).unwrap_or(&apimachinery::value::NULL)
}

/// How often an identity asks in a while.
async fn asked(cluster: &Cluster, identity: &str) -> u64 {
    let before = cluster.asked(identity);
    let beat = Duration::from_secs(20);
    for _ in 0..WHILE.as_secs() / beat.as_secs() {
        cluster.heartbeat("n1").await;
        tokio::time::sleep(beat).await;
    }
    cluster.asked(identity) - before
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_blocks_is_told_and_asked_seldom() {
    let cluster = Cluster::start(41, &["n1"]).await;
    let admin = &cluster.admin;
    let quota = value!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"},
        "spec": {"hard": {"pods": "1"}}
    });
    admin.create(&QUOTAS, "default", quota).await.unwrap();
    admin
        .eventually("the quota is counted", || async {
            let quota = admin.get(&QUOTAS, "default", "few").await.unwrap();
            quota["status"]["hard"]["pods"].text() == "1"
        })
        .await;
    admin.create(&DEPLOYMENTS, "default", deployment("web", 3, "one")).await.unwrap();
    admin
        .eventually("the failure is told", || async {
            let web = admin.get(&DEPLOYMENTS, "default", "web").await.unwrap();
            condition(&web, "ReplicaFailure")["reason"].text() == "FailedCreate"
        })
        .await;
    let web = admin.get(&DEPLOYMENTS, "default", "web").await.unwrap();
    let why = condition(&web, "ReplicaFailure")["message"].text();
    assert!(
        why.contains("is forbidden: exceeded quota: few, requested: pods=1, used: pods=1, limited: pods=1"),
        "{why}"
    );
    let told = events(&cluster, "ReplicaSet").await;
    assert!(
        told.iter().any(|event| event.starts_with("FailedCreate: Error creating: pods \"web-")),
        "{told:?}"
    );
    assert_eq!(admin.list(&PODS, "default").await.len(), 1);
    let tries = asked(&cluster, "replicaset-controller").await;
    assert!((1..60).contains(&tries), "{tries} requests in ten minutes");
    let patch = value!({"spec": {"hard": {"pods": "5"}}});
    admin.patch(&QUOTAS, "default", "few", None, patch).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1000)).await;
    admin.eventually("all pods", || async { admin.list(&PODS, "default").await.len() == 3 }).await;
    cluster.stop();
}

#[tokio::test(start_paused = true)]
async fn two_sets_with_one_selector_leave_each_other_alone() {
    let cluster = Cluster::start(42, &["n1"]).await;
    let admin = &cluster.admin;
    for name in ["one", "two"] {
        let mut twin = deployment(name, 2, "image");
        for path in [&["spec", "selector", "matchLabels"][..], &["spec", "template", "metadata", "labels"]] {
            *twin.entry_at(path) = value!({"app": "same"});
        }
        admin.create(&DEPLOYMENTS, "default", twin).await.unwrap();
    }
    admin
        .eventually("two pods of each", || async {
            let sets = admin.list(&REPLICA_SETS, "default").await;
            sets.len() == 2 && sets.iter().all(|set| set["status"]["readyReplicas"].as_i64() == Some(2))
        })
        .await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    for identity in ["deployment-controller", "replicaset-controller"] {
        assert_eq!(asked(&cluster, identity).await, 0, "{identity}");
    }
    assert_eq!(admin.list(&PODS, "default").await.len(), 4);
    cluster.stop();
}

#[tokio::test(start_paused = true)]
async fn a_day_that_never_comes_is_told_once() {
    let cluster = Cluster::start(43, &["n1"]).await;
    let admin = &cluster.admin;
    let cron = value!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "never"},
        "spec": {"schedule": "0 0 31 2 *", "jobTemplate": {"spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "main", "image": "succeeds"}]
        }}}}}
    });
    admin.create(&CRON_JOBS, "default", cron).await.unwrap();
    let wanted = "InvalidSchedule: invalid schedule: 0 0 31 2 * : time difference between two schedules is less \
                  than 1 second";
    admin
        .eventually("it is told", || async { events(&cluster, "CronJob").await.contains(&wanted.to_owned()) })
        .await;
    let tries = asked(&cluster, "cronjob-controller").await;
    assert!(tries < 10, "{tries} requests in ten minutes");
    cluster.stop();
}

#[tokio::test(start_paused = true)]
async fn an_autoscaler_without_a_target_or_metrics_says_so() {
    let cluster = Cluster::start(44, &["n1"]).await;
    let admin = &cluster.admin;
    admin.create(&DEPLOYMENTS, "default", deployment("web", 1, "one")).await.unwrap();
    // Two events about things of one name must not be of the same moment.
    tokio::time::sleep(Duration::from_millis(10)).await;
    for (name, target) in [("web", "web"), ("lost", "nobody")] {
        let autoscaler = value!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
                "maxReplicas": 3
            }
        });
        admin.create(&AUTOSCALERS, "default", autoscaler).await.unwrap();
    }
    let told = |name: &'static str, kind: &'static str, reason: &'static str| async move {
        let autoscaler = admin.get(&AUTOSCALERS, "default", name).await.unwrap();
        let condition = condition(&autoscaler, kind);
        condition["status"].text() == "False" && condition["reason"].text() == reason
    };
    admin.eventually("no target", || told("lost", "AbleToScale", "FailedGetScale")).await;
    admin.eventually("no metrics", || told("web", "ScalingActive", "FailedGetResourceMetric")).await;
    for wanted in [
        "FailedGetScale: deployments.apps \"nobody\" not found",
        "FailedGetResourceMetric: failed to get cpu utilization: unable to get metrics for resource cpu: no \
         metrics returned from resource metrics API",
    ] {
        admin
            .eventually(wanted, || async {
                let told = events(&cluster, "HorizontalPodAutoscaler").await;
                told.iter().any(|event| event == wanted)
            })
            .await;
    }
    // One look every fifteen seconds at each, with a few questions and events.
    let tries = asked(&cluster, "horizontal-pod-autoscaler").await;
    assert!((80..600).contains(&tries), "{tries} requests in ten minutes");
    cluster.stop();
}
