//! Table tests of the plan.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use serde::Deserialize;

use super::plan::{MOST_ENDED, Observed, Plan, plan};
use crate::cases::{Written, check};
use crate::nodes::NodeView;
use crate::pods::{Phase, PodView};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    pods: Vec<Written<Pod>>,
    nodes: Vec<Written<Node>>,
    missing: BTreeMap<String, u64>,
}

fn shown(plan: &Plan) -> Vec<String> {
    let mut lines: Vec<String> =
        plan.delete.iter().map(|(pod, why)| format!("delete {}: {why:?}", pod.name)).collect();
    lines.extend(plan.again.map(|after| format!("look again after {after:?}")));
    lines
}

#[test]
fn pods_that_nobody_answers_for() {
    check(include_str!("cases.yaml"), "pods that nobody answers for", |case: Case| {
        let nodes = case.nodes.iter().map(|node| node.seen::<NodeView>());
        let missing = case.missing.into_iter();
        shown(&plan(&Observed {
            pods: case.pods.iter().map(|pod| Arc::new(pod.seen())).collect(),
            nodes: nodes.map(|node| (node.name.clone(), Arc::new(node))).collect(),
            missing: missing.map(|(node, seconds)| (node, Duration::from_secs(seconds))).collect(),
        }))
    });
}

#[test]
fn the_oldest_ended_pods_go_first() {
    let ended = |at: usize| {
        Arc::new(PodView {
            name: format!("p{at}"),
            node: "there".into(),
            phase: Phase::Succeeded,
            created: Timestamp::from_second(at as i64).unwrap(),
            ..PodView::default()
        })
    };
    let plan = plan(&Observed {
        pods: (0..MOST_ENDED + 2).rev().map(ended).collect(),
        nodes: [("there".to_owned(), Arc::new(NodeView::default()))].into(),
        missing: BTreeMap::new(),
    });
    assert_eq!(shown(&plan), ["delete p0: TooMany", "delete p1: TooMany"]);
}
