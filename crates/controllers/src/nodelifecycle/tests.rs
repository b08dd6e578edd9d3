//! Table tests of the plan and of zones.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, NodeCondition, Pod, Taint};
use serde::Deserialize;

use super::plan::{Action, Observed, plan, waits_for_turn};
use super::zones::paces;
use crate::cases::{Written, check};
use crate::nodes::NodeView;

const CASES: &str = include_str!("cases.yaml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Case {
    node: Written<Node>,
    #[serde(default)]
    pods: Vec<Written<Pod>>,
    /// Seconds.
    silent: u64,
    may_give_up: bool,
    #[serde(default)]
    take_back: bool,
}

fn shown(action: Action) -> Vec<String> {
    match action {
        Action::Conditions(conditions) => {
            let show = |one: NodeCondition| format!("{} {} {}", one.type_, one.status, one.reason.unwrap());
            conditions.into_iter().map(show).collect()
        }
        Action::Taints { taints, gives_up } => {
            let show = |taint: Taint| {
                format!("{}:{}", taint.key.trim_start_matches("node.kubernetes.io/"), taint.effect)
            };
            let taints: Vec<String> = taints.into_iter().map(show).collect();
            let why = if gives_up { ", which give it up" } else { "" };
            vec![format!("taints [{}]{why}", taints.join(", "))]
        }
        Action::PodNotReady(pod) => vec![format!("pod {} is not ready", pod.name)],
    }
}

fn check_plan(table: &str) {
    check(CASES, table, |case: Case| {
        let now: Timestamp = "2026-01-01T01:00:00Z".parse().unwrap();
        let plan = plan(&Observed {
            node: &case.node.seen(),
            silent: Duration::from_secs(case.silent),
            pods: case.pods.iter().map(|pod| Arc::new(pod.seen())).collect(),
            may_give_up: case.may_give_up,
            take_back: case.take_back,
            now,
        });
        let mut lines: Vec<String> = plan.actions.into_iter().flat_map(shown).collect();
        lines.extend(plan.again.map(|after| format!("look again after {after:?}")));
        lines
    });
}

#[test]
fn conditions_become_taints() {
    check_plan("conditions become taints");
}

#[test]
fn silence_is_unknown() {
    check_plan("silence is unknown");
}

#[test]
fn pods_of_a_lost_node_are_not_ready() {
    check_plan("pods of a lost node are not ready");
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Waiting {
    node: Written<Node>,
}

#[test]
fn a_node_waits_for_its_turn_once() {
    check(CASES, "who waits for its turn to be given up", |case: Waiting| waits_for_turn(&case.node.seen()));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Zone {
    ready: usize,
    lost: usize,
}

#[test]
fn a_disrupted_zone_gives_up_slowly_or_not_at_all() {
    let node = |status: &str| NodeView {
        conditions: vec![NodeCondition {
            type_: "Ready".into(),
            status: status.into(),
            ..NodeCondition::default()
        }],
        ..NodeView::default()
    };
    check(CASES, "a disrupted zone gives up slowly or not at all", |case: Zone| {
        let mut nodes = vec![node("True"); case.ready];
        nodes.extend(vec![node("Unknown"); case.lost]);
        let pace = paces(&nodes).values().next().copied().flatten();
        pace.map(|pace| pace.as_secs())
    });
}
