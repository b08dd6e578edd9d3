//! Server CPU of the API's operations, over TLS and with fsync on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::Incoming;
use testkit::Cluster;
use tokio::task::JoinHandle;

use crate::connection::Target;
use crate::process::{cpu_seconds, pss_mib};
use crate::report::Report;

const JSON: &str = "application/json";
const CLIENTS: usize = 64;

pub fn measure(report: &mut Report) {
    let cluster = Cluster::api_server_on_loopback();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(operations(report, &cluster));
}

/// A ConfigMap of about 1 KiB.
fn config_map(name: &str) -> String {
    let data = "x".repeat(900);
    format!(
        r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{name}"}},"data":{{"key":"{data}"}}}}"#
    )
}

/// A pod as a Deployment's would be.
fn pod(at: usize) -> String {
    format!(
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"p-{at}","labels":{{"app":"bench","group":"g{}"}},
        "ownerReferences":[{{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"bench-5d8f7c9b6d","uid":"1b671a64-40d5-491e-99b0-da01ff1f3341","controller":true,"blockOwnerDeletion":true}}]}},
        "spec":{{"containers":[{{"name":"main","image":"registry.example/team/app:1.2.3","args":["--port","8080","--verbose"],
        "ports":[{{"containerPort":8080,"name":"http"}}],"env":[{{"name":"A","value":"1"}},{{"name":"POD","valueFrom":{{"fieldRef":{{"fieldPath":"metadata.name"}}}}}}],
        "resources":{{"requests":{{"cpu":"100m","memory":"128Mi"}},"limits":{{"cpu":"1","memory":"256Mi"}}}},
        "readinessProbe":{{"httpGet":{{"path":"/healthz","port":"http"}},"periodSeconds":5}},
        "volumeMounts":[{{"name":"data","mountPath":"/data"}}]}}],"volumes":[{{"name":"data","emptyDir":{{}}}}]}}}}"#,
        at / 200
    )
}

const MAPS: &str = "/api/v1/namespaces/bench/configmaps";
const PODS: &str = "/api/v1/namespaces/pods/pods";
const SERVICE_ACCOUNT: &str = r#"{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"default"}}"#;

struct Load {
    target: Target,
    pid: u32,
}

impl Load {
    /// Makes the namespaces that the rest uses.
    async fn namespaces(&self) {
        let mut admin = self.target.connect().await;
        for namespace in ["bench", "pods"] {
            let body =
                format!(r#"{{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":"{namespace}"}}}}"#);
            admin.ask("POST", "/api/v1/namespaces", JSON, &body).await;
            let accounts = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
            admin.ask("POST", &accounts, JSON, SERVICE_ACCOUNT).await;
        }
    }

    /// Runs `count` requests on [`CLIENTS`] connections and gives the server's
    /// CPU in microseconds for each, and their rate.
    async fn run(
        &self,
        count: usize,
        clients: usize,
        request: impl Fn(usize) -> (&'static str, String, &'static str, String) + Send + Sync + 'static,
    ) -> (f64, f64) {
        let next = Arc::new(AtomicUsize::new(0));
        let request = Arc::new(request);
        let mut connections = Vec::new();
        for _ in 0..clients {
            connections.push(self.target.connect().await);
        }
        let (cpu, start) = (cpu_seconds(self.pid), Instant::now());
        let clients = connections.into_iter().map(|mut connection| {
            let (next, request) = (next.clone(), request.clone());
            async move {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= count {
                        return;
                    }
                    let (method, path, kind, body) = request(at);
                    connection.ask(method, &path, kind, &body).await;
                }
            }
        });
        futures::future::join_all(clients).await;
        let seconds = start.elapsed().as_secs_f64();
        ((cpu_seconds(self.pid) - cpu) * 1e6 / count as f64, count as f64 / seconds)
    }
}

