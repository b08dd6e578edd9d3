//! Table tests of placement, plan, history and status.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use apimachinery::{Value, value, yaml};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet};
use k8s_openapi::api::core::v1::Taint;

use super::history;
use super::placement::{Fit, fit, pod_for};
use super::plan::{Observed, Plan, plan};
use super::status::status;
use crate::nodes::NodeView;
use crate::pods::{Phase, PodView};
use crate::revisions::Action;

fn read(text: &str) -> Value {
    serde_json::from_slice(&yaml::to_json(text.as_bytes()).unwrap().json).unwrap()
}

fn set(more: Value, pod: Value) -> DaemonSet {
    let mut spec = value!({
        "selector": {"matchLabels": {"app": "a"}},
        "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": []}}
    });
    for (key, value) in more.members() {
        spec.set(key.to_owned(), value.clone());
    }
    for (key, value) in pod.members() {
        spec.entry("template").entry("spec").set(key.to_owned(), value.clone());
    }
    value!({"metadata": {"name": "agent", "namespace": "default", "uid": "d"}, "spec": (spec)})
        .decode()
        .unwrap()
}

fn plain() -> DaemonSet {
    set(value!({}), value!({}))
}

fn node(name: &str, labels: &[(&str, &str)], taints: &[(&str, &str)]) -> NodeView {
    let taint = |(key, effect): &(&str, &str)| Taint {
        key: (*key).into(),
        effect: (*effect).into(),
        ..Taint::default()
    };
    NodeView {
        name: name.into(),
        labels: labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
        taints: taints.iter().map(taint).collect(),
        ..NodeView::default()
    }
}

#[test]
fn nodes_that_suit() {
    let on_disk = || set(value!({}), value!({"nodeSelector": {"disk": "ssd"}}));
    let yes = Fit { run: true, stay: true };
    let stay = Fit { run: false, stay: true };
    let no = Fit { run: false, stay: false };
    let unready = "node.kubernetes.io/not-ready";
    let cordoned = "node.kubernetes.io/unschedulable";
    for (set, labels, taints, expected) in [
        (plain(), vec![], vec![], yes),
        (on_disk(), vec![("disk", "ssd")], vec![], yes),
        (on_disk(), vec![], vec![], no),
        (plain(), vec![], vec![("mine", "NoSchedule")], stay),
        (plain(), vec![], vec![("mine", "NoExecute")], no),
        (plain(), vec![], vec![("mine", "PreferNoSchedule")], yes),
        (plain(), vec![], vec![(unready, "NoExecute"), (cordoned, "NoSchedule")], yes),
    ] {
        assert_eq!(fit(&set, &node("n1", &labels, &taints)), expected, "{labels:?} {taints:?}");
    }
}

#[test]
fn its_pods_aim_at_their_node() {
    let pod = pod_for(&plain(), "n7", "hash");
    let spec = pod.spec.unwrap();
    let required = spec.affinity.unwrap().node_affinity.unwrap();
    let terms = required.required_during_scheduling_ignored_during_execution.unwrap().node_selector_terms;
    let field = &terms[0].match_fields.as_ref().unwrap()[0];
    assert_eq!((field.key.as_str(), field.values.as_ref().unwrap()[0].as_str()), ("metadata.name", "n7"));
    assert_eq!(spec.tolerations.unwrap().len(), 6);
    assert_eq!(pod.metadata.labels.unwrap()["controller-revision-hash"], "hash");
}

/// `node:hash` with `-` not ready, `!` failed, `x` terminating.
fn pods(texts: &str) -> Vec<Arc<PodView>> {
    let pod = |(at, text): (usize, &str)| {
        let (node, rest) = text.split_once(':').unwrap();
        let hash = rest.trim_end_matches(['-', '!', 'x']);
        Arc::new(PodView {
            name: format!("{text}#{at}"),
            uid: format!("{at}"),
            node: node.into(),
            labels: [("controller-revision-hash".to_owned(), hash.to_owned())].into(),
            phase: if rest.ends_with('!') { Phase::Failed } else { Phase::Running },
            ready: !rest.ends_with(['-', '!']),
            terminating: rest.ends_with('x'),
            created: Timestamp::from_second(at as i64).unwrap(),
            ..PodView::default()
        })
    };
    texts.split_whitespace().enumerate().map(pod).collect()
}

/// Nodes by name; `!` behind one has a taint that keeps new pods away.
fn run(set: &DaemonSet, nodes: &str, texts: &str, backoff: &[(&str, u64)]) -> (Plan, String) {
    let backoff: BTreeMap<_, _> =
        backoff.iter().map(|(node, left)| ((*node).to_owned(), Duration::from_secs(*left))).collect();
    let observed = Observed {
        set,
        nodes: nodes
            .split_whitespace()
            .map(|name| match name.strip_suffix('!') {
                Some(name) => Arc::new(node(name, &[], &[("out", "NoSchedule")])),
                None => Arc::new(node(name, &[], &[])),
            })
            .collect(),
        pods: pods(texts),
        hash: "new",
        backoff: &backoff,
        expectations_met: true,
        now: Timestamp::from_second(1000).unwrap(),
    };
    let plan = plan(&observed);
    let mut shown: Vec<_> = plan.create.iter().map(|node| format!("+{node}")).collect();
    shown.extend(plan.delete.iter().map(|pod| format!("-{}", pod.name.split('#').next().unwrap())));
    let shown = shown.join(" ");
    (plan, shown)
}

