//! Table tests of the plan and the status.

use apimachinery::{Value, value};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};

use super::plan::{Action, Observed, plan};
use super::status::{Creation, status};

fn now() -> Timestamp {
    "2026-01-01T01:00:00Z".parse().unwrap()
}

fn template(image: &str) -> Value {
    value!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "main", "image": image}]}
    })
}

/// Wants `replicas` of image `b`, with `more` of its spec.
fn deployment(replicas: i64, more: Value) -> Deployment {
    let mut spec = value!({
        "replicas": replicas,
        "selector": {"matchLabels": {"app": "web"}},
        "template": (template("b")),
        "progressDeadlineSeconds": 600,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}
    });
    for (key, value) in more.members() {
        spec.set(key.to_owned(), value.clone());
    }
    let tree = value!({
        "metadata": {
            "name": "web", "namespace": "default", "uid": "d", "generation": 2,
            "annotations": {"deployment.kubernetes.io/revision": "2"}
        },
        "spec": (spec)
    });
    tree.decode().unwrap()
}

/// A set named as its image: how many it should have, and how many are available.
fn set(image: &str, replicas: i64, available: i64, revision: i64, desired: i64) -> ReplicaSet {
    let most = desired + (desired + 3) / 4;
    value!({
        "metadata": {
            "name": image, "namespace": "default", "uid": image,
            "creationTimestamp": (format!("2026-01-01T00:00:{revision:02}Z")),
            "annotations": {
                "deployment.kubernetes.io/revision": (revision.to_string()),
                "deployment.kubernetes.io/desired-replicas": (desired.to_string()),
                "deployment.kubernetes.io/max-replicas": (most.to_string())
            }
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": (template(image))
        },
        "status": {"replicas": replicas, "readyReplicas": available, "availableReplicas": available}
    })
    .decode()
    .unwrap()
}

fn observe<'a>(deployment: &'a Deployment, sets: &'a [ReplicaSet], with_pods: &[&'a str]) -> Observed<'a> {
    Observed { deployment, sets: sets.iter().collect(), sets_with_pods: with_pods.to_vec(), now: now() }
}

/// Actions as text: `+NAME`, `NAME:FROM>TO`, `-NAME`, `~NAME`, `#REVISION`.
fn shown(actions: &[Action]) -> String {
    let show = |action: &Action| match action {
        Action::CreateSet(set) => {
            let revision = &set.metadata.annotations.as_ref().unwrap()["deployment.kubernetes.io/revision"];
            format!("+{}@{revision}", set.spec.replicas.unwrap())
        }
        Action::Scale { set, from, to, .. } => format!("{set}:{from}>{to}"),
        Action::Refresh { set, .. } => format!("~{set}"),
        Action::Revision(revision) => format!("#{revision}"),
        Action::DeleteSet { set, .. } => format!("-{set}"),
    };
    actions.iter().map(show).collect::<Vec<_>>().join(" ")
}

#[test]
fn steps_of_a_rolling_update() {
    let wants = |replicas| deployment(replicas, value!({}));
    for (what, deployment, sets, expected) in [
        ("first", wants(4), vec![], "+4@1"),
        ("new template", wants(4), vec![set("a", 4, 4, 1, 4)], "+1@2"),
        ("old goes", wants(4), vec![set("a", 4, 4, 1, 4), set("b", 1, 0, 2, 4)], "a:4>3"),
        ("new grows", wants(4), vec![set("a", 3, 3, 1, 4), set("b", 1, 0, 2, 4)], "b:1>2"),
        ("waits", wants(4), vec![set("a", 3, 3, 1, 4), set("b", 2, 0, 2, 4)], ""),
        ("sick old first", wants(4), vec![set("a", 4, 2, 1, 4), set("b", 1, 0, 2, 4)], "a:4>3"),
        ("done", wants(4), vec![set("a", 0, 0, 1, 4), set("b", 4, 4, 2, 4)], ""),
        ("scale alone", wants(6), vec![set("a", 0, 0, 1, 4), set("b", 4, 4, 2, 4)], "b:4>6"),
        (
            "scale in proportion",
            wants(20),
            vec![set("a", 5, 5, 1, 10), set("b", 8, 3, 2, 10)],
            "a:5>10 b:8>15",
        ),
        ("to nothing", wants(0), vec![set("b", 4, 4, 2, 4)], "b:4>0"),
    ] {
        let actions = plan(&observe(&deployment, &sets, &[]));
        // The order in which the sets of one step are scaled is of no matter.
        let mut actions: Vec<_> = shown(&actions).split(' ').map(str::to_owned).collect();
        actions.sort_by_key(|action| !action.starts_with('~'));
        assert_eq!(actions.join(" "), expected, "{what}");
    }
}

#[test]
fn recreate_waits_for_the_last_old_pod() {
    let deployment = deployment(2, value!({"strategy": {"type": "Recreate"}}));
    let max = |mut set: ReplicaSet| {
        let annotations = set.metadata.annotations.as_mut().unwrap();
        annotations.insert("deployment.kubernetes.io/max-replicas".into(), "2".into());
        set
    };
    let old = [max(set("a", 2, 2, 1, 2))];
    assert_eq!(shown(&plan(&observe(&deployment, &old, &["a"]))), "a:2>0");
    let gone = [max(set("a", 0, 0, 1, 2))];
    assert_eq!(shown(&plan(&observe(&deployment, &gone, &["a"]))), "");
    assert_eq!(shown(&plan(&observe(&deployment, &gone, &[]))), "+2@2");
}

