//! Controllers and scheduler under load: many pods on a hundred hollow nodes,
//! against the whole program. CPU is the server's alone; the load shares the
//! machine, so that rates are what server and nodes reach together.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::Cluster;

use crate::connection::{Multiplexed, Target};
use crate::hollow;
use crate::process::{cpu_seconds, of_program, pss_mib};
use crate::report::Report;

const NODES: usize = 100;
const REPLICAS: usize = 1000;
const JOBS: usize = 1000;
const MANY: usize = 20_000;
const PATIENCE: Duration = Duration::from_secs(1200);

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

pub fn measure(report: &mut Report) {
    let mut cluster = Cluster::start();
    // The node that is real takes no part.
    let own = cluster.kubectl().field("nodes", ".items[0].metadata.name");
    cluster.kubectl().run(&format!("cordon {own}"));
    let (kubeconfig, network, pid) = (cluster.kubeconfig(), cluster.network(), cluster.pid());
    // Memory is measured while the nodes live.
    let with_all = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            network.enter();
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(load(report, &Target::read(&kubeconfig), pid));
            pss_mib(&of_program(pid))
        });
        load.join().expect("the load ends")
    });
    cluster.serve_api_alone();
    std::thread::sleep(Duration::from_secs(5));
    let api = pss_mib(&of_program(cluster.pid()));
    report.add("memory with 20,000 pods, whole program", with_all, "MiB", None, None);
    report.add("memory of controllers, scheduler, node, 20,000 pods", with_all - api, "MiB", 200.0, None);
}

async fn load(report: &mut Report, target: &Target, pid: u32) {
    let mut admin = target.multiplexed().await;
    let started = hollow::start(target, NODES, 300).await;
    eventually("the nodes are ready", async || {
        let nodes = get(admin.clone(), "/api/v1/nodes?labelSelector=hollow").await;
        let ready = |node: &Value| node["spec"]["taints"].is_null();
        let nodes = nodes["items"].as_array().cloned().unwrap_or_default();
        nodes.len() == NODES && nodes.iter().all(ready)
    })
    .await;

    // Warms allocator, caches and connections.
    deploy(&mut admin, "warm", 100).await;
    settled(&mut admin, "warm", 100).await;

    let clock = Clock::start(pid);
    deploy(&mut admin, "web", REPLICAS).await;
    settled(&mut admin, "web", REPLICAS).await;
    let (cpu, seconds) = clock.stop();
    report.add("rollout of 1,000 replicas, CPU a pod", cpu / REPLICAS as f64, "us", 2000.0, None);
    report.add("rollout of 1,000 replicas, rate", REPLICAS as f64 / seconds, "/s", None, None);

    let clock = Clock::start(pid);
    let patch = json!({"spec": {"template": {"metadata": {"annotations": {"round": "2"}}}}});
    admin.ask("PATCH", &format!("{DEPLOYMENTS}/web"), MERGE, patch.to_string()).await;
    settled(&mut admin, "web", REPLICAS).await;
    let (cpu, seconds) = clock.stop();
    report.add("rolling update of 1,000 replicas, CPU a pod", cpu / REPLICAS as f64, "us", 4000.0, None);
    report.add("rolling update of 1,000 replicas, rate", REPLICAS as f64 / seconds, "/s", None, None);

    let clock = Clock::start(pid);
    let creators = (0..8).map(|part| async move {
        let mut connection = target.multiplexed().await;
        for at in (part..JOBS).step_by(8) {
            connection.ask("POST", "/apis/batch/v1/namespaces/default/jobs", JSON, job(at)).await;
        }
    });
    futures::future::join_all(creators).await;
    eventually("all Jobs are complete", async || {
        // Those that have no success yet, counted without their bodies.
        let path = "/apis/batch/v1/namespaces/default/jobs?limit=1&fieldSelector=status.successful%3D0";
        get(admin.clone(), path).await["items"].as_array().is_some_and(Vec::is_empty)
    })
    .await;
    let (cpu, seconds) = clock.stop();
    report.add("burst of 1,000 Jobs, CPU a Job", cpu / JOBS as f64, "us", 4000.0, None);
    report.add("burst of 1,000 Jobs, rate", JOBS as f64 / seconds, "/s", None, None);

    let before = started.load(Ordering::Relaxed) as usize;
    let there = 100 + REPLICAS;
    let more = (MANY - there).div_ceil(REPLICAS);
    for at in 0..more {
        deploy(&mut admin, &format!("more-{at}"), (MANY - there).min(REPLICAS * (at + 1)) - REPLICAS * at)
            .await;
    }
    eventually("20,000 pods run", async || started.load(Ordering::Relaxed) as usize >= before + MANY - there)
        .await;
    tokio::time::sleep(Duration::from_secs(10)).await;
}

/// Server CPU and time from its start on.
struct Clock {
    pid: u32,
    cpu: f64,
    start: Instant,
}

impl Clock {
    fn start(pid: u32) -> Self {
        Self { pid, cpu: cpu_seconds(pid), start: Instant::now() }
    }

    /// Microseconds of CPU, and seconds.
    fn stop(&self) -> (f64, f64) {
        ((cpu_seconds(self.pid) - self.cpu) * 1e6, self.start.elapsed().as_secs_f64())
    }
}

async fn get(mut admin: Multiplexed, path: &str) -> Value {
    let answer = admin.ask("GET", path, JSON, String::new()).await;
    serde_json::from_slice(&answer).expect("JSON")
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < PATIENCE, "after twenty minutes still not: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn deploy(admin: &mut Multiplexed, name: &str, replicas: usize) {
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container("serves")]}},
        },
    });
    admin.ask("POST", DEPLOYMENTS, JSON, deployment.to_string()).await;
}

fn job(at: usize) -> String {
    let pod = json!({"restartPolicy": "Never", "containers": [container(hollow::ENDS)]});
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": format!("job-{at}")},
        "spec": {"template": {"spec": pod}},
    })
    .to_string()
}

fn container(image: &str) -> Value {
    json!({"name": "main", "image": image, "imagePullPolicy": "IfNotPresent",
           "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}}})
}

/// Waits until a Deployment has come to what is wanted of it.
async fn settled(admin: &mut Multiplexed, name: &str, replicas: usize) {
    let path = format!("{DEPLOYMENTS}/{name}");
    let start = Instant::now();
    loop {
        let answer = admin.ask("GET", &path, JSON, String::new()).await;
        let deployment: Value = serde_json::from_slice(&answer).expect("JSON");
        let status = &deployment["status"];
        let counts = ["replicas", "updatedReplicas", "availableReplicas"];
        if counts.iter().all(|count| status[count].as_u64() == Some(replicas as u64))
            && status["observedGeneration"] == deployment["metadata"]["generation"]
        {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "after twenty minutes still not settled: {status}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
