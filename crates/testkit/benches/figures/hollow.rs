//! Hollow nodes (upstream's kubemark has them): kubelets that speak to the API
//! as real ones do, and start nothing. Each has a connection of its own, a
//! watch of its pods, a lease that it renews, and tells of every pod what its
//! kubelet would.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::json;

use crate::connection::{Multiplexed, Target};

const JSON: &str = "application/json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
/// How often a kubelet renews its lease.
const BEAT: Duration = Duration::from_secs(10);
/// A container of this image ends at once, with success.
pub const ENDS: &str = "ends";

/// How many pods all nodes together have started so far.
pub type Started = Arc<AtomicU64>;

/// What a node looks at in an event.
#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    object: Pod,
}

#[derive(Deserialize)]
struct Pod {
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    namespace: String,
    name: String,
    #[serde(default)]
    uid: String,
    deletion_timestamp: Option<String>,
}

#[derive(Default, Deserialize)]
struct Spec {
    containers: Vec<Container>,
}

#[derive(Deserialize)]
struct Container {
    name: String,
    image: String,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    phase: String,
}

/// Starts so many nodes, each with room for so many pods, and comes back when
/// all are there. They live as long as the runtime.
pub async fn start(target: &Target, nodes: usize, pods_each: usize) -> Started {
    let started = Started::default();
    for at in 0..nodes {
        let mut connection = target.multiplexed().await;
        let node = Node { name: format!("hollow-{at}"), number: at, started: started.clone() };
        node.register(&mut connection, pods_each).await;
        tokio::spawn(node.clone().beat(connection.clone()));
        tokio::spawn(node.run(connection));
    }
    started
}

