//! What a pod's status says about what happened to it.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use runtime::{ContainerId, SandboxId};
use serde_json::json;

use super::*;
use crate::pod::backoff::Failure;
use crate::pod::record::{Exit, ImageStep, Instance, Sandbox, Step};

const NOW: Timestamp = Timestamp::constant(1_000_000, 0);

fn record(spec: serde_json::Value) -> PodRecord {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "p", "namespace": "ns", "uid": "u", "generation": 2}, "spec": spec,
    }))
    .unwrap();
    let mut record = PodRecord::new(Arc::new(pod), NOW);
    record.sandbox = Sandbox::Ready { id: SandboxId::parse(&"a".repeat(64)).unwrap(), namespace: None };
    record.volumes = Step::Done;
    record
}

fn set(record: &mut PodRecord, name: &str, exit: Option<i32>) {
    let exit = exit.map(|code| Exit {
        id: None,
        code,
        reason: if code == 0 { "Completed" } else { "Error" }.into(),
        message: String::new(),
        started: Some(NOW),
        finished: NOW,
    });
    record.containers.get_mut(name).unwrap().current = Some(Instance {
        id: ContainerId::parse(&"b".repeat(64)).unwrap(),
        attempt: 0,
        image_id: "sha256:1".into(),
        image: "docker.io/library/x:latest".into(),
        started: Some(NOW),
        exit,
        startup_passed: true,
        ready: true,
        condemned: None,
        user: None,
    });
}

fn of(record: &PodRecord) -> PodStatus {
    status(record, &["192.0.2.1".parse().unwrap()], NOW)
}

fn condition(status: &PodStatus, kind: &str) -> (String, String) {
    let list = status.conditions.as_ref().unwrap();
    let one = list.iter().find(|one| one.type_ == kind).unwrap();
    (one.status.clone(), one.reason.clone().unwrap_or_default())
}

#[test]
fn phases() {
    /// Per container: not started, running, or its exit code.
    type States = [Option<Option<i32>>];
    let rows: &[(&str, &States, &str)] = &[
        ("Always", &[None, None], "Pending"),
        ("Always", &[Some(None), None], "Pending"),
        ("Always", &[Some(None), Some(None)], "Running"),
        ("Always", &[Some(Some(1)), Some(Some(0))], "Running"),
        ("OnFailure", &[Some(Some(1)), Some(Some(0))], "Running"),
        ("OnFailure", &[Some(Some(0)), Some(Some(0))], "Succeeded"),
        ("Never", &[Some(Some(0)), Some(Some(0))], "Succeeded"),
        ("Never", &[Some(Some(1)), Some(Some(0))], "Failed"),
        ("Never", &[Some(Some(1)), Some(None)], "Running"),
    ];
    for (policy, states, expected) in rows {
        let mut record =
            record(json!({"restartPolicy": policy, "containers": [{"name": "a"}, {"name": "b"}]}));
        for (name, state) in ["a", "b"].iter().zip(*states) {
            if let Some(exit) = state {
                set(&mut record, name, *exit);
            }
        }
        assert_eq!(of(&record).phase.as_deref(), Some(*expected), "{policy} {states:?}");
    }
}

#[test]
fn a_running_pod_is_ready_but_for_its_gates() {
    let mut record = record(json!({
        "containers": [{"name": "a"}], "readinessGates": [{"conditionType": "example.com/ok"}],
    }));
    set(&mut record, "a", None);
    let status = of(&record);
    assert_eq!(condition(&status, "ContainersReady").0, "True");
    assert_eq!(condition(&status, "Ready"), ("False".into(), "ReadinessGatesNotReady".into()));
    assert_eq!(status.observed_generation, Some(2));
    assert_eq!(status.host_ip.as_deref(), Some("192.0.2.1"));
    let container = &status.container_statuses.as_ref().unwrap()[0];
    assert!(container.ready && container.started == Some(true));
    assert_eq!(container.container_id.as_deref(), Some(&*format!("corten://{}", "b".repeat(64))));
    record.containers.get_mut("a").unwrap().current.as_mut().unwrap().ready = false;
    assert_eq!(condition(&of(&record), "Ready"), ("False".into(), "ContainersNotReady".into()));
}

