//! What is hopeless is told, and costs next to nothing: in an hour no queue
//! turns hot.

use std::time::Duration;

use apimachinery::{Value, value};
use client::Resource;

use crate::cluster::{
    AUTOSCALERS, CONFIG_MAPS, CRON_JOBS, Cluster, DEPLOYMENTS, EVENTS, JOBS, PODS, QUOTAS, STATEFUL_SETS,
    deployment,
};

const DAEMON_SETS: Resource = Resource::new("apps", "v1", "daemonsets");
const SECRETS: Resource = Resource::new("", "v1", "secrets");
const VOLUME_CLAIMS: Resource = Resource::new("", "v1", "persistentvolumeclaims");
const MIGRATIONS: Resource = Resource::new("storagemigration.k8s.io", "v1", "storageversionmigrations");

/// Keys of one queue in an hour, of which some were due by time: a pause of
/// 1000 s is reached after some twenty tries.
const MOST: u64 = 60;

/// Queues of what looks again by the clock: autoscalers every 15 s, nodes when
/// their next heartbeat is overdue.
const BY_THE_CLOCK: [(&str, u64); 2] = [("horizontalpodautoscaler", 260), ("node_lifecycle_controller", 300)];

fn template() -> Value {
    value!({
        "metadata": {"labels": {"app": "none"}},
        "spec": {"containers": [{"name": "main", "image": "one"}], "serviceAccountName": "nobody"}
    })
}

/// Objects that nothing can come of, with the reason of the event that says so.
/// Each has a name of its own, for events are called after it and the moment.
fn hopeless() -> Vec<(Resource, Value, &'static str)> {
    let selector = value!({"matchLabels": {"app": "none"}});
    let pod = |more: Value| {
        let mut pod = value!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "lost"},
            "spec": {"containers": [{"name": "main", "image": "one"}], "nodeSelector": {"no": "where"}}
        });
        for (key, value) in more.members() {
            pod.entry("spec").set(key.to_owned(), value.clone());
        }
        pod
    };
    vec![
        (
            STATEFUL_SETS,
            value!({
                "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "stateful"},
                "spec": {"selector": (selector.clone()), "template": (template()), "serviceName": "stateful"}
            }),
            "FailedCreate",
        ),
        (
            DAEMON_SETS,
            value!({
                "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "daemon"},
                "spec": {"selector": (selector.clone()), "template": (template())}
            }),
            "FailedCreate",
        ),
        (
            DEPLOYMENTS,
            value!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "deployed"},
                "spec": {"selector": (selector), "template": (template())}
            }),
            "FailedCreate",
        ),
        (
            JOBS,
            value!({
                "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job"},
                "spec": {"template": {"spec": {
                    "restartPolicy": "Never", "serviceAccountName": "nobody",
                    "containers": [{"name": "main", "image": "one"}]
                }}}
            }),
            "FailedCreate",
        ),
        (
            CRON_JOBS,
            value!({
                "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "never"},
                "spec": {"schedule": "0 0 31 2 *", "jobTemplate": {"spec": {"template": {"spec": {
                    "restartPolicy": "Never", "containers": [{"name": "main", "image": "one"}]
                }}}}}
            }),
            "InvalidSchedule",
        ),
        (
            AUTOSCALERS,
            value!({
                "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "scaler"},
                "spec": {
                    "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "nobody"},
                    "maxReplicas": 3
                }
            }),
            "FailedGetScale",
        ),
        (
            VOLUME_CLAIMS,
            value!({
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "claim"},
                "spec": {
                    "accessModes": ["ReadWriteOnce"], "storageClassName": "nothing",
                    "resources": {"requests": {"storage": "1Gi"}}
                }
            }),
            "ProvisioningFailed",
        ),
        (
            PODS,
            pod(value!({"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "nothing"}]})),
            "FailedResourceClaimCreation",
        ),
        (
            CONFIG_MAPS,
            value!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "astray", "ownerReferences": [
                    {"apiVersion": "v1", "kind": "Odd", "name": "x", "uid": "u"}
                ]}
            }),
            "",
        ),
        (
            SECRETS,
            value!({
                "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
                "metadata": {"name": "nobody", "annotations": {"kubernetes.io/service-account.name": "nobody"}}
            }),
            "",
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn what_is_hopeless_is_told_and_does_not_turn_hot() {
    let cluster = Cluster::start(45, &["n1"]).await;
    let admin = &cluster.admin;
    let quota = value!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}, "spec": {"hard": {"pods": "3"}}
    });
    admin.create(&QUOTAS, "default", quota).await.unwrap();
    // Two sets with one selector, of which the quota lets three pods be.
    for name in ["one", "two"] {
        let mut twin = deployment(name, 2, "image");
        for path in [&["spec", "selector", "matchLabels"][..], &["spec", "template", "metadata", "labels"]] {
            *twin.entry_at(path) = value!({"app": "same"});
        }
        admin.create(&DEPLOYMENTS, "default", twin).await.unwrap();
    }
    let mut reasons = Vec::new();
    for (resource, object, reason) in hopeless() {
        let result = admin.create(&resource, "default", object).await;
        // The quota may refuse the pod at once.
        if result.is_ok() && !reason.is_empty() {
            reasons.push(reason);
        }
    }
    let migration = value!({
        "apiVersion": "storagemigration.k8s.io/v1", "kind": "StorageVersionMigration",
        "metadata": {"name": "none"}, "spec": {"resource": {"group": "example.com", "resource": "nothings"}}
    });
    admin.create(&MIGRATIONS, "", migration).await.unwrap();
    for reason in reasons {
        admin
            .eventually(reason, || async {
                admin.list(&EVENTS, "default").await.iter().any(|event| event["reason"].text() == reason)
            })
            .await;
    }
    let count = || {
        let names = cluster.queues.names().into_iter();
        names.map(|name| (name, cluster.queues.adds_and_retries(name))).collect::<Vec<_>>()
    };
    let before = count();
    for _ in 0..180 {
        cluster.heartbeat("n1").await;
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    for ((name, (adds, retries)), (_, (adds_before, retries_before))) in count().into_iter().zip(before) {
        let (adds, retries) = (adds - adds_before, retries - retries_before);
        let most = BY_THE_CLOCK.iter().find(|(known, _)| *known == name).map_or(MOST, |(_, most)| *most);
        assert!(adds <= most && retries <= most, "{name}: {adds} adds, {retries} retries in an hour");
    }
    cluster.stop();
}
