//! A cluster for one test: the API server in memory, every controller, and
//! nodes whose kubelet and scheduler are a few lines.

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::{Value, value};
use apiserver::{ApiServer, LocalTransport, UserInfo};
use async_trait::async_trait;
use client::{
    DeleteOptions, Document, Error, List, ListOptions, Request, Resource, Transport, WatchKind, WatchStream,
};
use controllers::Context;
use edge::Edge;
use futures::StreamExt;
use informer::QueueMetrics;
use parking_lot::Mutex;
use pki::ServiceAccountKeys;
use serve::families::Families;
use testapi::{Client, Disk};

pub struct Cluster {
    pub server: Arc<ApiServer>,
    pub edge: Edge,
    pub admin: Client,
    /// What the controllers' queues count; nothing before they are started.
    pub queues: QueueMetrics,
    families: Families,
    requests: Requests,
    keys: Arc<ServiceAccountKeys>,
}

/// Signs the tokens of Secrets.
struct Signer(Arc<ServiceAccountKeys>);

impl controllers::TokenSigner for Signer {
    fn sign(&self, token: &controllers::SecretToken<'_>) -> Result<String, String> {
        let claims = pki::LegacyClaims {
            namespace: token.namespace.into(),
            secret: token.secret.into(),
            account: token.account.into(),
            account_uid: token.account_uid.into(),
            sub: format!("system:serviceaccount:{}:{}", token.namespace, token.account),
        };
        self.0.sign_legacy(&claims).map_err(|why| why.to_string())
    }
}

/// How often each identity has asked for anything.
type Requests = Arc<Mutex<BTreeMap<String, u64>>>;

/// Counts what passes.
struct Counted {
    inner: LocalTransport,
    identity: String,
    requests: Requests,
}

impl Counted {
    fn count(&self) {
        *self.requests.lock().entry(self.identity.clone()).or_default() += 1;
    }
}

#[async_trait]
impl Transport for Counted {
    async fn call(&self, request: Request) -> Result<Document, Error> {
        self.count();
        self.inner.call(request).await
    }

    async fn list(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        options: &ListOptions,
    ) -> Result<List, Error> {
        self.count();
        self.inner.list(resource, namespace, options).await
    }

    async fn watch(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        options: &ListOptions,
    ) -> Result<WatchStream, Error> {
        self.inner.watch(resource, namespace, options).await
    }
}

pub const PODS: Resource = Resource::new("", "v1", "pods");
pub const NODES: Resource = Resource::new("", "v1", "nodes");
pub const NAMESPACES: Resource = Resource::new("", "v1", "namespaces");
pub const CONFIG_MAPS: Resource = Resource::new("", "v1", "configmaps");
pub const SERVICES: Resource = Resource::new("", "v1", "services");
pub const ENDPOINTS: Resource = Resource::new("", "v1", "endpoints");
pub const SLICES: Resource = Resource::new("discovery.k8s.io", "v1", "endpointslices");
pub const DEPLOYMENTS: Resource = Resource::new("apps", "v1", "deployments");
pub const REPLICA_SETS: Resource = Resource::new("apps", "v1", "replicasets");
pub const DAEMON_SETS: Resource = Resource::new("apps", "v1", "daemonsets");
pub const REVISIONS: Resource = Resource::new("apps", "v1", "controllerrevisions");
pub const STATEFUL_SETS: Resource = Resource::new("apps", "v1", "statefulsets");
pub const REPLICATION_CONTROLLERS: Resource = Resource::new("", "v1", "replicationcontrollers");
pub const CLAIMS: Resource = Resource::new("", "v1", "persistentvolumeclaims");
pub const QUOTAS: Resource = Resource::new("", "v1", "resourcequotas");
pub const BUDGETS: Resource = Resource::new("policy", "v1", "poddisruptionbudgets");
pub const CLUSTER_ROLES: Resource = Resource::new("rbac.authorization.k8s.io", "v1", "clusterroles");
pub const CRON_JOBS: Resource = Resource::new("batch", "v1", "cronjobs");
pub const EVENTS: Resource = Resource::new("", "v1", "events");
pub const AUTOSCALERS: Resource = Resource::new("autoscaling", "v2", "horizontalpodautoscalers");
pub const JOBS: Resource = Resource::new("batch", "v1", "jobs");

