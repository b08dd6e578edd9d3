//! From a pod's ADDED event to its binding, condition and events.

use std::sync::Arc;
use std::time::Duration;

use apimachinery::{Value, value};
use edge::Edge;
use scheduler::{Placement, Scheduler};
use tokio::time::{Instant, sleep};

use crate::fake_api::FakeApi;

fn pod(name: &str, cpu: &str, priority: i64) -> Value {
    value!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "uid": name},
        "spec": {
            "priority": priority,
            "containers": [{"name": "c", "image": "app", "resources": {"requests": {"cpu": cpu}}}]
        }
    })
}

fn node(name: &str, cpu: &str) -> Value {
    value!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {"allocatable": {"cpu": cpu, "memory": "8Gi", "pods": "110"}}
    })
}

fn simulated(api: &Arc<FakeApi>) -> Edge {
    let edge = Edge::simulated(7, "2026-01-01T00:00:00Z".parse().unwrap());
    Scheduler::start(&edge, api.clone(), Placement::SameRuntime);
    edge
}

/// Lets everything that needs no time happen.
async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_bound_and_an_event_tells() {
    let api = FakeApi::new();
    api.put("nodes", node("node-1", "4"));
    let edge = simulated(&api);
    settle().await;
    api.put("pods", pod("web", "1", 0));
    settle().await;
    assert_eq!(api.node_of("web"), "node-1");
    assert_eq!(api.events(), ["Scheduled: Successfully assigned default/web to node-1"]);
    assert_eq!(api.writes("patch pods/status"), 0);
    edge.tasks.stop();
}

#[tokio::test(start_paused = true)]
async fn an_unschedulable_pod_is_told_of_once_and_bound_when_it_fits() {
    let api = FakeApi::new();
    api.put("nodes", node("small", "1"));
    api.put("pods", pod("web", "2", 0));
    let edge = simulated(&api);
    settle().await;
    let message = "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";
    let told = api.get("pods", "default/web").unwrap();
    let condition = &told["status"]["conditions"][0];
    assert_eq!(
        (condition["status"].text(), condition["reason"].text(), condition["message"].text()),
        ("False", "Unschedulable", message)
    );
    assert_eq!(condition["lastTransitionTime"].text(), "2026-01-01T00:00:00Z");
    assert_eq!(api.events(), [format!("FailedScheduling: {message}")]);
    // Time alone changes nothing but a look every five minutes.
    sleep(Duration::from_secs(900)).await;
    assert_eq!(api.writes("patch pods/status"), 1);
    api.put("nodes", node("large", "4"));
    settle().await;
    assert_eq!(api.node_of("web"), "large");
    edge.tasks.stop();
}

#[tokio::test(start_paused = true)]
async fn a_binding_that_fails_is_tried_again_after_a_pause() {
    let api = FakeApi::new();
    api.put("nodes", node("node-1", "4"));
    api.fail_bindings(2);
    let edge = simulated(&api);
    settle().await;
    api.put("pods", pod("web", "3", 0));
    settle().await;
    assert_eq!(api.node_of("web"), "");
    let told = api.get("pods", "default/web").unwrap();
    assert_eq!(told["status"]["conditions"][0]["reason"].text(), "SchedulerError");
    sleep(Duration::from_millis(990)).await;
    assert_eq!(api.writes("create pods/binding"), 1);
    sleep(Duration::from_secs(4)).await;
    assert_eq!((api.node_of("web").as_str(), api.writes("create pods/binding")), ("node-1", 3));
    edge.tasks.stop();
}

#[tokio::test(start_paused = true)]
async fn room_is_made_for_an_important_pod() {
    let api = FakeApi::new();
    api.put("nodes", node("node-1", "2"));
    let edge = simulated(&api);
    settle().await;
    api.put("pods", pod("victim", "2", 0));
    settle().await;
    assert_eq!(api.node_of("victim"), "node-1");
    api.put("pods", pod("important", "2", 1000));
    settle().await;
    assert_eq!(api.get("pods", "default/victim"), None);
    assert_eq!(api.node_of("important"), "node-1");
    let preempted = "Preempted: Preempted by pod important on node node-1".to_owned();
    assert!(api.events().contains(&preempted), "{:?}", api.events());
    edge.tasks.stop();
}

/// On its own thread and the real clock: one pod on an idle cluster, and a burst.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn latency_and_a_burst() {
    let api = FakeApi::new();
    (0..3).for_each(|at| api.put("nodes", node(&format!("node-{at}"), "64")));
    let edge = Edge::system();
    Scheduler::start(&edge, api.clone(), Placement::OwnThread);
    sleep(Duration::from_millis(200)).await;
    let bound = async |names: Vec<String>| {
        let start = Instant::now();
        names.iter().for_each(|name| api.put("pods", pod(name, "10m", 0)));
        while names.iter().any(|name| api.node_of(name).is_empty()) {
            assert!(start.elapsed() < Duration::from_secs(10), "not bound in time");
            tokio::task::yield_now().await;
        }
        start.elapsed()
    };
    let mut single = Vec::new();
    for at in 0..20 {
        single.push(bound(vec![format!("single-{at}")]).await);
        sleep(Duration::from_millis(5)).await;
    }
    single.sort();
    let burst = bound((0..300).map(|at| format!("burst-{at}")).collect()).await;
    println!("one pod: median {:?}, worst {:?}; 300 pods: {burst:?}", single[10], single[19]);
    // Generous: the machine is shared.
    assert!(single[10] < Duration::from_millis(20), "{single:?}");
    edge.tasks.stop();
    edge.tasks.ended().await;
}
