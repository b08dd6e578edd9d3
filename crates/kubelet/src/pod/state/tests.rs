//! Tables: a pod, what happened to it, and what is planned then.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use runtime::{ContainerId, SandboxId};

use super::*;
use crate::pod::record::{Condemned, Exit, Instance, Sandbox, Step};
use crate::testing;

const NOW: Timestamp = Timestamp::constant(1_000_000, 0);

fn later(seconds: i64) -> Timestamp {
    after(NOW, seconds)
}

fn pod(yaml_like: serde_json::Value) -> PodRecord {
    let pod: Pod = serde_json::from_value(serde_json::json!({
        "metadata": {"name": "p", "namespace": "ns", "uid": "u"},
        "spec": yaml_like,
    }))
    .unwrap();
    PodRecord::new(Arc::new(pod), NOW)
}

fn prepared(spec: serde_json::Value) -> PodRecord {
    let mut record = pod(spec);
    record.sandbox = Sandbox::Ready { id: SandboxId::parse(&"a".repeat(64)).unwrap(), namespace: None };
    record.volumes = Step::Done;
    for container in record.containers.values_mut() {
        container.image = ImageStep::Present(Arc::new(testing::image()));
    }
    record
}

fn instance(attempt: u32) -> Instance {
    Instance {
        id: ContainerId::parse(&"b".repeat(64)).unwrap(),
        attempt,
        image_id: String::new(),
        image: String::new(),
        started: Some(NOW),
        exit: None,
        startup_passed: true,
        ready: true,
        condemned: None,
        user: None,
    }
}

fn runs(record: &mut PodRecord, name: &str) {
    record.containers.get_mut(name).unwrap().current = Some(instance(0));
}

fn exits(record: &mut PodRecord, name: &str, code: i32) {
    let mut one = instance(0);
    one.exit = Some(Exit {
        id: None,
        code,
        reason: "Completed".into(),
        message: String::new(),
        started: Some(NOW),
        finished: NOW,
    });
    record.containers.get_mut(name).unwrap().current = Some(one);
}

fn delete(record: &mut PodRecord, grace: i64) {
    let mut pod = (*record.pod).clone();
    pod.metadata.deletion_timestamp = Some(Time(NOW));
    pod.metadata.deletion_grace_period_seconds = Some(grace);
    record.pod = Arc::new(pod);
}

/// The actions as short words.
fn steps(record: &mut PodRecord, now: Timestamp) -> (State, Vec<String>, Option<i64>) {
    advance(record, now);
    let plan = plan(record, now);
    let words = plan.actions.iter().map(|action| match action {
        Action::EnsureImage { container } => format!("image {container}"),
        Action::Start { container } => format!("start {container}"),
        Action::TellBackOff { container } => format!("tell {container}"),
        Action::Kill { container, deadline, .. } => {
            format!("kill {container} {}", deadline.duration_since(NOW).as_secs())
        }
        other => format!("{other:?}"),
    });
    (plan.state, words.collect(), plan.wake.map(|at| at.duration_since(NOW).as_secs()))
}

fn check(record: &mut PodRecord, state: State, actions: &[&str]) {
    let (is, words, _) = steps(record, NOW);
    assert_eq!((is, words.iter().map(String::as_str).collect::<Vec<_>>()), (state, actions.to_vec()));
}

