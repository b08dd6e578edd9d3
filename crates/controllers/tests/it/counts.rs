//! What the controllers count moves with what they do.

use apimachinery::{Value, value};

use crate::cluster::{
    AUTOSCALERS, CRON_JOBS, Cluster, DEPLOYMENTS, JOBS, NODES, PODS, SERVICES, STATEFUL_SETS, deployment,
    stateful_set,
};

/// Waits until every series is told with its number.
async fn told(cluster: &Cluster, wanted: &[(&str, f64)]) {
    for (series, number) in wanted {
        let what = format!("{series} {number}, and not {:?}", cluster.told(series));
        cluster.admin.eventually(&what, || async { cluster.told(series) == Some(*number) }).await;
    }
}

fn job(name: &str, image: &str, spec: Value) -> Value {
    let mut job = value!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": (spec)
    });
    let template = value!({"spec": {
        "restartPolicy": "Never", "containers": [{"name": "main", "image": image}]
    }});
    job.set_at(&["spec", "template"], template);
    job
}

#[tokio::test(start_paused = true)]
async fn jobs_are_counted() {
    let cluster = Cluster::start(81, &["n1"]).await;
    let admin = &cluster.admin;
    let spec = value!({"completions": 2, "parallelism": 2, "ttlSecondsAfterFinished": 5});
    admin.create(&JOBS, "default", job("plain", "succeeds", spec)).await.unwrap();
    told(
        &cluster,
        &[
            (
                "job_controller_jobs_finished_total{completion_mode=\"NonIndexed\",result=\"succeeded\",\
                 reason=\"CompletionsReached\"}",
                1.0,
            ),
            (
                "job_controller_job_pods_finished_total{completion_mode=\"NonIndexed\",result=\"succeeded\"}",
                2.0,
            ),
            ("job_controller_job_pods_creation_total{reason=\"new\",status=\"succeeded\"}", 2.0),
            ("job_controller_terminated_pods_tracking_finalizer_total{event=\"add\"}", 2.0),
            ("job_controller_terminated_pods_tracking_finalizer_total{event=\"delete\"}", 2.0),
            (
                "job_controller_job_syncs_total{completion_mode=\"NonIndexed\",result=\"success\",\
                 action=\"pods_created\"}",
                1.0,
            ),
            ("ttl_after_finished_controller_job_deletion_duration_seconds_count", 1.0),
        ],
    )
    .await;

    let policy = value!({"rules": [
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [1]}}
    ]});
    let spec = value!({"podFailurePolicy": policy});
    admin.create(&JOBS, "default", job("policed", "fails", spec)).await.unwrap();
    let spec = value!({"managedBy": "example.com/other"});
    admin.create(&JOBS, "default", job("foreign", "succeeds", spec)).await.unwrap();
    let spec = value!({"completions": 3, "parallelism": 3, "completionMode": "Indexed"});
    admin.create(&JOBS, "default", job("indexed", "succeeds", spec)).await.unwrap();
    let cron = value!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "often"},
        "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": (job("", "succeeds", value!({}))["spec"].clone())}}
    });
    admin.create(&CRON_JOBS, "default", cron).await.unwrap();
    told(
        &cluster,
        &[
            (
                "job_controller_jobs_finished_total{completion_mode=\"NonIndexed\",result=\"failed\",\
                 reason=\"PodFailurePolicy\"}",
                1.0,
            ),
            ("job_controller_pod_failures_handled_by_failure_policy_total{action=\"FailJob\"}", 1.0),
            ("job_controller_jobs_by_external_controller_total{controller_name=\"example.com/other\"}", 1.0),
            ("job_controller_job_finished_indexes_total{status=\"succeeded\",backoffLimit=\"global\"}", 3.0),
            ("cronjob_controller_job_creation_skew_duration_seconds_count", 1.0),
        ],
    )
    .await;
    cluster.stop();
}