#[derive(Clone)]
struct Node {
    name: String,
    number: usize,
    started: Started,
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

impl Node {
    async fn register(&self, connection: &mut Multiplexed, pods: usize) {
        let name = &self.name;
        let node = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "hollow": "true"}},
        });
        let (status, answer) = connection.try_ask("POST", "/api/v1/nodes", JSON, node.to_string()).await;
        assert!(status.is_success(), "{}", String::from_utf8_lossy(&answer));
        let amounts = json!({"cpu": "64", "memory": "256Gi", "pods": pods.to_string()});
        let condition = |kind: &str, status: &str| {
            json!({"type": kind, "status": status, "reason": "Hollow", "message": "",
                   "lastHeartbeatTime": now(), "lastTransitionTime": now()})
        };
        let status = json!({"status": {
            "allocatable": amounts, "capacity": amounts,
            "conditions": [condition("Ready", "True"), condition("MemoryPressure", "False"),
                           condition("DiskPressure", "False"), condition("PIDPressure", "False")],
        }});
        let path = format!("/api/v1/nodes/{name}/status");
        let (code, answer) = connection.try_ask("PATCH", &path, STRATEGIC, status.to_string()).await;
        assert!(code.is_success(), "{}", String::from_utf8_lossy(&answer));
    }

    async fn beat(self, mut connection: Multiplexed) {
        let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
        let name = &self.name;
        let lease = |renewed: &str| {
            json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name},
                   "spec": {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": renewed}})
        };
        let micro = || jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.000000Z").to_string();
        connection.try_ask("POST", leases, JSON, lease(&micro()).to_string()).await;
        loop {
            // Not all at one moment.
            tokio::time::sleep(BEAT + Duration::from_millis(self.number as u64 * 7)).await;
            let renewed = json!({"spec": {"renewTime": micro()}}).to_string();
            connection.try_ask("PATCH", &format!("{leases}/{name}"), STRATEGIC, renewed).await;
        }
    }

    /// Watches the node's pods and tells what becomes of each.
    async fn run(self, connection: Multiplexed) {
        let path = format!(
            "/api/v1/pods?watch=true&resourceVersion=0&timeoutSeconds=3000&fieldSelector=spec.nodeName%3D{}",
            self.name
        );
        let response = connection.clone().start(&path).await;
        assert!(response.status().is_success(), "{}", response.status());
        let mut body = response.into_body();
        let (mut begun, mut ended) = (HashSet::new(), HashSet::new());
        let mut rest = Vec::new();
        let mut last_address = 0_u32;
        while let Some(Ok(frame)) = body.frame().await {
            rest.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
            let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') else { continue };
            let lines: Vec<u8> = rest.drain(..=end).collect();
            for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let event: Event = serde_json::from_slice(line).expect("an event");
                if !matches!(event.kind.as_str(), "ADDED" | "MODIFIED") {
                    continue;
                }
                let pod = event.object;
                if pod.metadata.deletion_timestamp.is_some() {
                    if ended.insert(pod.metadata.uid.clone()) {
                        tokio::spawn(self.clone().end(connection.clone(), pod));
                    }
                } else if matches!(pod.status.phase.as_str(), "" | "Pending")
                    && begun.insert(pod.metadata.uid.clone())
                {
                    last_address += 1;
                    let address = format!(
                        "10.{}.{}.{}",
                        128 + self.number / 2,
                        self.number % 2 * 128 + last_address as usize / 250 % 128,
                        last_address % 250 + 1
                    );
                    tokio::spawn(self.clone().begin(connection.clone(), pod, address));
                }
            }
        }
    }

    /// Asks until the server has time to answer.
    async fn insist(
        connection: &mut Multiplexed,
        method: &str,
        path: &str,
        kind: &str,
        body: &str,
    ) -> StatusCode {
        loop {
            let (status, _) = connection.try_ask(method, path, kind, body.to_owned()).await;
            if status != StatusCode::TOO_MANY_REQUESTS {
                return status;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// What a kubelet tells of a pod: that it runs, and that it has ended.
    async fn begin(self, mut connection: Multiplexed, pod: Pod, address: String) {
        let path = format!("/api/v1/namespaces/{}/pods/{}/status", pod.metadata.namespace, pod.metadata.name);
        let running = json!({"running": {"startedAt": now()}});
        let status = self.status(&pod, "Running", Some(&address), &running);
        if Self::insist(&mut connection, "PATCH", &path, STRATEGIC, &status).await.is_success() {
            self.started.fetch_add(1, Ordering::Relaxed);
        }
        if pod.spec.containers[0].image != ENDS {
            return;
        }
        let ended = json!({"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": now(), "finishedAt": now()}});
        let status = self.status(&pod, "Succeeded", Some(&address), &ended);
        Self::insist(&mut connection, "PATCH", &path, STRATEGIC, &status).await;
    }

    /// A pod is to end: its containers have, and it goes.
    async fn end(self, mut connection: Multiplexed, pod: Pod) {
        let path = format!("/api/v1/namespaces/{}/pods/{}", pod.metadata.namespace, pod.metadata.name);
        if pod.status.phase != "Succeeded" {
            let ended = json!({"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": now(), "finishedAt": now()}});
            let status = self.status(&pod, "Succeeded", None, &ended);
            Self::insist(&mut connection, "PATCH", &format!("{path}/status"), STRATEGIC, &status).await;
        }
        let options = json!({
            "apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0,
            "preconditions": {"uid": pod.metadata.uid},
        });
        Self::insist(&mut connection, "DELETE", &path, JSON, &options.to_string()).await;
    }

    fn status(&self, pod: &Pod, phase: &str, address: Option<&str>, state: &serde_json::Value) -> String {
        let ready = phase == "Running";
        let word = if ready { "True" } else { "False" };
        let condition =
            |kind: &str, status: &str| json!({"type": kind, "status": status, "lastTransitionTime": now()});
        let containers: Vec<_> = pod.spec.containers.iter().map(|container| json!({
            "name": container.name, "image": container.image, "imageID": "", "ready": ready, "started": ready,
            "restartCount": 0, "containerID": format!("hollow://{}", pod.metadata.uid), "state": state,
        })).collect();
        let mut status = json!({
            "phase": phase, "hostIP": "192.0.2.20", "startTime": now(), "qosClass": "Burstable",
            "conditions": [
                condition("PodReadyToStartContainers", word), condition("Initialized", "True"),
                condition("Ready", word), condition("ContainersReady", word),
            ],
            "containerStatuses": containers,
        });
        if let Some(address) = address {
            status["podIP"] = json!(address);
            status["podIPs"] = json!([{"ip": address}]);
        }
        json!({"metadata": {"uid": pod.metadata.uid}, "status": status}).to_string()
    }
}
