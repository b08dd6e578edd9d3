//! The cluster follows objects in any order.

use serde_json::json;

use super::*;
use crate::testing::{cluster, node, place, pod, sized};

#[test]
fn pods_may_be_told_of_before_their_node() {
    let mut cluster = cluster([]);
    place(&mut cluster, &sized("p", "1", "1Gi"), "late");
    assert_eq!((cluster.len(), cluster.find("late")), (0, None));
    cluster.put_node(node("late", json!({})));
    let late = cluster.find("late").unwrap();
    assert_eq!(cluster.node(late).requested.milli_cpu, 1000);
    cluster.remove_node("late");
    assert!(cluster.is_placed("p") && cluster.is_empty());
    cluster.remove_pod("p");
    assert_eq!(cluster.by_name.len(), 0);
}

#[test]
fn slots_are_used_again() {
    let mut cluster = cluster([node("a", json!({})), node("b", json!({}))]);
    let a = cluster.find("a").unwrap();
    cluster.remove_node("a");
    cluster.put_node(node("c", json!({"status": {"allocatable": {"cpu": "9"}}})));
    assert_eq!(cluster.find("c"), Some(a));
    assert_eq!((cluster.span(), cluster.len()), (2, 2));
    assert_eq!(cluster.labelled("kubernetes.io/hostname", "a").count(), 0);
    assert_eq!(cluster.labelled("kubernetes.io/hostname", "c").collect::<Vec<_>>(), [a]);
}

#[test]
fn an_assumed_pod_counts_until_it_is_forgotten_or_confirmed() {
    let mut cluster = cluster([node("a", json!({}))]);
    let a = cluster.find("a").unwrap();
    let pod = sized("p", "1", "1Gi");
    cluster.assume(&pod, "a");
    assert_eq!(cluster.node(a).requested.milli_cpu, 1000);
    assert!(cluster.forget("p"));
    assert!(cluster.node(a).requested.is_zero());
    cluster.assume(&pod, "a");
    place(&mut cluster, &pod, "a");
    assert!(!cluster.forget("p"), "confirmed");
    assert_eq!(cluster.node(a).pods.len(), 1);
}

#[test]
fn indexes_follow_changes_of_nodes() {
    let mut cluster = cluster([node(
        "a",
        json!({"spec": {"taints": [{"key": "k", "effect": "NoExecute"}, {"key": "s", "effect": "PreferNoSchedule"}]},
               "status": {"images": [{"names": ["app:1"], "sizeBytes": 1}]}}),
    )]);
    let a = cluster.find("a").unwrap();
    assert_eq!((cluster.open().contains(a), cluster.without_no_schedule().contains(a)), (false, true));
    assert!(cluster.has_soft_taints());
    assert_eq!(cluster.nodes_with_image("app:1"), 1);
    cluster.put_node(node("a", json!({"metadata": {"labels": {"zone": "x"}}})));
    assert!(cluster.open().contains(a) && !cluster.has_soft_taints());
    assert_eq!(cluster.nodes_with_image("app:1"), 0);
    assert_eq!(
        cluster.domains("zone").map(|(value, nodes)| (value, nodes.len())).collect::<Vec<_>>(),
        [("x", 1)]
    );
}

#[test]
fn services_are_found_by_namespace() {
    let mut cluster = cluster([]);
    let app = || Selector::of_labels([("app", "web")]);
    cluster.put_service("default", "web", Some(app()));
    cluster.put_service("other", "web", Some(app()));
    cluster.put_service("default", "headless", Some(Selector::nothing()));
    let web = pod("p", json!({"metadata": {"labels": {"app": "web"}}}));
    assert_eq!(cluster.services_of(&web).count(), 1);
    cluster.put_service("default", "web", None);
    assert_eq!(cluster.services_of(&web).count(), 0);
}