#[tokio::test(start_paused = true)]
async fn sets_services_and_nodes_are_counted() {
    let cluster = Cluster::start(82, &["n1"]).await;
    let admin = &cluster.admin;
    let service = value!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}
    });
    admin.create(&SERVICES, "default", service).await.unwrap();
    admin.create(&DEPLOYMENTS, "default", deployment("web", 3, "one")).await.unwrap();
    admin.create(&STATEFUL_SETS, "default", stateful_set("db", 2, "one")).await.unwrap();
    let autoscaler = value!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"},
        "spec": {
            "minReplicas": 1, "maxReplicas": 2,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "metrics": [{"type": "Resource", "resource": {
                "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}
            }}]
        }
    });
    let set =
        "statefulset_namespace=\"default\",statefulset_name=\"db\",pod_management_policy=\"OrderedReady\"";
    told(
        &cluster,
        &[
            ("endpoint_slice_controller_endpoints_desired", 3.0),
            ("endpoint_slice_controller_num_endpoint_slices", 1.0),
            ("endpoint_slice_controller_desired_endpoint_slices", 1.0),
            ("endpoint_slice_controller_endpoints_added_per_sync_sum", 3.0),
            (&format!("statefulset_controller_statefulset_max_unavailable{{{set}}}"), 1.0),
            (&format!("statefulset_controller_statefulset_unavailable_replicas{{{set}}}"), 0.0),
            ("node_collector_zone_size{zone=\"\"}", 1.0),
            ("node_collector_evictions_total{zone=\"\"}", 0.0),
            ("garbagecollector_controller_resources_sync_error_total", 0.0),
        ],
    )
    .await;
    // An empty slice may have been there before its ports were known.
    assert!(
        cluster
            .told("endpoint_slice_controller_changes{operation=\"create\"}")
            .is_some_and(|count| count >= 1.0)
    );
    assert!(cluster.told("root_ca_cert_publisher_sync_total{code=\"200\"}").is_some_and(|count| count > 0.0));

    admin.create(&AUTOSCALERS, "default", autoscaler).await.unwrap();
    told(
        &cluster,
        &[
            ("horizontal_pod_autoscaler_controller_num_horizontal_pod_autoscalers", 1.0),
            (
                "horizontal_pod_autoscaler_controller_reconciliations_total{action=\"scale_down\",error=\"none\"}",
                1.0,
            ),
            ("horizontal_pod_autoscaler_controller_desired_replicas{namespace=\"default\",hpa_name=\"web\"}", 2.0),
            ("replicaset_controller_sorting_deletion_age_ratio_count", 1.0),
        ],
    )
    .await;
    // With a size between both bounds the metric counts, and nobody has it.
    let failed = "horizontal_pod_autoscaler_controller_metric_computation_total{action=\"none\",error=\"internal\",\
                  metric_type=\"Resource\"}";
    admin
        .eventually("a metric that could not be had", || async {
            cluster.told(failed).is_some_and(|count| count > 0.0)
        })
        .await;

    let ghost = value!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "lost"},
        "spec": {"nodeName": "ghost", "containers": [{"name": "main", "image": "one"}]}
    });
    admin.create(&PODS, "default", ghost).await.unwrap();
    let orphaned = "pod_gc_collector_force_delete_pods_total{namespace=\"default\",reason=\"orphaned\"}";
    told(&cluster, &[(orphaned, 1.0)]).await;

    cluster.add_node("n2").await;
    let guest = value!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "guest"},
        "spec": {"nodeName": "n2", "containers": [{"name": "main", "image": "one"}]}
    });
    admin.create(&PODS, "default", guest).await.unwrap();
    let taint = value!({"spec": {"taints": [{"key": "mine", "effect": "NoExecute"}]}});
    admin.patch(&NODES, "", "n2", None, taint).await.unwrap();
    told(&cluster, &[("taint_eviction_controller_pod_deletions_total", 1.0)]).await;
    cluster.stop();
}

#[tokio::test(start_paused = true)]
async fn claims_and_volumes_are_counted() {
    let cluster = Cluster::start(83, &["n1"]).await;
    let admin = &cluster.admin;
    let volume = value!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "v"},
        "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "slow",
            "hostPath": {"path": "/data"}
        }
    });
    let volumes = client::Resource::new("", "v1", "persistentvolumes");
    admin.create(&volumes, "", volume).await.unwrap();
    let templates = client::Resource::new("resource.k8s.io", "v1", "resourceclaimtemplates");
    let template = value!({
        "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaimTemplate", "metadata": {"name": "one"},
        "spec": {"spec": {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "gpu"}}]}}}
    });
    admin.create(&templates, "default", template).await.unwrap();
    let pod = value!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {
            "containers": [{"name": "main", "image": "waits", "resources": {"claims": [{"name": "gpu"}]}}],
            "resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "one"}],
            "volumes": [{"name": "scratch", "ephemeral": {"volumeClaimTemplate": {"spec": {
                "accessModes": ["ReadWriteOnce"], "storageClassName": "slow",
                "resources": {"requests": {"storage": "1Gi"}}
            }}}}]
        }
    });
    admin.create(&PODS, "default", pod).await.unwrap();
    told(
        &cluster,
        &[
            ("ephemeral_volume_controller_create_total", 1.0),
            ("ephemeral_volume_controller_create_failures_total", 0.0),
            (
                "dynamic_resource_allocation_resourceclaim_creates_total{status=\"success\",admin_access=\"false\",\
                 owner_api_group=\"\",owner_api_kind=\"Pod\"}",
                1.0,
            ),
            (
                "dynamic_resource_allocation_resource_claims{allocated=\"false\",admin_access=\"false\",\
                 source=\"resource_claim_template\"}",
                1.0,
            ),
            ("pv_collector_total_pv_count{plugin_name=\"kubernetes.io/host-path\",volume_mode=\"Filesystem\"}", 1.0),
            ("pv_collector_bound_pv_count{storage_class=\"slow\"}", 1.0),
            (
                "pv_collector_bound_pvc_count{namespace=\"default\",storage_class=\"slow\",\
                 volume_attributes_class=\"\"}",
                1.0,
            ),
        ],
    )
    .await;
    cluster.stop();
}
