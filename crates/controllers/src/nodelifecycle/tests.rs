//! Table tests of the plan and of zones.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{NodeCondition, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::plan::{Action, Observed, Plan, plan, waits_for_turn};
use super::zones::paces;
use crate::nodes::NodeView;
use crate::pods::PodView;

fn now() -> Timestamp {
    "2026-01-01T01:00:00Z".parse().unwrap()
}

fn node(conditions: &[(&str, &str)], taints: &[&str]) -> NodeView {
    let condition = |(kind, status): &(&str, &str)| NodeCondition {
        type_: (*kind).into(),
        status: (*status).into(),
        last_heartbeat_time: Some(Time(now())),
        ..NodeCondition::default()
    };
    let taint = |text: &&str| {
        let (key, effect) = text.split_once(':').unwrap();
        let key = if key.contains('/') { key.into() } else { format!("node.kubernetes.io/{key}") };
        Taint { key, effect: effect.into(), ..Taint::default() }
    };
    NodeView {
        name: "n1".into(),
        conditions: conditions.iter().map(condition).collect(),
        taints: taints.iter().map(taint).collect(),
        ..NodeView::default()
    }
}

fn run(node: &NodeView, silent: u64, may_give_up: bool) -> Plan {
    let pods = vec![
        Arc::new(PodView { name: "up".into(), ready: true, ..PodView::default() }),
        Arc::new(PodView { name: "down".into(), ..PodView::default() }),
    ];
    plan(&Observed {
        node,
        silent: Duration::from_secs(silent),
        pods,
        may_give_up,
        take_back: false,
        now: now(),
    })
}

fn taints(plan: &Plan) -> Option<Vec<String>> {
    plan.actions.iter().find_map(|action| match action {
        Action::Taints { taints, .. } => {
            let show = |taint: &Taint| {
                let key = taint.key.trim_start_matches("node.kubernetes.io/");
                format!("{key}:{}", taint.effect)
            };
            Some(taints.iter().map(show).collect())
        }
        _ => None,
    })
}

#[test]
fn conditions_become_taints() {
    for (conditions, before, give_up, expected) in [
        (vec![("Ready", "True")], vec![], true, None),
        (vec![("Ready", "True")], vec!["not-ready:NoSchedule"], true, Some(vec![])),
        (vec![("Ready", "False")], vec![], false, Some(vec!["not-ready:NoSchedule"])),
        (
            vec![("Ready", "False")],
            vec!["not-ready:NoSchedule"],
            true,
            Some(vec!["not-ready:NoSchedule", "not-ready:NoExecute"]),
        ),
        (
            vec![("Ready", "Unknown")],
            vec!["not-ready:NoSchedule", "not-ready:NoExecute"],
            false,
            Some(vec!["unreachable:NoSchedule", "unreachable:NoExecute"]),
        ),
        (
            vec![("Ready", "True"), ("MemoryPressure", "True"), ("DiskPressure", "False")],
            vec!["mine.io/x:NoExecute"],
            true,
            Some(vec!["mine.io/x:NoExecute", "memory-pressure:NoSchedule"]),
        ),
        // What it registered with stays until it has said something.
        (vec![], vec!["not-ready:NoSchedule"], true, None),
    ] {
        let node = node(&conditions, &before);
        let expected =
            expected.map(|list: Vec<&str>| list.into_iter().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(taints(&run(&node, 0, give_up)), expected, "{conditions:?} {before:?}");
    }
    let cordoned = NodeView { unschedulable: true, ..node(&[("Ready", "True")], &[]) };
    assert_eq!(taints(&run(&cordoned, 0, true)).unwrap(), ["unschedulable:NoSchedule"]);
}

#[test]
fn silence_is_unknown() {
    let speaking = node(&[("Ready", "True")], &[]);
    let plan = run(&speaking, 20, true);
    assert_eq!((plan.actions.len(), plan.again), (0, Some(Duration::from_secs(30))));
    let plan = run(&speaking, 50, true);
    let [Action::Conditions(conditions)] = plan.actions.as_slice() else { panic!("{plan:?}") };
    assert_eq!(conditions.len(), 4);
    assert!(conditions.iter().all(|condition| condition.status == "Unknown"));
    assert_eq!(conditions[0].reason.as_deref(), Some("NodeStatusUnknown"));

    let mute = node(&[], &[]);
    assert_eq!(run(&mute, 50, true).again, Some(Duration::from_secs(10)));
    let plan = run(&mute, 60, true);
    let [Action::Conditions(conditions)] = plan.actions.as_slice() else { panic!("{plan:?}") };
    assert_eq!(conditions[0].reason.as_deref(), Some("NodeStatusNeverUpdated"));
}

#[test]
fn pods_of_a_lost_node_are_not_ready() {
    let lost = node(&[("Ready", "Unknown")], &["unreachable:NoSchedule", "unreachable:NoExecute"]);
    let plan = run(&lost, 0, true);
    let names: Vec<_> = plan
        .actions
        .iter()
        .map(|action| match action {
            Action::PodNotReady(pod) => pod.name.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(names, ["up"]);
    assert!(!waits_for_turn(&lost));
    assert!(waits_for_turn(&node(&[("Ready", "False")], &["not-ready:NoSchedule"])));
}

#[test]
fn a_disrupted_zone_gives_up_slowly_or_not_at_all() {
    let nodes = |ready: usize, lost: usize| {
        let mut nodes = vec![node(&[("Ready", "True")], &[]); ready];
        nodes.extend(vec![node(&[("Ready", "Unknown")], &[]); lost]);
        nodes
    };
    for (ready, lost, expected) in [
        (1, 0, Some(10)),
        (9, 1, Some(10)),
        (0, 1, None),
        (2, 3, None),
        (1, 2, Some(10)),
        (20, 40, Some(100)),
    ] {
        let nodes = nodes(ready, lost);
        let paces = paces(&nodes);
        let pace = paces.values().next().copied().flatten();
        assert_eq!(pace, expected.map(Duration::from_secs), "{ready} {lost}");
    }
}
