//! The scheduler from inputs to outputs, with a clock that the test moves.

use std::time::Duration;

use edge::SeededRandom;
use serde_json::json;

use super::*;
use crate::PodInfo;
use crate::testing::{node, pod, sized};

struct Bench {
    core: Core,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        let framework = Arc::new(Framework::default_profile());
        Self { core: Core::new(framework, Arc::new(SeededRandom::new(1))), now: Instant::now() }
    }

    fn take(&mut self, input: Input) -> Option<Report> {
        self.core.take(input, self.now)
    }

    fn node(&mut self, old: Option<&str>, name: &str, cpu: &str) {
        let facts = |cpu: &str| node(name, json!({"status": {"allocatable": {"cpu": cpu}}}));
        self.take(Input::Node { old: old.map(facts), new: Some(facts(cpu)) });
    }

    fn add(&mut self, pod: PodInfo) -> SharedPod {
        let pod = Arc::new(pod);
        self.take(Input::Pod { old: None, new: Some(pod.clone()) });
        pod
    }

    fn change(&mut self, old: &SharedPod, new: Option<PodInfo>) {
        self.take(Input::Pod { old: Some(old.clone()), new: new.map(Arc::new) });
    }

    /// What comes out: `pod → node`, or `pod: message`.
    fn step(&mut self) -> Option<String> {
        Some(match self.core.step(self.now)? {
            Output::Bind { pod, node } => format!("{} → {node}", pod.name),
            Output::Report(report) => format!("{}: {}", report.pod.name, report.message),
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_waits_for_room_and_gets_it_at_once() {
    let mut bench = Bench::new();
    bench.add(sized("p", "2", "1Gi"));
    assert_eq!(bench.step().unwrap(), "p: no nodes available to schedule pods");
    bench.node(None, "a", "1");
    assert_eq!(
        bench.step().unwrap(),
        "p: 0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: \
         1 Preemption is not helpful for scheduling."
    );
    assert_eq!(bench.step(), None);
    bench.node(Some("1"), "a", "1500m");
    assert_eq!(bench.step(), None, "it would still not do");
    bench.node(Some("1500m"), "a", "2");
    assert_eq!(bench.step().unwrap(), "p → a");
    assert_eq!(bench.step(), None);
}

#[tokio::test(start_paused = true)]
async fn assumed_pods_take_room_before_the_api_tells() {
    let mut bench = Bench::new();
    bench.node(None, "a", "3");
    bench.add(sized("one", "2", "1Gi"));
    let two = bench.add(sized("two", "2", "1Gi"));
    assert_eq!(bench.step().unwrap(), "one → a");
    assert!(
        bench.step().unwrap().starts_with("two: 0/1 nodes are available: 1 Insufficient cpu. preemption:")
    );
    // The first ends: its room is given back.
    let one = Arc::new(sized("one", "2", "1Gi").on_node("a"));
    bench.take(Input::Pod { old: None, new: Some(one.clone()) });
    bench.change(&one, Some(PodInfo { ended: true, ..(*one).clone() }));
    assert_eq!(bench.step().unwrap(), "two → a");
    bench.change(&two, Some(two.on_node("a")));
    assert!(bench.core.cluster().is_placed("two") && !bench.core.cluster().is_assumed("two"));
}

#[tokio::test(start_paused = true)]
async fn a_failed_binding_is_undone_and_tried_again() {
    let mut bench = Bench::new();
    bench.node(None, "a", "2");
    let pod = bench.add(sized("p", "2", "1Gi"));
    assert_eq!(bench.step().unwrap(), "p → a");
    let failed = |pod: &SharedPod| Input::NotBound {
        pod: pod.clone(),
        node: "a".into(),
        why: NotBound::Failed("running Bind plugin \"DefaultBinder\": gone fishing".into()),
    };
    let report = bench.take(failed(&pod)).unwrap();
    assert_eq!(
        (report.reason, report.message.as_str()),
        ("SchedulerError", "running Bind plugin \"DefaultBinder\": gone fishing")
    );
    assert!(!bench.core.cluster().is_placed("p"));
    assert_eq!(bench.step(), None, "not at once");
    bench.now += Duration::from_secs(1);
    assert_eq!(bench.step().unwrap(), "p → a");
    // Bound after all, and only the answer was lost: nothing is undone.
    bench.change(&pod, Some(pod.on_node("a")));
    assert!(bench.take(failed(&pod)).is_none());
    assert!(bench.core.cluster().is_placed("p"));
    // Deleted while binding: nothing is told.
    let gone = bench.add(sized("gone", "0", "0"));
    assert_eq!(bench.step().unwrap(), "gone → a");
    bench.change(&gone, None);
    assert!(bench.take(failed(&gone)).is_none());
    assert!(!bench.core.cluster().is_placed("gone"));
}

#[tokio::test(start_paused = true)]
async fn others_are_evicted_for_an_important_pod() {
    let mut bench = Bench::new();
    bench.node(None, "a", "2");
    let victim = bench.add(sized("victim", "2", "1Gi").on_node("a"));
    let important = PodInfo { priority: 100, ..sized("important", "2", "1Gi") };
    bench.add(important);
    let Some(Output::Report(report)) = bench.core.step(bench.now) else { panic!("bound") };
    assert_eq!(report.message, "0/1 nodes are available: 1 Insufficient cpu.");
    assert_eq!(report.nominate.as_deref(), Some("a"));
    assert_eq!(report.victims, std::slice::from_ref(&victim));
    // A lesser pod does not take the room that becomes free.
    bench.change(&victim, None);
    bench.add(sized("lesser", "1", "1Gi"));
    assert_eq!(
        bench.step().map(|told| told.split(':').next().unwrap().to_owned()).as_deref(),
        Some("lesser")
    );
    assert_eq!(bench.step().unwrap(), "important → a");
}

#[tokio::test(start_paused = true)]
async fn other_schedulers_pods_gated_and_leaving_ones_are_left_alone() {
    let mut bench = Bench::new();
    bench.node(None, "a", "2");
    bench.add(pod("foreign", json!({"spec": {"schedulerName": "mine"}})));
    let gated = bench.add(pod("gated", json!({"spec": {"schedulingGates": [{"name": "g"}]}})));
    bench.add(PodInfo { terminating: true, ..pod("leaving", json!({})) });
    assert_eq!(bench.step(), None);
    assert_eq!(bench.core.queue().pending().gated, 1);
    bench.change(&gated, Some(pod("gated", json!({}))));
    assert_eq!(bench.step().unwrap(), "gated → a");
}

#[tokio::test(start_paused = true)]
async fn the_same_inputs_give_the_same_decisions() {
    let trace = || {
        let mut bench = Bench::new();
        (0..7).for_each(|at| bench.node(None, &format!("n{at}"), "4"));
        (0..20).for_each(|at| drop(bench.add(sized(&format!("p{at}"), "1", "1Gi"))));
        std::iter::from_fn(|| bench.step()).collect::<Vec<_>>()
    };
    assert_eq!(trace().len(), 20);
    assert_eq!(trace(), trace());
}

#[tokio::test(start_paused = true)]
async fn a_nomination_lasts_until_it_is_of_no_use() {
    let mut bench = Bench::new();
    bench.node(None, "a", "2");
    let victim = bench.add(sized("victim", "2", "1Gi").on_node("a"));
    let important = || PodInfo { priority: 100, ..sized("important", "2", "1Gi") };
    let first = bench.add(important());
    bench.step();
    // An older state of the pod does not undo what is on its way to the API.
    bench.change(&first, Some(PodInfo { revision: 2, ..important() }));
    assert_eq!(bench.core.cluster().nominated("a").len(), 1);
    let mut told = important();
    told.wishes = pod("p", json!({"status": {"nominatedNodeName": "a"}})).wishes;
    bench.change(&first, Some(told));
    // Something more important has taken the room: the nomination ends.
    bench.change(&victim, None);
    bench.add(PodInfo { priority: 1000, ..sized("first-class", "2", "1Gi").on_node("a") });
    bench.now += Duration::from_secs(1);
    let Some(Output::Report(report)) = bench.core.step(bench.now) else { panic!("bound") };
    assert_eq!((report.pod.name.as_str(), report.nominate.as_deref()), ("important", Some("")));
    assert!(bench.core.cluster().nominated("a").is_empty());
}