/// What lists cost, alone.
pub fn lists(report: &mut Report) {
    let cluster = Cluster::api_server_on_loopback();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let load = Load { target: Target::read(&cluster.kubeconfig()), pid: cluster.pid() };
    runtime.block_on(async {
        load.namespaces().await;
        load.run(10_000, CLIENTS, |at| ("POST", PODS.into(), JSON, pod(at))).await;
        listing(report, &load).await;
    });
}

/// What watches cost, alone.
pub fn watches(report: &mut Report) {
    let cluster = Cluster::api_server_on_loopback();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let load = Load { target: Target::read(&cluster.kubeconfig()), pid: cluster.pid() };
    runtime.block_on(watching(report, &load));
}

async fn operations(report: &mut Report, cluster: &Cluster) {
    let load = Load { target: Target::read(&cluster.kubeconfig()), pid: cluster.pid() };
    load.namespaces().await;
    // Warms allocator and caches.
    load.run(500, CLIENTS, |at| ("POST", MAPS.into(), JSON, config_map(&format!("warm-{at}")))).await;

    let (cpu, rate) =
        load.run(10_000, CLIENTS, |at| ("POST", MAPS.into(), JSON, config_map(&format!("c-{at}")))).await;
    report.add("create 1 KiB ConfigMap, server CPU", cpu, "us", 90.0, 1173.0);
    report.add("create 1 KiB ConfigMap, rate", rate, "/s", None, None);
    report.add("get at half that rate of writes, p99.9", tail(&load, rate / 2.0).await, "ms", 20.0, None);
    let (cpu, rate) = load
        .run(20_000, CLIENTS, |at| ("GET", format!("{MAPS}/c-{}", at % 10_000), JSON, String::new()))
        .await;
    report.add("get 1 KiB ConfigMap, server CPU", cpu, "us", 30.0, 568.0);
    report.add("get 1 KiB ConfigMap, rate", rate, "/s", None, None);
    let (cpu, _) = load
        .run(10_000, CLIENTS, |at| {
            let patch = format!(r#"{{"data":{{"n":"{at}"}}}}"#);
            ("PATCH", format!("{MAPS}/c-{at}"), "application/merge-patch+json", patch)
        })
        .await;
    report.add("merge patch of a ConfigMap, server CPU", cpu, "us", 120.0, 1546.0);
    let (cpu, _) = load
        .run(10_000, CLIENTS, |at| {
            let config = format!(
                r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"c-{at}"}},"data":{{"applied":"{at}"}}}}"#
            );
            let path = format!("{MAPS}/c-{at}?fieldManager=bench");
            ("PATCH", path, "application/apply-patch+yaml", config)
        })
        .await;
    report.add("apply to a ConfigMap, server CPU", cpu, "us", 200.0, None);
    let (cpu, rate) = load.run(10_000, CLIENTS, |at| ("POST", PODS.into(), JSON, pod(at))).await;
    report.add("create pod, server CPU", cpu, "us", 180.0, 1855.0);
    report.add("create pod, rate", rate, "/s", None, None);

    listing(report, &load).await;
    watching(report, &load).await;
    for (watchers, name) in [
        (0, "an event without watchers, server CPU"),
        (10_000, "an event with 10,000 watchers of other nodes, server CPU"),
    ] {
        let each = bystanders(&load, watchers).await;
        report.add(name, each, "us", None, None);
    }
    report.add("memory for each of 10,000 idle connections", idle(&load).await, "KiB", None, None);
}

