//! Simulated nodes: a kubelet in a few lines that starts and stops what it is
//! given, and tells the invariants of it.

use std::sync::Arc;
use std::time::Duration;

use apimachinery::{Value, value};
use async_trait::async_trait;
use client::{Document, Error, Patch, Request, Transport, Verb, WriteOptions};
use edge::Edge;
use informer::{Informer, ObjectKey, Options, Outcome, Projection, Queue, Reconciler};
use testapi::Client;

use super::invariants::no_name_runs_twice::Running;
use crate::cluster::{NODES, PODS};

const LEASES: client::Resource = client::Resource::new("coordination.k8s.io", "v1", "leases");
const BEAT: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(2);

/// A pod as it is.
struct Pod(Value);

impl Projection for Pod {
    fn project(document: &Document) -> Result<Self, Error> {
        document.tree().map(Pod)
    }

    fn key(&self) -> ObjectKey {
        let metadata = &self.0["metadata"];
        ObjectKey::new(metadata["namespace"].text(), metadata["name"].text())
    }
}

impl Pod {
    fn uid(&self) -> &str {
        self.0["metadata"]["uid"].text()
    }

    fn terminating(&self) -> bool {
        !self.0["metadata"]["deletionTimestamp"].is_null()
    }

    fn is_ready(&self) -> bool {
        let mut conditions = self.0["status"]["conditions"].items().iter();
        conditions.any(|one| one["type"].text() == "Ready" && one["status"].text() == "True")
    }

    fn has_ended(&self) -> bool {
        ["Succeeded", "Failed"].contains(&self.0["status"]["phase"].text())
    }
}

pub struct Kubelet {
    node: String,
    edge: Edge,
    transport: Arc<dyn Transport>,
    pods: Informer<Pod>,
    running: Arc<Running>,
}

/// Starts a node of this name, in the task group of `edge`.
pub fn start(edge: &Edge, transport: Arc<dyn Transport>, node: &str, running: Arc<Running>) {
    let pods = Informer::<Pod>::start(
        edge,
        transport.clone(),
        PODS,
        Options::fields(format!("spec.nodeName={node}")),
    );
    let queue = Queue::<ObjectKey>::new();
    let changed = queue.clone();
    pods.on_change(move |change| changed.add(change.key.clone()));
    let client = Client(transport.clone());
    edge.tasks.spawn(beat(client, edge.clone(), node.to_owned()));
    let kubelet = Kubelet { node: node.to_owned(), edge: edge.clone(), transport, pods, running };
    informer::run(edge, queue, Arc::new(kubelet), 3);
}

/// Says again and again that the node lives.
async fn beat(client: Client, edge: Edge, node: String) {
    loop {
        let now = edge.clock.now();
        let (time, micro) = (apimachinery::time::format(now), apimachinery::time::format_micro(now));
        let status = value!({"status": {
            "allocatable": {"cpu": "16", "memory": "64Gi", "pods": "110"},
            "capacity": {"cpu": "16", "memory": "64Gi", "pods": "110"},
            "conditions": [{
                "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "ready",
                "lastHeartbeatTime": (time.as_str())
            }]
        }});
        let lease = value!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": (node.as_str())},
            "spec": {"holderIdentity": (node.as_str()), "leaseDurationSeconds": 40, "renewTime": (micro.as_str())}
        });
        let renewed = value!({"spec": {"renewTime": (micro.as_str())}});
        // What does not come through now comes with the next beat.
        let _ = client.patch(&NODES, "", &node, Some("status"), status).await;
        if client.patch(&LEASES, "kube-node-lease", &node, None, renewed).await.is_err() {
            let _ = client.create(&LEASES, "kube-node-lease", lease).await;
        }
        tokio::time::sleep(BEAT).await;
    }
}