#[test]
fn one_pod_on_each_node_and_updates_in_turn() {
    let surging = || {
        let strategy =
            value!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}});
        set(value!({"updateStrategy": (strategy)}), value!({}))
    };
    let manual = || set(value!({"updateStrategy": {"type": "OnDelete"}}), value!({}));
    for (what, set, pods, expected) in [
        ("first", plain(), "", "+a +b"),
        ("all there", plain(), "a:new b:new", ""),
        ("twice", plain(), "a:new a:new b:new", "-a:new"),
        ("failed", plain(), "a:new! b:new", "-a:new!"),
        ("going", plain(), "a:newx b:new", ""),
        ("update", plain(), "a:old b:old", "-a:old"),
        ("waits for the first", plain(), "a:new- b:old", ""),
        ("sick ones at once", plain(), "a:new- b:old-", "-b:old-"),
        ("by hand", manual(), "a:old b:old", ""),
        ("surge", surging(), "a:old b:old", "+a"),
        ("surge waits", surging(), "a:old a:new- b:old", ""),
        ("surge done", surging(), "a:old a:new b:old", "-a:old"),
    ] {
        assert_eq!(run(&set, "a b", pods, &[]).1, expected, "{what}");
    }
    let (plan, shown) = run(&plain(), "a", "a:new!", &[("a", 7)]);
    assert_eq!((shown.as_str(), plan.again), ("", Some(Duration::from_secs(7))));
}

/// Updates with `unavailable` or `surge` as the limit (1 unavailable where neither is told).
const UPDATES: &str = r#"
- what: an old pod that serves nobody counts as unavailable
  nodes: a b
  pods: a:old- b:old
  expected: -a:old-
- what: so that with two to spare one more goes
  unavailable: 2
  nodes: a b c
  pods: a:old- b:old c:old
  expected: -a:old- -b:old
- what: all that serve nobody go, whatever the limit
  nodes: a b c
  pods: a:old- b:old- c:old
  expected: -a:old- -b:old-
- what: a share of the nodes, rounded up
  unavailable: 50%
  nodes: a b c
  pods: a:old b:old c:old
  expected: -a:old -b:old
- what: where no new pod may come, an old one goes all the same
  nodes: a b!
  pods: a:new b:old
  expected: -b:old
- what: a pod on its way out counts
  nodes: a b
  pods: a:oldx b:old
  expected: ""
- what: new ones beside the old
  surge: 2
  nodes: a b c
  pods: a:old b:old c:old
  expected: +a +b
- what: an old pod that serves nobody is no surge
  surge: 1
  nodes: a b c
  pods: a:old- b:old c:old
  expected: +a +b
- what: what serves where it no more belongs may go when others serve
  surge: 1
  nodes: a b!
  pods: a:old b:old
  expected: +a -b:old
- what: and stays until then
  surge: 1
  nodes: a b!
  pods: a:old- b:old
  expected: +a
- what: what serves nobody there goes
  surge: 1
  nodes: a b!
  pods: a:new b:old-
  expected: -b:old-
"#;

#[test]
fn updates_keep_within_their_limits() {
    for case in read(UPDATES).items() {
        let what = case["what"].text();
        let rolling = match case["surge"].as_i64() {
            Some(surge) => value!({"maxSurge": surge, "maxUnavailable": 0}),
            None if case["unavailable"].is_null() => value!({"maxSurge": 0, "maxUnavailable": 1}),
            None => value!({"maxSurge": 0, "maxUnavailable": (case["unavailable"].clone())}),
        };
        let strategy = value!({"type": "RollingUpdate", "rollingUpdate": rolling});
        let set = set(value!({"updateStrategy": strategy}), value!({}));
        let (_, shown) = run(&set, case["nodes"].text(), case["pods"].text(), &[]);
        assert_eq!(shown, case["expected"].text(), "{what}");
    }
}

#[test]
fn revisions_are_named_renumbered_and_cut() {
    let set = set(value!({"revisionHistoryLimit": 1}), value!({}));
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

#[test]
fn the_status_counts() {
    let set = plain();
    let observed = Observed {
        set: &set,
        nodes: vec![
            Arc::new(node("a", &[], &[])),
            Arc::new(node("b", &[], &[])),
            Arc::new(node("c", &[], &[("mine", "NoSchedule")])),
        ],
        pods: pods("a:new b:old- c:new"),
        hash: "new",
        backoff: &BTreeMap::new(),
        expectations_met: true,
        now: Timestamp::from_second(1000).unwrap(),
    };
    let status = status(&observed);
    assert_eq!(status.desired_number_scheduled, 2);
    assert_eq!(status.current_number_scheduled, 2);
    assert_eq!(status.number_misscheduled, 1);
    assert_eq!(
        (status.number_ready, status.number_available, status.number_unavailable),
        (1, Some(1), Some(1))
    );
    assert_eq!(status.updated_number_scheduled, Some(1));
}