#[test]
fn debugging_containers_have_a_list_of_their_own() {
    let mut record = record(json!({
        "containers": [{"name": "b"}, {"name": "a"}], "ephemeralContainers": [{"name": "e"}],
    }));
    record.containers.insert("e".into(), Default::default());
    for name in ["a", "b", "e"] {
        set(&mut record, name, None);
    }
    let status = of(&record);
    let names = |list: &Option<Vec<k8s_openapi::api::core::v1::ContainerStatus>>| {
        list.iter().flatten().map(|one| one.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&status.container_statuses), ["a", "b"]);
    assert_eq!(names(&status.ephemeral_container_statuses), ["e"]);
    let ephemeral = &status.ephemeral_container_statuses.as_ref().unwrap()[0];
    assert_eq!((ephemeral.ready, ephemeral.started), (false, None));
    assert_eq!(condition(&status, "Ready").0, "True");
}

#[test]
fn waiting_tells_why() {
    let mut record = record(json!({"initContainers": [{"name": "i"}], "containers": [{"name": "a"}]}));
    let reason = |status: &PodStatus, init: bool| {
        let list = if init { &status.init_container_statuses } else { &status.container_statuses };
        list.as_ref().unwrap()[0].state.as_ref().unwrap().waiting.as_ref().unwrap().reason.clone().unwrap()
    };
    let status = of(&record);
    assert_eq!(
        (reason(&status, true), reason(&status, false)),
        ("PodInitializing".into(), "PodInitializing".into())
    );
    assert_eq!(condition(&status, "Initialized"), ("False".into(), "ContainersNotInitialized".into()));
    record.containers.get_mut("i").unwrap().image = ImageStep::Failed(Failure {
        reason: "ImagePullBackOff",
        message: "Back-off".into(),
        delay: jiff::SignedDuration::from_secs(10),
        until: NOW,
    });
    assert_eq!(reason(&of(&record), true), "ImagePullBackOff");
}

#[test]
fn a_crash_loop_shows_the_last_end() {
    let mut record = record(json!({"containers": [{"name": "a"}]}));
    set(&mut record, "a", Some(3));
    let own = record.containers.get_mut("a").unwrap();
    own.backoff.restarted(NOW, NOW);
    own.backoff.restarted(NOW, NOW);
    own.restarts = 2;
    let status = of(&record);
    let container = &status.container_statuses.as_ref().unwrap()[0];
    let waiting = container.state.as_ref().unwrap().waiting.as_ref().unwrap();
    assert_eq!(waiting.reason.as_deref(), Some("CrashLoopBackOff"));
    assert_eq!(waiting.message.as_deref(), Some("back-off 20s restarting failed container=a pod=p_ns(u)"));
    assert_eq!(container.last_state.as_ref().unwrap().terminated.as_ref().unwrap().exit_code, 3);
    assert_eq!((container.restart_count, status.phase.as_deref()), (2, Some("Running")));
}

#[test]
fn a_rejected_pod_is_failed_with_the_reason() {
    let mut record = record(json!({"containers": [{"name": "a"}]}));
    record.rejected = Some(crate::pod::record::Verdict {
        reason: "OutOfcpu".into(),
        message: "Node didn't have enough".into(),
    });
    let status = of(&record);
    assert_eq!((status.phase.as_deref(), status.reason.as_deref()), (Some("Failed"), Some("OutOfcpu")));
    assert!(status.container_statuses.is_none());
}

#[test]
fn durations_as_go_prints_them() {
    for (seconds, text) in [(10, "10s"), (80, "1m20s"), (300, "5m0s"), (3661, "1h1m1s")] {
        assert_eq!(super::containers::go_duration(seconds), text);
    }
}
