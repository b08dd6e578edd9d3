//! What is written about a pod without a node.

use serde_json::json;

use super::*;
use crate::testing::pod;

fn report(pod: PodInfo, message: &str) -> Report {
    Report {
        pod: Arc::new(pod),
        reason: "Unschedulable",
        message: message.into(),
        nominate: None,
        victims: Vec::new(),
    }
}

fn told(message: &str) -> PodInfo {
    pod(
        "p",
        json!({"metadata": {"generation": 2}, "status": {"nominatedNodeName": "a", "conditions":
            [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}]}}),
    )
}

#[test]
fn the_condition_is_written_when_it_says_something_new() {
    let now: jiff::Timestamp = "2026-01-02T03:04:05.6Z".parse().unwrap();
    let patch = status_patch(&report(pod("p", json!({})), "no"), now).unwrap().body;
    assert_eq!(
        patch,
        value!({"metadata": {"uid": "p"}, "status": {"conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no",
            "lastTransitionTime": "2026-01-02T03:04:05Z"
        }]}})
    );
    assert!(status_patch(&report(told("no"), "no"), now).is_none(), "said already");
    let patch = status_patch(&report(told("no"), "still no"), now).unwrap().body;
    assert_eq!(
        patch.at(&["status", "conditions"]),
        &value!([{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "still no",
            "observedGeneration": 2
        }]),
        "the status was False before, so that no transition is told"
    );
}

#[test]
fn a_nomination_is_written_once() {
    let nominating = |node: &str| Report { nominate: Some(node.into()), ..report(told("no"), "no") };
    assert!(status_patch(&nominating("a"), jiff::Timestamp::UNIX_EPOCH).is_none());
    let patch = status_patch(&nominating("b"), jiff::Timestamp::UNIX_EPOCH).unwrap().body;
    assert_eq!(patch, value!({"metadata": {"uid": "p"}, "status": {"nominatedNodeName": "b"}}));
    let patch = status_patch(&nominating(""), jiff::Timestamp::UNIX_EPOCH).unwrap().body;
    assert_eq!(patch, value!({"metadata": {"uid": "p"}, "status": {"nominatedNodeName": null}}));
}

#[test]
fn long_messages_are_cut() {
    assert_eq!(shortened("short"), "short");
    let cut = shortened(&"é".repeat(1000));
    assert!(cut.len() <= EVENT_LENGTH && cut.ends_with("é ..."));
}
