//! Start, memory, idleness and pods of a whole node.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::{Builder, Cluster, Kubectl, nginx_archive};

use crate::connection::Target;
use crate::process::{cpu_seconds, of_program, pss_mib};
use crate::report::{Report, percentile};

pub fn measure(report: &mut Report) {
    let size = std::fs::metadata(testkit::program()).expect("the program was built").len();
    report.add("release program", size as f64 / 1048576.0, "MiB", 25.0, 501.0);

    let mut starts: Vec<(f64, f64)> = (0..5).map(|_| start()).collect();
    let mut ready: Vec<f64> = starts.iter().map(|start| start.0 * 1e3).collect();
    let mut node: Vec<f64> = starts.drain(..).map(|start| start.1 * 1e3).collect();
    report.add(
        "exec to /readyz, empty data directory, median",
        percentile(&mut ready, 0.5),
        "ms",
        200.0,
        2500.0,
    );
    report.add(
        "exec to node Ready, empty data directory, median",
        percentile(&mut node, 0.5),
        "ms",
        1000.0,
        None,
    );

    let cluster = Cluster::builder().image(nginx_archive()).start();
    let kubectl = cluster.kubectl();
    std::thread::sleep(Duration::from_secs(5));
    let idle = pss_mib(&of_program(cluster.pid()));
    report.add("memory idle (PSS, all processes)", idle, "MiB", 48.0, 590.0);
    let (cpu, window) = (cpu_seconds(cluster.pid()), 30.0);
    std::thread::sleep(Duration::from_secs_f64(window));
    let share = (cpu_seconds(cluster.pid()) - cpu) / window * 100.0;
    report.add("CPU idle, of a core", share, "%", 0.5, None);

    let mut single: Vec<f64> = (0..40).map(|at| one_pod(&kubectl, &format!("one-{at}"))).collect();
    report.add("pod create to Running, p50", percentile(&mut single, 0.5), "ms", 60.0, 503.0);
    report.add("pod create to Running, p99", percentile(&mut single, 0.99), "ms", 150.0, 578.0);
    kubectl.run("delete pods --all --wait=true --grace-period=0 --force");

    let rate = burst(&kubectl);
    report.add("burst of 30 pods, time a pod", 1000.0 / rate, "ms", 1000.0 / 30.0, 1000.0 / 8.3);
    std::thread::sleep(Duration::from_secs(5));
    let more = (pss_mib(&of_program(cluster.pid())) - idle) / 30.0;
    report.add("memory for each of 30 pods (PSS, shims counted)", more, "MiB", 1.0, None);
}

/// Seconds from the start of the program to /readyz and to a Ready node, as a
/// client sees them that asks every other millisecond over one connection.
fn start() -> (f64, f64) {
    let start = Instant::now();
    let cluster = Builder::spawn(Cluster::builder());
    // A thread of its own enters the cluster's network.
    let (kubeconfig, network) = (cluster.kubeconfig(), cluster.network());
    let asked = std::thread::spawn(move || {
        network.enter();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let pause = || tokio::time::sleep(Duration::from_millis(2));
            while !kubeconfig.exists() {
                pause().await;
            }
            let mut connection = loop {
                match Target::try_read(&kubeconfig) {
                    Some(target) => match target.try_connect().await {
                        Some(connection) => break connection,
                        None => pause().await,
                    },
                    None => pause().await,
                }
            };
            while !connection.try_ask("GET", "/readyz", "", "").await.0.is_success() {
                pause().await;
            }
            let ready = start.elapsed().as_secs_f64();
            loop {
                let (_, nodes) = connection.try_ask("GET", "/api/v1/nodes", "", "").await;
                let nodes: Value = serde_json::from_slice(&nodes).unwrap_or_default();
                let conditions =
                    nodes["items"][0]["status"]["conditions"].as_array().cloned().unwrap_or_default();
                if conditions
                    .iter()
                    .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
                {
                    return (ready, start.elapsed().as_secs_f64());
                }
                pause().await;
            }
        })
    });
    asked.join().expect("the server answers")
}

fn manifest(name: &str) -> String {
    format!(
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"{name}"}},"spec":{{"terminationGracePeriodSeconds":0,
        "containers":[{{"name":"main","image":"nginx","imagePullPolicy":"IfNotPresent","command":["sleep","3600"]}}]}}}}"#
    )
}

/// Milliseconds between the ADDED event of a pod and the event that shows it Running.
fn one_pod(kubectl: &Kubectl<'_>, name: &str) -> f64 {
    let path = format!(
        "/api/v1/namespaces/default/pods?watch=true&timeoutSeconds=30&fieldSelector=metadata.name%3D{name}"
    );
    let mut watch =
        kubectl.command_of(&["get", "--raw", &path]).stdout(Stdio::piped()).spawn().expect("kubectl starts");
    let lines = BufReader::new(watch.stdout.take().expect("piped")).lines();
    std::thread::sleep(Duration::from_millis(150));
    kubectl.run_with("create -f -", &manifest(name));
    let mut added = None;
    let mut taken = f64::NAN;
    for line in lines.map_while(Result::ok) {
        let event: Value = serde_json::from_str(&line).unwrap_or_default();
        let now = Instant::now();
        let added = *added.get_or_insert(now);
        if event["object"]["status"]["phase"] == "Running" {
            taken = (now - added).as_secs_f64() * 1e3;
            break;
        }
    }
    let _ = watch.kill();
    let _ = watch.wait();
    taken
}

/// Pods a second when 30 are created at once.
fn burst(kubectl: &Kubectl<'_>) -> f64 {
    const PODS: usize = 30;
    let path = "/api/v1/namespaces/default/pods?watch=true&timeoutSeconds=60";
    let mut watch =
        kubectl.command_of(&["get", "--raw", path]).stdout(Stdio::piped()).spawn().expect("kubectl starts");
    let lines = BufReader::new(watch.stdout.take().expect("piped")).lines();
    std::thread::sleep(Duration::from_millis(150));
    let all: String = (0..PODS).map(|at| manifest(&format!("burst-{at}")) + "\n---\n").collect();
    let list = std::thread::scope(|scope| {
        scope.spawn(|| kubectl.run_with("create -f -", &all));
        let mut start = None;
        let mut running = std::collections::BTreeSet::new();
        for line in lines.map_while(Result::ok) {
            let event: Value = serde_json::from_str(&line).unwrap_or_default();
            let name = event["object"]["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            if !name.starts_with("burst-") {
                continue;
            }
            let start = *start.get_or_insert_with(Instant::now);
            if event["object"]["status"]["phase"] == "Running"
                && running.insert(name)
                && running.len() == PODS
            {
                return PODS as f64 / start.elapsed().as_secs_f64();
            }
        }
        0.0
    });
    let _ = watch.kill();
    let _ = watch.wait();
    list
}
