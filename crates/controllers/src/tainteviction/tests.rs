//! Table tests of the plan.

use std::time::Duration;

use apimachinery::{Value, value};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, Taint};

use super::plan::{Observed, plan};

fn now() -> Timestamp {
    "2026-01-01T01:00:00Z".parse().unwrap()
}

fn pod(tolerations: Value) -> Pod {
    value!({"metadata": {"name": "a"}, "spec": {"containers": [], "tolerations": (tolerations)}})
        .decode()
        .unwrap()
}

#[test]
fn tolerations_give_time() {
    let taint = |key: &str, ago: i64| {
        let taint = Taint { key: key.into(), effect: "NoExecute".into(), ..Taint::default() };
        (taint, now() - SignedDuration::from_secs(ago))
    };
    let for_seconds =
        |key: &str, seconds: i64| value!({"key": key, "operator": "Exists", "tolerationSeconds": seconds});
    let always = |key: &str| value!({"key": key, "operator": "Exists"});
    for (taints, tolerations, evicted, again) in [
        (vec![taint("x", 0)], value!([]), true, None),
        (vec![taint("x", 0)], value!([(always("x"))]), false, None),
        (vec![taint("x", 100)], value!([(for_seconds("x", 300))]), false, Some(200)),
        (vec![taint("x", 300)], value!([(for_seconds("x", 300))]), true, None),
        (vec![taint("x", 0)], value!([(for_seconds("x", 0))]), true, None),
        (vec![taint("x", 0), taint("y", 0)], value!([(always("x"))]), true, None),
        (
            vec![taint("x", 0), taint("y", 0)],
            value!([(for_seconds("x", 60)), (for_seconds("y", 30))]),
            false,
            Some(30),
        ),
    ] {
        let pods = [pod(tolerations.clone())];
        let plan = plan(&Observed { taints, pods: &pods, now: now() });
        assert_eq!(!plan.evict.is_empty(), evicted, "{tolerations:?}");
        assert_eq!(plan.again, again.map(Duration::from_secs), "{tolerations:?}");
    }
}

#[test]
fn ended_and_dying_pods_are_left() {
    let mut ended = pod(value!([]));
    ended.status.get_or_insert_default().phase = Some("Succeeded".into());
    let mut dying = pod(value!([]));
    dying.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now()));
    let taint = Taint { key: "x".into(), effect: "NoExecute".into(), ..Taint::default() };
    let pods = [ended, dying];
    let plan = plan(&Observed { taints: vec![(taint, now())], pods: &pods, now: now() });
    assert!(plan.evict.is_empty());
}