impl Cluster {
    /// An API server without any loop.
    async fn bare(seed: u64) -> Self {
        let edge = Edge::simulated(seed, "2026-11-01T00:00:00Z".parse().expect("a time"));
        let disk = Disk::new(&edge);
        let server = disk.serve(&edge).await;
        let admin = testapi::client(&server, "admin", &["system:masters"]);
        let queues = QueueMetrics::default();
        let families = Families::default();
        Self { server, edge, admin, queues, families, requests: Requests::default(), keys: disk.keys }
    }

    /// With every controller and nodes of these names.
    pub async fn start(seed: u64, nodes: &[&str]) -> Self {
        let mut cluster = Self::bare(seed).await;
        for name in nodes {
            cluster.add_node(name).await;
        }
        let (server, requests) = (cluster.server.clone(), cluster.requests.clone());
        let identities = move |name: &str| -> Arc<dyn Transport> {
            let user = match name {
                "kube-controller-manager" => {
                    UserInfo::new("system:kube-controller-manager", &["system:authenticated"])
                }
                name => UserInfo::new(
                    format!("system:serviceaccount:kube-system:{name}"),
                    &["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"],
                ),
            };
            let inner = LocalTransport::new(server.clone(), user, name);
            Arc::new(Counted { inner, identity: name.to_owned(), requests: requests.clone() })
        };
        let context = Context::new(cluster.edge.clone(), Arc::new(identities))
            .with_root_ca("PEM")
            .with_token_signer(Arc::new(Signer(cluster.keys.clone())));
        controllers::start_all(&context);
        cluster.queues = context.queues().clone();
        cluster.families = context.metrics().clone();
        let (admin, nodes) = (cluster.admin.clone(), nodes.iter().map(|name| name.to_string()).collect());
        cluster.edge.tasks.spawn(run_pods(admin, cluster.edge.clone(), nodes));
        cluster
            .admin
            .eventually("the default account", || async {
                let account = Resource::new("", "v1", "serviceaccounts");
                cluster.admin.get(&account, "default", "default").await.is_ok()
            })
            .await;
        cluster
    }

    /// The way of another user to the API.
    pub fn transport(&self, user: &str) -> Arc<dyn Transport> {
        let user = UserInfo::new(user, &["system:authenticated"]);
        Arc::new(LocalTransport::new(self.server.clone(), user, "test"))
    }

    pub async fn add_node(&self, name: &str) {
        let node = value!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
        self.admin.create(&NODES, "", node).await.expect("a node");
        self.heartbeat(name).await;
    }

    /// The node says that it is ready.
    pub async fn heartbeat(&self, name: &str) {
        let now = self.edge.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let patch = value!({"status": {"conditions": [{
            "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "ready",
            "lastHeartbeatTime": (now.as_str()), "lastTransitionTime": (now.as_str())
        }]}});
        self.admin.patch(&NODES, "", name, Some("status"), patch).await.expect("a heartbeat");
    }

    /// How often an identity has asked for anything so far.
    pub fn asked(&self, identity: &str) -> u64 {
        self.requests.lock().get(identity).copied().unwrap_or(0)
    }

    /// The number of a series, by its name and labels as they are written.
    pub fn told(&self, series: &str) -> Option<f64> {
        let mut text = String::new();
        self.families.write(&mut text);
        let mut numbers = text.lines().filter_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        numbers.next()?.parse().ok()
    }

    pub fn stop(&self) {
        self.edge.tasks.stop();
    }
}