#[test]
fn pausing_stops_the_roll_and_not_the_scaling() {
    let paused = deployment(4, value!({"paused": true}));
    assert_eq!(shown(&plan(&observe(&paused, &[set("a", 4, 4, 1, 4)], &[]))), "");
    let paused = deployment(6, value!({"paused": true}));
    assert_eq!(shown(&plan(&observe(&paused, &[set("a", 4, 4, 1, 4)], &[]))), "a:4>6");
}

#[test]
fn a_rollback_gets_a_new_revision_and_history_is_cut() {
    let back = deployment(1, value!({"revisionHistoryLimit": 1}));
    let sets = [set("b", 0, 0, 1, 1), set("x", 0, 0, 2, 1), set("y", 0, 0, 3, 1), set("a", 1, 1, 4, 1)];
    let actions = plan(&observe(&back, &sets, &[]));
    let Action::Refresh { annotations, .. } = &actions[0] else { panic!("{actions:?}") };
    assert_eq!(annotations["deployment.kubernetes.io/revision"], "5");
    assert_eq!(annotations["deployment.kubernetes.io/revision-history"], "1");
    assert_eq!(actions[1], Action::Revision("5".into()));

    let mut long = set("b", 0, 0, 1, 1);
    let history = "1000,".repeat(400);
    let annotations = long.metadata.annotations.as_mut().unwrap();
    annotations
        .insert("deployment.kubernetes.io/revision-history".into(), history.trim_end_matches(',').into());
    let sets = [long, set("a", 1, 1, 4, 1)];
    let actions = plan(&observe(&back, &sets, &[]));
    let Action::Refresh { annotations, .. } = &actions[0] else { panic!("{actions:?}") };
    let history = &annotations["deployment.kubernetes.io/revision-history"];
    assert!(history.len() <= 2000 && history.ends_with(",1000,1"), "{}", history.len());

    let sets = [set("x", 0, 0, 1, 1), set("y", 0, 0, 2, 1), set("b", 1, 1, 3, 1)];
    assert_eq!(shown(&plan(&observe(&back, &sets, &[]))), "#3 -x");
}

fn condition(deployment: &Deployment, sets: &[ReplicaSet], creation: Creation, kind: &str) -> String {
    let (status, _) = status(&observe(deployment, sets, &[]), &creation);
    let conditions = status.conditions.unwrap_or_default();
    let found = conditions.iter().find(|condition| condition.type_.as_deref() == Some(kind));
    found.map_or(String::new(), |found| {
        format!("{} {}", found.status.as_deref().unwrap(), found.reason.as_deref().unwrap())
    })
}

#[test]
fn progress_is_told() {
    let fresh = deployment(4, value!({}));
    let rolling = [set("a", 3, 3, 1, 4), set("b", 2, 1, 2, 4)];
    let done = [set("b", 4, 4, 2, 4)];
    let created = || Creation::Created("b".into());
    assert_eq!(condition(&fresh, &[], created(), "Progressing"), "True NewReplicaSetCreated");
    let failed = Creation::Failed("quota".into());
    assert_eq!(condition(&fresh, &[], failed, "Progressing"), "False ReplicaSetCreateError");
    assert_eq!(condition(&fresh, &rolling, Creation::None, "Progressing"), "True ReplicaSetUpdated");
    assert_eq!(condition(&fresh, &done, Creation::None, "Progressing"), "True NewReplicaSetAvailable");
    assert_eq!(condition(&fresh, &done, Creation::None, "Available"), "True MinimumReplicasAvailable");
    let few = [set("b", 4, 2, 2, 4)];
    assert_eq!(condition(&fresh, &few, Creation::None, "Available"), "False MinimumReplicasUnavailable");

    let waiting = |since: &str, reason: &str| {
        let mut deployment = deployment(4, value!({}));
        let status = value!({
            "replicas": 5, "updatedReplicas": 2, "readyReplicas": 4, "availableReplicas": 4,
            "conditions": [{
                "type": "Progressing", "status": "True", "reason": reason, "lastUpdateTime": since
            }]
        });
        deployment.status = Some(status.decode().unwrap());
        condition(&deployment, &rolling, Creation::None, "Progressing")
    };
    assert_eq!(waiting("2026-01-01T00:51:00Z", "ReplicaSetUpdated"), "True ReplicaSetUpdated");
    assert_eq!(waiting("2026-01-01T00:49:00Z", "ReplicaSetUpdated"), "False ProgressDeadlineExceeded");
    let mut paused = deployment(4, value!({"paused": true}));
    let told = |deployment: &Deployment| condition(deployment, &rolling, Creation::None, "Progressing");
    assert_eq!(told(&paused), "Unknown DeploymentPaused");
    let exceeded = value!({"conditions": [
        {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    ]});
    paused.status = Some(exceeded.decode().unwrap());
    assert_eq!(told(&paused), "False ProgressDeadlineExceeded");
    let mut endless = deployment(4, value!({"progressDeadlineSeconds": 2147483647}));
    endless.status = paused.status.clone();
    assert_eq!(told(&endless), "");
    // The rollout before was long ago: this one has just begun.
    assert_eq!(waiting("2025-01-01T00:49:00Z", "NewReplicaSetAvailable"), "True NewReplicaSetAvailable");
}
