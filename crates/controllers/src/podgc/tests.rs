//! Table tests of the plan.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Taint;

use super::plan::{MOST_ENDED, OUT_OF_SERVICE, Observed, Why, plan};
use crate::nodes::NodeView;
use crate::pods::{Phase, PodView};

fn observe(pods: Vec<PodView>, missing: &[(&str, u64)]) -> Observed {
    let node = |name: &str, taints: Vec<Taint>| {
        (name.to_owned(), Arc::new(NodeView { name: name.into(), taints, ..NodeView::default() }))
    };
    let off = Taint { key: OUT_OF_SERVICE.into(), effect: "NoExecute".into(), ..Taint::default() };
    let gone = |(name, seconds): &(&str, u64)| ((*name).to_owned(), Duration::from_secs(*seconds));
    Observed {
        pods: pods.into_iter().map(Arc::new).collect(),
        nodes: [node("there", vec![]), node("off", vec![off])].into(),
        missing: missing.iter().map(gone).collect::<BTreeMap<_, _>>(),
    }
}

fn on(node: &str) -> PodView {
    PodView { node: node.into(), phase: Phase::Running, ..PodView::default() }
}

#[test]
fn pods_that_nobody_answers_for() {
    let dying = |node: &str| PodView { terminating: true, ..on(node) };
    for (pod, missing, expected, again) in [
        (on("there"), vec![], None, None),
        (on("gone"), vec![("gone", 10)], None, Some(30)),
        (on("gone"), vec![("gone", 40)], Some(Why::Orphaned), None),
        (on(""), vec![], None, None),
        (dying(""), vec![], Some(Why::Unscheduled), None),
        (dying("there"), vec![], None, None),
        (dying("off"), vec![], Some(Why::OutOfService), None),
        (on("off"), vec![], None, None),
    ] {
        let plan = plan(&observe(vec![pod.clone()], &missing));
        assert_eq!(plan.delete.first().map(|(_, why)| *why), expected, "{pod:?}");
        assert_eq!(plan.again, again.map(Duration::from_secs), "{pod:?}");
    }
}

#[test]
fn the_oldest_ended_pods_go_first() {
    let ended = |at: usize| PodView {
        name: format!("p{at}"),
        phase: Phase::Succeeded,
        created: Timestamp::from_second(at as i64).unwrap(),
        ..on("there")
    };
    let plan = plan(&observe((0..MOST_ENDED + 2).rev().map(ended).collect(), &[]));
    let names: Vec<_> = plan.delete.iter().map(|(pod, why)| (pod.name.as_str(), *why)).collect();
    assert_eq!(names, [("p0", Why::TooMany), ("p1", Why::TooMany)]);
}