/// Binds pods to nodes, starts them and lets them end. A container whose image
/// is `fails` or `succeeds` does so at once.
async fn run_pods(admin: Client, edge: Edge, nodes: Vec<String>) {
    let mut last_ip = 0u32;
    loop {
        let Ok(list) = admin.0.list(&PODS, None, &ListOptions::default()).await else { continue };
        for document in &list.items {
            if let Ok(pod) = document.tree() {
                run_pod(&admin, &edge, &nodes, &pod, &mut last_ip).await;
            }
        }
        let options =
            ListOptions { resource_version: Some(list.revision.to_string()), ..ListOptions::default() };
        let Ok(mut events) = admin.0.watch(&PODS, None, &options).await else { continue };
        while let Some(Ok(event)) = events.next().await {
            if matches!(event.kind, WatchKind::Added | WatchKind::Modified)
                && let Ok(pod) = event.object.tree()
            {
                run_pod(&admin, &edge, &nodes, &pod, &mut last_ip).await;
            }
        }
    }
}

async fn run_pod(admin: &Client, edge: &Edge, nodes: &[String], pod: &Value, last_ip: &mut u32) {
    let (namespace, name) = (pod["metadata"]["namespace"].text(), pod["metadata"]["name"].text());
    let phase = pod["status"]["phase"].text();
    let ended = ["Succeeded", "Failed"].contains(&phase);
    if !pod["metadata"]["deletionTimestamp"].is_null() {
        if !ended && !pod["metadata"]["finalizers"].is_null() {
            let patch = value!({"status": {"phase": "Failed"}});
            let _ = admin.patch(&PODS, namespace, name, Some("status"), patch).await;
        }
        let options = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
        let _ = admin.delete_with(&PODS, namespace, name, options).await;
        return;
    }
    let Some(first) = nodes.first() else { return };
    if pod["spec"]["nodeName"].is_null() {
        let terms = pod.at(&[
            "spec",
            "affinity",
            "nodeAffinity",
            "requiredDuringSchedulingIgnoredDuringExecution",
            "nodeSelectorTerms",
        ]);
        let wanted = terms[0]["matchFields"][0]["values"][0].as_str();
        let any = &nodes[edge.random.below(nodes.len() as u64) as usize];
        let node = wanted.unwrap_or(if nodes.len() > 1 { any } else { first });
        let binding = value!({
            "apiVersion": "v1", "kind": "Binding", "metadata": {"name": name},
            "target": {"kind": "Node", "name": node}
        });
        let _ = admin.create_in(&PODS, (namespace, name), "binding", binding).await;
        return;
    }
    if phase != "Pending" && !phase.is_empty() {
        return;
    }
    let now = edge.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let image = pod["spec"]["containers"][0]["image"].text();
    *last_ip += 1;
    let ip = format!("10.42.{}.{}", *last_ip / 250, *last_ip % 250 + 1);
    let phase = match image {
        "fails" => "Failed",
        "succeeds" => "Succeeded",
        _ => "Running",
    };
    let ready = if phase == "Running" && image != "never-ready" { "True" } else { "False" };
    let mut status = value!({
        "phase": phase, "podIP": (ip.as_str()), "podIPs": [{"ip": (ip.as_str())}],
        "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": (now.as_str())}]
    });
    if phase != "Running" {
        let code = i64::from(phase == "Failed");
        status.set(
            "containerStatuses",
            value!([{
                "name": (pod["spec"]["containers"][0]["name"].text()),
                "image": image, "imageID": "", "ready": false, "restartCount": 0,
                "state": {"terminated": {"exitCode": code, "finishedAt": (now.as_str())}}
            }]),
        );
    }
    let _ = admin.patch(&PODS, namespace, name, Some("status"), value!({"status": status})).await;
}

/// A Deployment of `replicas` pods of an image.
pub fn deployment(name: &str, replicas: i64, image: &str) -> Value {
    value!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "main", "image": image, "ports": [
                    {"name": "http", "containerPort": 8080}
                ]}]}
            }
        }
    })
}

/// A StatefulSet of `replicas` pods of an image.
pub fn stateful_set(name: &str, replicas: i64, image: &str) -> Value {
    value!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name},
        "spec": {
            "replicas": replicas, "serviceName": name,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "main", "image": image}]}
            }
        }
    })
}

/// The names of what has no deletion timestamp.
pub fn living(objects: &[Value]) -> Vec<&str> {
    let living = objects.iter().filter(|object| object["metadata"]["deletionTimestamp"].is_null());
    living.map(|object| object["metadata"]["name"].text()).collect()
}