#[async_trait]
impl Reconciler<ObjectKey> for Kubelet {
    fn name(&self) -> &'static str {
        "kubelet"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, Error> {
        match self.sync(key).await {
            // As a kubelet it tries again soon, however long it hears nothing.
            Err(Error::Unreachable(_)) => Ok(Outcome::Again(RETRY)),
            other => other,
        }
    }
}

impl Kubelet {
    async fn sync(&self, key: &ObjectKey) -> Result<Outcome, Error> {
        let seen = self.pods.get(key);
        // Whatever runs under this name and is not this pod ends first.
        let uid = seen.as_ref().map(|pod| pod.uid().to_owned());
        if let Some(old) = self.running.on(&self.node, key)
            && Some(&old) != uid.as_ref()
        {
            self.stop(key, &old).await;
        }
        let Some(pod) = seen else { return Ok(Outcome::Done) };
        if pod.terminating() {
            return self.end(key, &pod).await;
        }
        let is_running = self.running.on(&self.node, key).is_some();
        if pod.has_ended() {
            if is_running {
                self.stop(key, pod.uid()).await;
            }
            return Ok(Outcome::Done);
        }
        if !is_running {
            self.running.start(&self.node, key, pod.uid());
            tokio::time::sleep(Duration::from_millis(self.edge.random.below(300))).await;
        }
        // Others may have called it unready while nothing was heard of the node.
        if pod.0["status"]["phase"].text() == "Running" && pod.is_ready() {
            return Ok(Outcome::Done);
        }
        let image = pod.0["spec"]["containers"][0]["image"].text();
        match image {
            "succeeds" => self.tell(key, &pod, "Succeeded").await?,
            _ => self.tell(key, &pod, "Running").await?,
        }
        if image == "succeeds" {
            self.running.stop(&self.node, key, pod.uid());
        }
        Ok(Outcome::Done)
    }

    async fn stop(&self, key: &ObjectKey, uid: &str) {
        tokio::time::sleep(Duration::from_millis(self.edge.random.below(1000))).await;
        self.running.stop(&self.node, key, uid);
    }

    /// A pod that is deleted: its containers end, and then it goes.
    async fn end(&self, key: &ObjectKey, pod: &Pod) -> Result<Outcome, Error> {
        if self.running.on(&self.node, key).is_some() {
            self.stop(key, pod.uid()).await;
        }
        if !pod.has_ended() {
            self.tell(key, pod, "Failed").await?;
        }
        let mut options = client::DeleteOptions::uid(pod.uid());
        options.grace_period_seconds = Some(0);
        let request = self.request(key, None, Verb::Delete(options));
        match self.transport.call(request).await {
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(Outcome::Done),
            other => other.map(|_| Outcome::Done),
        }
    }

    fn request(&self, key: &ObjectKey, subresource: Option<&'static str>, verb: Verb) -> Request {
        Request {
            resource: PODS,
            namespace: Some(key.namespace.clone()),
            name: Some(key.name.clone()),
            subresource: subresource.map(Into::into),
            verb,
        }
    }

    async fn tell(&self, key: &ObjectKey, pod: &Pod, phase: &str) -> Result<(), Error> {
        let now = apimachinery::time::format(self.edge.clock.now());
        let ready = if phase == "Running" { "True" } else { "False" };
        let mut status = value!({
            "phase": phase,
            "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": (now.as_str())}]
        });
        if phase != "Running" {
            let code = i64::from(phase == "Failed");
            status.set(
                "containerStatuses",
                value!([{
                    "name": (pod.0["spec"]["containers"][0]["name"].text()),
                    "image": "image", "imageID": "", "ready": false, "restartCount": 0,
                    "state": {"terminated": {"exitCode": code, "finishedAt": (now.as_str())}}
                }]),
            );
        }
        let body = value!({"metadata": {"uid": (pod.uid())}, "status": (status)});
        let Patch { kind, body } = Patch::strategic(body);
        let verb = Verb::Patch { kind, body, options: WriteOptions::default() };
        match self.transport.call(self.request(key, Some("status"), verb)).await {
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
            other => other.map(drop),
        }
    }
}