fn two() -> serde_json::Value {
    serde_json::json!({"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "x"}]})
}

#[test]
fn everything_is_prepared_side_by_side() {
    let mut record = pod(two());
    check(&mut record, State::Preparing, &["CreateSandbox", "MountVolumes", "image a", "image b"]);
    record.in_flight.insert(Operation::Sandbox, NOW);
    record.in_flight.insert(Operation::Image("a".into()), NOW);
    check(&mut record, State::Preparing, &["MountVolumes", "image b"]);
}

#[test]
fn debugging_containers_wait_for_nobody_and_run_once() {
    let mut record = prepared(serde_json::json!({
        "initContainers": [{"name": "i", "image": "x"}], "containers": [{"name": "a", "image": "x"}],
        "ephemeralContainers": [{"name": "e", "image": "x", "targetContainerName": "a"}],
    }));
    check(&mut record, State::Initializing, &["image e", "start i"]);
    runs(&mut record, "i");
    record.containers.entry("e".into()).or_default().image = ImageStep::Present(Arc::new(testing::image()));
    check(&mut record, State::Initializing, &["start e"]);
    exits(&mut record, "i", 0);
    exits(&mut record, "e", 1);
    check(&mut record, State::Running, &["start a"]);
    // It is no reason for the pod to go on, and ends with it.
    runs(&mut record, "e");
    runs(&mut record, "a");
    delete(&mut record, 5);
    check(&mut record, State::Terminating, &["kill a 5", "kill e 5"]);
}

#[test]
fn a_failed_step_waits() {
    let mut record = prepared(two());
    let failure = Failure {
        reason: "FailedMount",
        message: "no".into(),
        delay: SignedDuration::from_secs(4),
        until: later(4),
    };
    record.volumes = Step::Failed(failure);
    assert_eq!(steps(&mut record, NOW), (State::Preparing, vec![], Some(4)));
    assert_eq!(steps(&mut record, later(4)).1, ["MountVolumes"]);
}

#[test]
fn containers_start_in_order_one_at_a_time() {
    let mut record = prepared(two());
    check(&mut record, State::Running, &["start a"]);
    record.in_flight.insert(Operation::Start("a".into()), NOW);
    check(&mut record, State::Running, &[]);
    record.in_flight.clear();
    runs(&mut record, "a");
    check(&mut record, State::Running, &["start b"]);
    runs(&mut record, "b");
    check(&mut record, State::Running, &[]);
}

#[test]
fn a_container_that_cannot_start_does_not_hold_up_the_next() {
    let mut record = prepared(two());
    record.containers.get_mut("a").unwrap().failure = Some(Failure {
        reason: "CreateContainerConfigError",
        message: String::new(),
        delay: SignedDuration::from_secs(1),
        until: later(1),
    });
    assert_eq!(steps(&mut record, NOW), (State::Running, vec!["start b".into()], Some(1)));
}

#[test]
fn init_containers_run_in_order_and_sidecars_stay() {
    let mut record = prepared(serde_json::json!({
        "initContainers": [
            {"name": "i1", "image": "x"},
            {"name": "s", "image": "x", "restartPolicy": "Always"},
            {"name": "i2", "image": "x"},
        ],
        "containers": [{"name": "m", "image": "x"}],
    }));
    check(&mut record, State::Initializing, &["start i1"]);
    runs(&mut record, "i1");
    check(&mut record, State::Initializing, &[]);
    exits(&mut record, "i1", 0);
    check(&mut record, State::Initializing, &["start s"]);
    runs(&mut record, "s");
    record.containers.get_mut("s").unwrap().current.as_mut().unwrap().startup_passed = false;
    check(&mut record, State::Initializing, &[]);
    runs(&mut record, "s");
    check(&mut record, State::Initializing, &["start i2"]);
    exits(&mut record, "i2", 0);
    check(&mut record, State::Running, &["start m"]);
    runs(&mut record, "m");
    exits(&mut record, "s", 1);
    check(&mut record, State::Running, &["start s"]);
}

#[test]
fn a_failed_init_container_ends_a_pod_that_never_restarts() {
    let mut record = prepared(serde_json::json!({
        "restartPolicy": "Never",
        "initContainers": [{"name": "i", "image": "x"}],
        "containers": [{"name": "m", "image": "x"}],
    }));
    exits(&mut record, "i", 1);
    check(&mut record, State::Finished, &["StopSandbox"]);
    let mut record = prepared(serde_json::json!({
        "initContainers": [{"name": "i", "image": "x"}],
        "containers": [{"name": "m", "image": "x"}],
    }));
    exits(&mut record, "i", 1);
    check(&mut record, State::Initializing, &["start i"]);
}

#[test]
fn restarts_follow_policies() {
    let rows = [
        ("Always", 0, true),
        ("Always", 1, true),
        ("OnFailure", 0, false),
        ("OnFailure", 1, true),
        ("Never", 1, false),
    ];
    for (policy, code, again) in rows {
        let mut record = prepared(serde_json::json!({
            "restartPolicy": policy, "containers": [{"name": "m", "image": "x"}],
        }));
        exits(&mut record, "m", code);
        let expected = if again { State::Running } else { State::Finished };
        assert_eq!(steps(&mut record, NOW).0, expected, "{policy} {code}");
    }
    let mut record = prepared(serde_json::json!({
        "restartPolicy": "Never",
        "containers": [{"name": "m", "image": "x", "restartPolicy": "Never", "restartPolicyRules": [
            {"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}},
        ]}],
    }));
    exits(&mut record, "m", 42);
    check(&mut record, State::Running, &["start m"]);
    exits(&mut record, "m", 41);
    check(&mut record, State::Finished, &["StopSandbox"]);
}

#[test]
fn a_crash_loop_backs_off_and_is_told_once() {
    let mut record = prepared(serde_json::json!({"containers": [{"name": "m", "image": "x"}]}));
    exits(&mut record, "m", 1);
    record.containers.get_mut("m").unwrap().backoff.restarted(NOW, NOW);
    assert_eq!(steps(&mut record, NOW), (State::Running, vec!["tell m".into()], Some(10)));
    record.containers.get_mut("m").unwrap().told = Some(NOW);
    assert_eq!(steps(&mut record, NOW), (State::Running, vec![], Some(10)));
    assert_eq!(steps(&mut record, later(10)).1, ["start m"]);
}

#[test]
fn deletion_stops_main_containers_before_sidecars_and_then_cleans_up() {
    let mut record = prepared(serde_json::json!({
        "initContainers": [
            {"name": "s1", "image": "x", "restartPolicy": "Always"},
            {"name": "s2", "image": "x", "restartPolicy": "Always"},
        ],
        "containers": [{"name": "m", "image": "x"}],
    }));
    for name in ["s1", "s2", "m"] {
        runs(&mut record, name);
    }
    delete(&mut record, 30);
    check(&mut record, State::Terminating, &["kill m 30"]);
    record.in_flight.insert(Operation::Kill("m".into()), later(30));
    check(&mut record, State::Terminating, &[]);
    delete(&mut record, 5);
    check(&mut record, State::Terminating, &["kill m 5"]);
    record.in_flight.clear();
    exits(&mut record, "m", 143);
    check(&mut record, State::Terminating, &["kill s2 5"]);
    exits(&mut record, "s2", 0);
    check(&mut record, State::Terminating, &["kill s1 5"]);
    exits(&mut record, "s1", 0);
    check(&mut record, State::Finished, &["StopSandbox"]);
    record.sandbox = Sandbox::Stopped { id: SandboxId::parse(&"a".repeat(64)).unwrap() };
    check(&mut record, State::Finished, &["UnmountVolumes"]);
    record.volumes = Step::Pending;
    check(&mut record, State::Finished, &[]);
    record.reported = true;
    check(&mut record, State::Finished, &["Cleanup"]);
    record.cleaned = true;
    check(&mut record, State::Finished, &["Delete"]);
}

#[test]
fn a_pod_removed_by_force_has_a_second() {
    let mut record = prepared(two());
    runs(&mut record, "a");
    delete(&mut record, 0);
    record.removed = true;
    check(&mut record, State::Terminating, &["kill a 1"]);
}

#[test]
fn the_deadline_ends_the_pod() {
    let mut record = prepared(serde_json::json!({
        "activeDeadlineSeconds": 60, "terminationGracePeriodSeconds": 2,
        "containers": [{"name": "m", "image": "x"}],
    }));
    runs(&mut record, "m");
    assert_eq!(steps(&mut record, NOW), (State::Running, vec![], Some(60)));
    assert_eq!(steps(&mut record, later(60)), (State::Terminating, vec!["kill m 62".into()], None));
    assert_eq!(record.ended.unwrap().reason, "DeadlineExceeded");
}

#[test]
fn a_dead_sandbox_is_made_again() {
    let mut record = prepared(two());
    exits(&mut record, "a", 137);
    exits(&mut record, "b", 137);
    record.sandbox = Sandbox::Dead { id: SandboxId::parse(&"a".repeat(64)).unwrap() };
    check(&mut record, State::Preparing, &["CreateSandbox"]);
}

#[test]
fn a_condemned_container_is_ended_with_its_own_grace() {
    let mut record = prepared(two());
    runs(&mut record, "a");
    runs(&mut record, "b");
    let condemned = Condemned { message: "unhealthy".into(), grace_seconds: 7, since: NOW };
    record.containers.get_mut("a").unwrap().current.as_mut().unwrap().condemned = Some(condemned);
    check(&mut record, State::Running, &["kill a 7"]);
}

#[test]
fn a_rejected_pod_only_waits_for_its_deletion() {
    let mut record = pod(two());
    record.rejected = Some(Verdict { reason: "OutOfcpu".into(), message: String::new() });
    record.reported = true;
    check(&mut record, State::Rejected, &[]);
    delete(&mut record, 0);
    check(&mut record, State::Rejected, &["Delete"]);
}
