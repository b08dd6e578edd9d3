//! Claims for devices: made from templates, told to their pods, and gone with
//! them. And claims for volumes that wait for a pod's node.

use std::time::Duration;

use apimachinery::{Value, value};
use client::{Resource, Transport};
use scheduler::{Placement, Scheduler};

use crate::cluster::{Cluster, EVENTS, PODS};

const CLAIMS: Resource = Resource::new("resource.k8s.io", "v1", "resourceclaims");
const TEMPLATES: Resource = Resource::new("resource.k8s.io", "v1", "resourceclaimtemplates");
const VOLUMES: Resource = Resource::new("", "v1", "persistentvolumes");
const VOLUME_CLAIMS: Resource = Resource::new("", "v1", "persistentvolumeclaims");
const CLASSES: Resource = Resource::new("storage.k8s.io", "v1", "storageclasses");

fn user(name: &str) -> Value {
    value!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {
            "containers": [{"name": "main", "image": "waits", "resources": {"claims": [{"name": "gpu"}]}}],
            "resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "one"}]
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_pod_gets_the_claim_of_its_template() {
    let cluster = Cluster::start(71, &[]).await;
    let admin = &cluster.admin;
    admin.create(&PODS, "default", user("p")).await.unwrap();
    admin
        .eventually("it is told that the template lacks", || async {
            admin.list(&EVENTS, "default").await.iter().any(|event| {
                event["reason"].text() == "FailedResourceClaimCreation"
                    && event["message"].text()
                        == "PodResourceClaim gpu: resource claim template \"one\": \
                            resourceclaimtemplate.resource.k8s.io \"one\" not found"
            })
        })
        .await;
    let template = value!({
        "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaimTemplate", "metadata": {"name": "one"},
        "spec": {"spec": {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "gpu"}}]}}}
    });
    admin.create(&TEMPLATES, "default", template).await.unwrap();
    let told = || async {
        let pod = admin.get(&PODS, "default", "p").await.unwrap();
        pod["status"]["resourceClaimStatuses"][0]["resourceClaimName"].text().to_owned()
    };
    admin.eventually("the pod is told", || async { !told().await.is_empty() }).await;
    let name = told().await;
    let claim = admin.get(&CLAIMS, "default", &name).await.unwrap();
    assert!(name.starts_with("p-gpu-"), "{name}");
    assert_eq!(claim["metadata"]["ownerReferences"][0]["name"].text(), "p");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(admin.list(&CLAIMS, "default").await.len(), 1);

    let ended = value!({"status": {"phase": "Succeeded"}});
    admin.patch(&PODS, "default", "p", Some("status"), ended).await.unwrap();
    admin
        .eventually("what nobody will use is gone", || async {
            admin.list(&CLAIMS, "default").await.is_empty()
        })
        .await;
    cluster.stop();
}

/// A volume that only `node` can mount.
fn local(name: &str, node: &str) -> Value {
    value!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "local",
            "local": {"path": "/data"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
            ]}]}}
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_waits_gets_a_volume_of_its_pods_node() {
    let cluster = Cluster::start(72, &[]).await;
    let admin = &cluster.admin;
    for name in ["n1", "n2"] {
        cluster.add_node(name).await;
        let room = value!({
            "metadata": {"labels": {"kubernetes.io/hostname": name}},
            "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"}}
        });
        admin.patch(&crate::cluster::NODES, "", name, None, room.clone()).await.unwrap();
        admin.patch(&crate::cluster::NODES, "", name, Some("status"), room).await.unwrap();
    }
    let transport: std::sync::Arc<dyn Transport> = cluster.transport("system:kube-scheduler");
    Scheduler::start(&cluster.edge, transport, Placement::SameRuntime);
    let class = value!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "local"},
        "provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer"
    });
    admin.create(&CLASSES, "", class).await.unwrap();
    for name in ["a", "b"] {
        let claim = value!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
            "spec": {
                "accessModes": ["ReadWriteOnce"], "storageClassName": "local",
                "resources": {"requests": {"storage": "1Gi"}}
            }
        });
        admin.create(&VOLUME_CLAIMS, "default", claim).await.unwrap();
        let pod = value!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {
                "containers": [{"name": "main", "image": "waits"}],
                "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": name}}]
            }
        });
        admin.create(&PODS, "default", pod).await.unwrap();
    }
    let waits = || async {
        let pod = admin.get(&PODS, "default", "a").await.unwrap();
        let told = pod["status"]["conditions"].items().iter().any(|condition| {
            condition["message"].text().contains("2 node(s) didn't find available persistent volumes to bind")
        });
        told && pod["spec"]["nodeName"].is_null()
    };
    admin.eventually("no node has a volume", waits).await;
    admin.create(&VOLUMES, "", local("v2", "n2")).await.unwrap();
    admin.create(&VOLUMES, "", local("v1", "n1")).await.unwrap();
    let placed = |name: &'static str| async move {
        let pod = admin.get(&PODS, "default", name).await.unwrap();
        let claim = admin.get(&VOLUME_CLAIMS, "default", name).await.unwrap();
        let node = pod["spec"]["nodeName"].text().to_owned();
        let volume = claim["spec"]["volumeName"].text().to_owned();
        (node, volume, claim["status"]["phase"].text() == "Bound")
    };
    admin
        .eventually("both are placed where their volumes are", || async {
            let (a, b) = (placed("a").await, placed("b").await);
            a.2 && b.2
                && a.0 != b.0
                && [a, b].iter().all(|(node, volume, _)| node.replace('n', "v") == *volume)
        })
        .await;
    cluster.stop();
}