/// How long the slowest of a thousand gets takes while this many writes a second
/// go on, in milliseconds as a client on this machine sees it.
async fn tail(load: &Load, writes: f64) -> f64 {
    const CONNECTIONS: usize = 16;
    const GETS: usize = 10_000;
    /// Gets a second.
    const PACE: f64 = 1000.0;
    let every = |rate: f64| {
        let mut ticks = tokio::time::interval(Duration::from_secs_f64(CONNECTIONS as f64 / rate));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        ticks
    };
    let mut writers = Vec::new();
    for writer in 0..CONNECTIONS {
        let (mut connection, mut ticks) = (load.target.connect().await, every(writes));
        writers.push(tokio::spawn(async move {
            for at in 0.. {
                ticks.tick().await;
                let patch = format!(r#"{{"data":{{"n":"{at}"}}}}"#);
                let path = format!("{MAPS}/c-{}", 5000 + writer * 100 + at % 100);
                connection.ask("PATCH", &path, "application/merge-patch+json", &patch).await;
            }
        }));
    }
    let mut readers = Vec::new();
    for reader in 0..CONNECTIONS {
        let (mut connection, mut ticks) = (load.target.connect().await, every(PACE));
        readers.push(async move {
            let mut times = Vec::with_capacity(GETS / CONNECTIONS);
            for at in 0..GETS / CONNECTIONS {
                ticks.tick().await;
                let start = Instant::now();
                connection.ask("GET", &format!("{MAPS}/c-{}", reader * 100 + at % 100), JSON, "").await;
                times.push(start.elapsed());
            }
            times
        });
    }
    let mut times = futures::future::join_all(readers).await.concat();
    writers.iter().for_each(JoinHandle::abort);
    times.sort_unstable();
    times[times.len() - 1 - times.len() / 1000].as_secs_f64() * 1e3
}

/// What the server keeps for a connection on which nothing is asked, in KiB.
async fn idle(load: &Load) -> f64 {
    const CONNECTIONS: usize = 10_000;
    let before = pss_mib(&[load.pid]);
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(load.target.connect().await);
    }
    // The others are served meanwhile.
    load.target.connect().await.ask("GET", "/readyz", JSON, "").await;
    (pss_mib(&[load.pid]) - before) * 1024.0 / CONNECTIONS as f64
}

/// Lists of the 10,000 pods.
async fn listing(report: &mut Report, load: &Load) {
    let (cpu, _) = load.run(20, 1, |_| ("GET", PODS.into(), JSON, String::new())).await;
    report.add("list 10,000 pods, server CPU", cpu / 1000.0, "ms", 25.0, 268.0);
    let mut compressed = load.target.connect().await.compressed();
    let before = cpu_seconds(load.pid);
    for _ in 0..10 {
        compressed.ask("GET", PODS, JSON, "").await;
    }
    let cpu = (cpu_seconds(load.pid) - before) * 1e3 / 10.0;
    report.add("list 10,000 pods with gzip, server CPU", cpu, "ms", None, None);
    let (cpu, _) = load
        .run(200, 4, |at| ("GET", format!("{PODS}?labelSelector=group%3Dg{}", at % 50), JSON, String::new()))
        .await;
    report.add("list 200 of 10,000 pods by label, server CPU", cpu / 1000.0, "ms", 0.7, 11.2);
}

/// 1,000 watchers and what they are told.
async fn watching(report: &mut Report, load: &Load) {
    for (connections, writers, name, wanted) in [
        (1000, CLIENTS, "watch, a delivery to 1,000 connections, server CPU", None),
        (20, CLIENTS, "watch, a delivery to 1,000 on 20 connections, server CPU", Some(2.7)),
        (20, 1, "the same, one client writing", None),
    ] {
        let (each, memory) = deliveries(load, connections, writers, name).await;
        report.add(name, each, "us", wanted, 27.6);
        if writers == 1 {
            report.add("memory with them and what is stored", memory, "MiB", 150.0, 1195.0);
        }
    }
}

/// Counts the events of a watch, a line each, until it ends.
fn count_events(response: Response<Incoming>, delivered: &Arc<AtomicUsize>) -> JoinHandle<()> {
    assert!(response.status().is_success());
    let delivered = delivered.clone();
    tokio::spawn(async move {
        let mut body = response.into_body();
        while let Some(Ok(frame)) = body.frame().await {
            let lines = frame.data_ref().map_or(0, |data| data.iter().filter(|byte| **byte == b'\n').count());
            delivered.fetch_add(lines, Ordering::Relaxed);
        }
    })
}

