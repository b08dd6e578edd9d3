//! Table tests of placement, plan and status; tests of pods and history.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use apimachinery::{Value, value};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet};
use k8s_openapi::api::core::v1::{Node, Taint};
use serde::Deserialize;

use super::history;
use super::placement::{fit, pod_for};
use super::plan::{Observed, plan};
use super::status::status;
use crate::cases::{Written, check};
use crate::nodes::NodeView;
use crate::pods::{Phase, PodView};
use crate::revisions::Action;

const CASES: &str = include_str!("cases.yaml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    set: Written<DaemonSet>,
    nodes: Vec<String>,
    pods: Vec<String>,
    /// For how many seconds yet the failed pod of a node is not replaced.
    #[serde(default)]
    backoff: BTreeMap<String, u64>,
    /// What was done before does not show yet.
    #[serde(default)]
    stale: bool,
}

/// `a`, or `a closed`.
fn node(told: &str) -> NodeView {
    let (name, closed) = told.strip_suffix(" closed").map_or((told, false), |name| (name, true));
    let taint = Taint { key: "out".into(), effect: "NoSchedule".into(), ..Taint::default() };
    NodeView { name: name.into(), taints: Vec::from_iter(closed.then_some(taint)), ..NodeView::default() }
}

/// `a new`, `a old unready`, `a new failed` or `a new leaving`; the pod is called so.
fn pod(at: usize, told: &str) -> PodView {
    let words: Vec<&str> = told.split(' ').collect();
    let state = words.get(2).copied().unwrap_or("ready");
    assert!(["ready", "unready", "failed", "leaving"].contains(&state), "{state}");
    PodView {
        name: format!("{told}#{at}"),
        uid: format!("{at}"),
        node: words[0].into(),
        labels: [("controller-revision-hash".to_owned(), words[1].to_owned())].into(),
        phase: if state == "failed" { Phase::Failed } else { Phase::Running },
        ready: ["ready", "leaving"].contains(&state),
        terminating: state == "leaving",
        created: Timestamp::from_second(at as i64).unwrap(),
        ..PodView::default()
    }
}

impl Case {
    fn look<T>(&self, decide: impl FnOnce(&Observed<'_>) -> T) -> T {
        let backoff = self.backoff.iter().map(|(node, left)| (node.clone(), Duration::from_secs(*left)));
        decide(&Observed {
            set: &self.set,
            nodes: self.nodes.iter().map(|told| Arc::new(node(told))).collect(),
            pods: self.pods.iter().enumerate().map(|(at, told)| Arc::new(pod(at, told))).collect(),
            hash: "new",
            backoff: &backoff.collect(),
            expectations_met: !self.stale,
            now: Timestamp::from_second(1000).unwrap(),
        })
    }
}

fn check_plan(table: &str) {
    check(CASES, table, |case: Case| {
        let plan = case.look(plan);
        let mut lines: Vec<_> = plan.create.iter().map(|node| format!("create on {node}")).collect();
        lines.extend(plan.delete.iter().map(|pod| format!("delete {}", pod.name.split('#').next().unwrap())));
        lines.extend(plan.again.map(|after| format!("look again after {after:?}")));
        lines
    });
}

#[test]
fn one_pod_on_each_node_and_updates_in_turn() {
    check_plan("one pod on each node and updates in turn");
}

#[test]
fn updates_keep_within_their_limits() {
    check_plan("updates keep within their limits");
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Suiting {
    set: Written<DaemonSet>,
    node: Written<Node>,
}

#[test]
fn nodes_that_suit() {
    check(CASES, "nodes that suit", |case: Suiting| {
        let fit = fit(&case.set, &case.node.seen());
        match (fit.run, fit.stay) {
            (true, true) => "run",
            (false, true) => "stay",
            (false, false) => "none",
            (true, false) => "run and not stay",
        }
    });
}

#[test]
fn the_status_counts() {
    check(CASES, "the status counts", |case: Case| Value::from_serialize(&case.look(status)).unwrap());
}

/// `more` is of its specification.
fn set(more: Value) -> DaemonSet {
    let mut spec = value!({
        "selector": {"matchLabels": {"app": "a"}},
        "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": []}}
    });
    for (key, value) in more.members() {
        spec.set(key.to_owned(), value.clone());
    }
    value!({"metadata": {"name": "agent", "namespace": "default", "uid": "d"}, "spec": (spec)})
        .decode()
        .unwrap()
}

#[test]
fn its_pods_aim_at_their_node() {
    let pod = pod_for(&set(value!({})), "n7", "hash");
    let spec = pod.spec.unwrap();
    let required = spec.affinity.unwrap().node_affinity.unwrap();
    let terms = required.required_during_scheduling_ignored_during_execution.unwrap().node_selector_terms;
    let field = &terms[0].match_fields.as_ref().unwrap()[0];
    assert_eq!((field.key.as_str(), field.values.as_ref().unwrap()[0].as_str()), ("metadata.name", "n7"));
    assert_eq!(spec.tolerations.unwrap().len(), 6);
    assert_eq!(pod.metadata.labels.unwrap()["controller-revision-hash"], "hash");
}

#[test]
fn revisions_are_named_renumbered_and_cut() {
    let set = set(value!({"revisionHistoryLimit": 1}));
    let first = history::plan(&set, &[], |_| false);
    let [Action::Create(created)] = first.actions.as_slice() else { panic!("{:?}", first.actions) };
    assert_eq!(created.metadata.name.as_deref(), Some(format!("agent-{}", first.hash).as_str()));
    assert_eq!(created.revision, Some(1));
    assert!(history::plan(&set, &[created], |_| true).actions.is_empty());

    let other = |name: &str, revision: i64| ControllerRevision {
        metadata: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
            name: Some(name.into()),
            labels: Some([("controller-revision-hash".to_owned(), name.to_owned())].into()),
            ..Default::default()
        },
        revision: Some(revision),
        ..ControllerRevision::default()
    };
    let (x, y) = (other("x", 2), other("y", 3));
    let back = history::plan(&set, &[created, &x, &y], |hash| hash == "y");
    let name = created.metadata.name.clone().unwrap();
    assert_eq!(
        back.actions,
        [Action::Renumber { name, revision: 4 }, Action::Delete { name: "x".into(), uid: String::new() }]
    );
}