#[tokio::test(start_paused = true)]
async fn a_tainted_device_loses_its_pod() {
    let cluster = Cluster::start(73, &["n1"]).await;
    let admin = &cluster.admin;
    let slices = Resource::new("resource.k8s.io", "v1", "resourceslices");
    let rules = Resource::new("resource.k8s.io", "v1", "devicetaintrules");
    let slice = value!({
        "apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", "metadata": {"name": "s"},
        "spec": {
            "driver": "example.com", "nodeName": "n1",
            "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1},
            "devices": [{"name": "d"}]
        }
    });
    admin.create(&slices, "", slice).await.unwrap();
    for name in ["patient", "other"] {
        let claim = value!({
            "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "metadata": {"name": name},
            "spec": {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "gpu"}}]}}
        });
        admin.create(&CLAIMS, "default", claim).await.unwrap();
        let mut pod = user(name);
        pod.set_at(&["spec", "resourceClaims"], value!([{"name": "gpu", "resourceClaimName": name}]));
        let pod = admin.create(&PODS, "default", pod).await.unwrap();
        // Nobody here allocates devices.
        let uid = pod["metadata"]["uid"].text();
        let device = if name == "other" { "e" } else { "d" };
        let status = value!({"status": {
            "reservedFor": [{"resource": "pods", "name": name, "uid": uid}],
            "allocation": {"devices": {"results": [{
                "request": "r", "driver": "example.com", "pool": "p", "device": device,
                "tolerations": [{"key": "off", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}]
            }]}}
        }});
        admin.patch(&CLAIMS, "default", name, Some("status"), status).await.unwrap();
    }
    let runs = |name: &'static str| async move {
        let pod = admin.get(&PODS, "default", name).await;
        pod.is_ok_and(|pod| pod["status"]["phase"].text() == "Running")
    };
    admin.eventually("both run", || async { runs("patient").await && runs("other").await }).await;
    let condition = || async {
        let rule = admin.get(&rules, "", "off").await.unwrap();
        let conditions = rule["status"]["conditions"].items();
        let known = conditions.iter().find(|one| one["type"].text() == "EvictionInProgress").cloned();
        known
            .map(|one| (one["reason"].text().to_owned(), one["message"].text().to_owned()))
            .unwrap_or_default()
    };
    let rule = |effect: &str| {
        value!({
            "apiVersion": "resource.k8s.io/v1", "kind": "DeviceTaintRule", "metadata": {"name": "off"},
            "spec": {
                "deviceSelector": {"driver": "example.com", "device": "d"},
                "taint": {"key": "off", "effect": effect}
            }
        })
    };
    admin.create(&rules, "", rule("None")).await.unwrap();
    admin.eventually("it is told what it would do", || async { condition().await.0 == "NoEffect" }).await;
    assert!(condition().await.1.starts_with(
        "1 published device selected. 1 allocated device selected. 1 pod would be evicted in 1 namespace"
    ));
    admin.patch(&rules, "", "off", None, value!({"spec": {"taint": {"effect": "NoExecute"}}})).await.unwrap();
    admin.eventually("a pod is to go", || async { condition().await.0 == "PodsPendingEviction" }).await;
    assert_eq!(condition().await.1, "1 pod needs to be evicted in 1 namespace.");
    assert!(runs("patient").await, "it is tolerated for a while");

    // Taken back in time.
    admin
        .patch(&rules, "", "off", None, value!({"spec": {"taint": {"effect": "NoSchedule"}}}))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(runs("patient").await);
    assert_eq!(condition().await.0, "OtherEffect");
    let told = |message: &'static str| async move {
        admin.list(&EVENTS, "default").await.iter().any(|event| {
            event["reason"].text() == "DeviceTaintManagerEviction"
                && event["message"].text() == message
                && event["involvedObject"]["name"].text() == "patient"
        })
    };
    assert!(told("Cancelling deletion").await);

    admin.delete(&rules, "", "off").await.unwrap();
    admin.create(&rules, "", rule("NoExecute")).await.unwrap();
    admin
        .eventually("its pod goes", || async { admin.get(&PODS, "default", "patient").await.is_err() })
        .await;
    assert!(told("Marking for deletion").await);
    admin.eventually("it is told", || async { condition().await.0 == "Completed" }).await;
    assert_eq!(condition().await.1, "1 pod evicted since starting the controller.");
    assert!(runs("other").await, "its device is another");
    assert_eq!(cluster.told("device_taint_eviction_controller_pod_deletions_total"), Some(1.0));
    cluster.stop();
}