/// 1,000 watchers of one namespace on so many connections (one each: HTTP/1.1);
/// every change is delivered to each. Gives what a delivery costs, its part of
/// the change included, and the server's memory in MiB while they watch.
async fn deliveries(load: &Load, connections: usize, writers: usize, name: &str) -> (f64, f64) {
    const WATCHERS: usize = 1000;
    let changes = 50 * writers.clamp(2, 20);
    let namespace = format!("watched-{connections}-{writers}");
    let path = format!("/api/v1/namespaces/{namespace}/configmaps");
    let watch = format!("{path}?watch=true&resourceVersion=0&timeoutSeconds=120");
    let delivered = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    // What is dropped closes its connection.
    let mut single = Vec::new();
    let mut shared = Vec::new();
    if connections == WATCHERS {
        for _ in 0..WATCHERS {
            let mut connection = load.target.connect().await;
            tasks.push(count_events(connection.start("GET", &watch, JSON, "").await, &delivered));
            single.push(connection);
        }
    } else {
        for _ in 0..connections {
            shared.push(load.target.multiplexed().await);
        }
        for at in 0..WATCHERS {
            tasks.push(count_events(shared[at % connections].start(&watch).await, &delivered));
        }
    }
    let mut admin = load.target.connect().await;
    let body = format!(r#"{{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":"{namespace}"}}}}"#);
    admin.ask("POST", "/api/v1/namespaces", JSON, &body).await;
    let cpu = cpu_seconds(load.pid);
    load.run(changes, writers, move |at| ("POST", path.clone(), JSON, config_map(&format!("w-{at}")))).await;
    let start = Instant::now();
    while delivered.load(Ordering::Relaxed) < WATCHERS * changes && start.elapsed() < Duration::from_secs(30)
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let count = delivered.load(Ordering::Relaxed);
    assert_eq!(count, WATCHERS * changes, "{name}: events were lost");
    let each = (cpu_seconds(load.pid) - cpu) * 1e6 / count as f64;
    // The API alone has no helpers.
    let memory = pss_mib(&[load.pid]);
    tasks.iter().for_each(JoinHandle::abort);
    (each, memory)
}

/// What a change of a pod costs beside so many watchers that each wait for the
/// pods of another node.
async fn bystanders(load: &Load, watchers: usize) -> f64 {
    const CONNECTIONS: usize = 20;
    const CHANGES: usize = 2000;
    let delivered = Arc::new(AtomicUsize::new(0));
    let mut shared = Vec::new();
    for _ in 0..CONNECTIONS.min(watchers) {
        shared.push(load.target.multiplexed().await);
    }
    let mut tasks = Vec::new();
    for at in 0..watchers {
        let watch = format!(
            "/api/v1/pods?watch=true&timeoutSeconds=300&resourceVersion=0&fieldSelector=spec.nodeName%3Dnode-{at}"
        );
        tasks.push(count_events(shared[at % CONNECTIONS].start(&watch).await, &delivered));
    }
    let (cpu, _) = load
        .run(CHANGES, CLIENTS, move |at| {
            let patch = format!(r#"{{"metadata":{{"annotations":{{"n":"{watchers}-{at}"}}}}}}"#);
            ("PATCH", format!("/api/v1/namespaces/pods/pods/p-{at}"), "application/merge-patch+json", patch)
        })
        .await;
    assert_eq!(delivered.load(Ordering::Relaxed), 0, "nobody waits for these pods");
    tasks.iter().for_each(JoinHandle::abort);
    cpu
}

/// How long a server with 100,000 objects takes from its start to `/readyz`.
pub fn restart(report: &mut Report) {
    const OBJECTS: usize = 100_000;
    let mut cluster = Cluster::api_server_on_loopback();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let load = Load { target: Target::read(&cluster.kubeconfig()), pid: cluster.pid() };
        load.run(OBJECTS, CLIENTS, |at| {
            let path = "/api/v1/namespaces/default/configmaps".to_owned();
            ("POST", path, JSON, config_map(&format!("o-{at}")))
        })
        .await;
    });
    cluster.kill();
    let start = Instant::now();
    cluster.boot();
    report.add("restart with 100,000 objects, ready", start.elapsed().as_secs_f64(), "s", 2.0, None);
}
