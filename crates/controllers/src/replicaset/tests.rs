//! Table tests of the plan.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use apimachinery::value;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::ReplicaSet;

use super::plan::{Failure, Observed, Plan, plan, status};
use crate::pods::{Phase, PodView};

fn now() -> Timestamp {
    "2026-01-01T01:00:00Z".parse().unwrap()
}

fn set(replicas: i64, min_ready: i64) -> ReplicaSet {
    value!({
        "metadata": {"name": "web", "namespace": "default", "uid": "set", "generation": 3},
        "spec": {
            "replicas": replicas, "minReadySeconds": min_ready,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": []}}
        }
    })
    .decode()
    .unwrap()
}

/// `r`eady for a minute, `p`ending, `e`nded, `t`erminating.
fn pods(kinds: &str) -> Vec<Arc<PodView>> {
    let pod = |(at, kind): (usize, char)| {
        let name = format!("{kind}{at}");
        Arc::new(PodView {
            name: name.clone(),
            uid: name,
            labels: [("app".to_owned(), "web".to_owned())].into(),
            node: "n".into(),
            phase: match kind {
                'p' => Phase::Pending,
                'e' => Phase::Failed,
                _ => Phase::Running,
            },
            ready: "rt".contains(kind),
            ready_changed: Some(now() - SignedDuration::from_secs(60)),
            terminating: kind == 't',
            ..PodView::default()
        })
    };
    kinds.chars().enumerate().map(pod).collect()
}

fn observe<'a>(set: &'a ReplicaSet, kinds: &str) -> Observed<'a> {
    Observed {
        set,
        pods: pods(kinds),
        ranks: BTreeMap::new(),
        expectations_met: true,
        failure: None,
        now: now(),
    }
}

#[test]
fn so_many_pods_as_wanted() {
    for (replicas, kinds, create, delete) in [
        (3, "", 3, ""),
        (3, "rrr", 0, ""),
        (3, "rr", 1, ""),
        (3, "rret", 1, ""),
        (1, "rpr", 0, "p1 r0"),
        (0, "rt", 0, "r0"),
        (1000, "", 500, ""),
    ] {
        let set = set(replicas, 0);
        let Plan { create: created, delete: deleted, .. } = plan(&observe(&set, kinds));
        let deleted: Vec<_> = deleted.iter().map(|pod| pod.name.as_str()).collect();
        assert_eq!((created, deleted.join(" ").as_str()), (create, delete), "{replicas} of {kinds}");
    }
}

#[test]
fn nothing_is_done_on_a_stale_view_or_for_a_dying_set() {
    let mut set = set(3, 0);
    let stale = Observed { expectations_met: false, ..observe(&set, "") };
    assert_eq!(plan(&stale), Plan::default());
    set.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now()));
    assert_eq!(plan(&observe(&set, "")), Plan::default());
}

#[test]
fn availability_comes_with_time() {
    let set = set(2, 90);
    let observed = observe(&set, "rr");
    assert_eq!(plan(&observed).again, Some(Duration::from_secs(30)));
    let status = status(&observed);
    assert_eq!((status.ready_replicas, status.available_replicas), (Some(2), None));
}

#[test]
fn the_status_counts() {
    let set = set(3, 0);
    let failure = Failure { reason: "FailedCreate", message: "quota".into() };
    let observed = Observed { failure: Some(&failure), ..observe(&set, "rrpet") };
    let status = status(&observed);
    assert_eq!(status.replicas, 3);
    assert_eq!(status.ready_replicas, Some(2));
    assert_eq!(status.available_replicas, Some(2));
    assert_eq!(status.fully_labeled_replicas, Some(3));
    assert_eq!(status.terminating_replicas, Some(1));
    assert_eq!(status.observed_generation, Some(3));
    let condition = &status.conditions.unwrap()[0];
    assert_eq!(condition.reason.as_deref(), Some("FailedCreate"));
}

#[test]
fn the_ages_of_the_chosen_are_told() {
    let aged = |seconds: i64, ready| {
        Arc::new(PodView {
            name: seconds.to_string(),
            node: "n".into(),
            ready,
            phase: Phase::Running,
            created: now() - SignedDuration::from_secs(seconds),
            ..PodView::default()
        })
    };
    let set = set(1, 0);
    let ratios = |pods: Vec<Arc<PodView>>| plan(&Observed { pods, ..observe(&set, "") }).age_ratios;
    assert_eq!(ratios(vec![aged(10, true), aged(35, true), aged(90, true)]), [1.0, 3.0]);
    assert_eq!(
        ratios(vec![aged(10, true), aged(5, false)]),
        Vec::<f64>::new(),
        "who is not ready does not count"
    );
    assert_eq!(
        ratios(vec![aged(0, true), aged(5, true)]),
        Vec::<f64>::new(),
        "nothing can be said of the newborn"
    );
    let mut none = set.clone();
    none.spec.replicas = Some(0);
    let all = plan(&Observed { pods: vec![aged(10, true)], ..observe(&none, "") });
    assert_eq!((all.delete.len(), all.age_ratios), (1, vec![]), "nothing was chosen");
}
