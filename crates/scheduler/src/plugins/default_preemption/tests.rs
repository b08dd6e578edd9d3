//! Who is evicted for whom.

use apimachinery::labels::Selector;
use serde_json::json;

use super::*;
use crate::testing::{cluster, node, pod, sized};
use crate::{Choice, schedule};

fn ranked(name: &str, priority: i32, cpu: &str) -> PodInfo {
    PodInfo { priority, labels: [("name".to_owned(), name.to_owned())].into(), ..sized(name, cpu, "1Gi") }
}

/// What preemption for `pod` comes to: node and victims, or the message.
fn preempt(cluster: &mut Cluster, pod: &PodInfo) -> Result<(String, Vec<String>), String> {
    let framework = Framework::default_profile();
    let error = schedule(&framework, cluster, pod, Choice::default()).expect_err("the pod fits nowhere");
    let before = format!("{:?}", cluster.nodes().map(|(_, node)| &node.requested).collect::<Vec<_>>());
    let outcome = DefaultPreemption.post_filter(&framework, cluster, pod, &error, 0);
    let after = format!("{:?}", cluster.nodes().map(|(_, node)| &node.requested).collect::<Vec<_>>());
    assert_eq!(before, after, "the cluster is as it was");
    match outcome.victims.as_slice() {
        [] => Err(outcome.message),
        victims => {
            let victims = victims.iter().map(|pod| pod.name.clone()).collect();
            Ok((outcome.nominate.unwrap_or_default(), victims))
        }
    }
}

fn with_pods(pods: &[(&str, i32, &str, &str)]) -> Cluster {
    let mut cluster = cluster([node("a", json!({})), node("b", json!({}))]);
    for (name, priority, cpu, node) in pods {
        crate::testing::place(&mut cluster, &ranked(name, *priority, cpu), node);
    }
    cluster
}

#[test]
fn the_least_harm_is_done() {
    for (pods, expected) in [
        // As few as will do.
        (vec![("a1", 1, "1", "a"), ("a2", 1, "3", "a"), ("b1", 1, "4", "b")], ("a", vec!["a2"])),
        // The lower highest priority wins over the number.
        (vec![("a1", 5, "4", "a"), ("b1", 4, "2", "b"), ("b2", 4, "2", "b")], ("b", vec!["b1", "b2"])),
        // Nobody of equal priority.
        (vec![("a1", 10, "4", "a"), ("b1", 9, "4", "b")], ("b", vec!["b1"])),
    ] {
        let mut cluster = with_pods(&pods);
        let expected = (expected.0.to_owned(), expected.1.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(preempt(&mut cluster, &ranked("p", 10, "3")), Ok(expected), "{pods:?}");
    }
}

#[test]
fn budgets_are_kept_where_possible() {
    let mut cluster = with_pods(&[("a1", 1, "4", "a"), ("b1", 2, "4", "b")]);
    cluster.put_budget(
        "default",
        "guard",
        Some(Arc::new(crate::cluster::Budget {
            namespace: "default".into(),
            name: "guard".into(),
            selector: Selector::of_labels([("name", "a1")]),
            disruptions_allowed: 0,
            disrupted: Default::default(),
        })),
    );
    assert_eq!(preempt(&mut cluster, &ranked("p", 10, "3")), Ok(("b".into(), vec!["b1".into()])));
    assert_eq!(preempt(&mut cluster, &ranked("p", 2, "3")), Ok(("a".into(), vec!["a1".into()])));
}

#[test]
fn the_message_says_why_not() {
    let mut full = with_pods(&[("a1", 10, "4", "a"), ("b1", 10, "4", "b")]);
    assert_eq!(
        preempt(&mut full, &ranked("p", 10, "1")),
        Err("preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod.".into())
    );
    assert_eq!(
        preempt(&mut full, &ranked("p", 20, "5")),
        Err("preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.".into())
    );
    let mut mixed = with_pods(&[("a1", 10, "3", "a"), ("a2", 1, "1", "a"), ("b1", 10, "4", "b")]);
    assert_eq!(
        preempt(&mut mixed, &ranked("p", 5, "2")),
        Err("preemption: 0/2 nodes are available: 1 Insufficient cpu, 1 No preemption victims found for incoming pod.".into())
    );
}

#[test]
fn some_pods_may_not_preempt() {
    let mut cluster = with_pods(&[("a1", 1, "4", "a"), ("b1", 1, "4", "b")]);
    let mut never = ranked("p", 10, "1");
    never.wishes = pod("p", json!({"spec": {"preemptionPolicy": "Never"}})).wishes;
    assert_eq!(
        preempt(&mut cluster, &never),
        Err("preemption: not eligible due to preemptionPolicy=Never.".into())
    );
    let mut waiting = ranked("p", 10, "1");
    waiting.wishes = pod("p", json!({"status": {"nominatedNodeName": "a"}})).wishes;
    let leaving = PodInfo { terminating: true, preempted: true, ..ranked("a1", 1, "4") };
    crate::testing::place(&mut cluster, &leaving, "a");
    assert_eq!(
        preempt(&mut cluster, &waiting),
        Err("preemption: not eligible due to a terminating pod on the nominated node.".into())
    );
}
