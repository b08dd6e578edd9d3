//! Table tests of names, plan, claims, history and status.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use apimachinery::{Value, value};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::claims;
use super::history;
use super::members::{self, REVISION, Revision};
use super::plan::{Observed, Plan, Step, plan};
use crate::pods::{Phase, PodView};
use crate::revisions::Action;
use crate::volume_claims::ClaimView;

fn now() -> Timestamp {
    "2026-01-01T01:00:00Z".parse().unwrap()
}

/// Three pods of `app: db`; `spec` says what is other.
fn set(spec: Value, status: Value) -> StatefulSet {
    let mut set = value!({
        "metadata": {"name": "db", "namespace": "default", "uid": "set", "generation": 2},
        "spec": {
            "replicas": 3, "serviceName": "db",
            "selector": {"matchLabels": {"app": "db"}},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            "template": {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": []}}
        },
        "status": status
    });
    for (key, value) in spec.members() {
        set.get_mut("spec").unwrap().set(key.to_owned(), value.clone());
    }
    set.decode().unwrap()
}

/// `0:new 1:old! 2:new-`: ordinal and revision; `!` is not ready, `-`
/// terminating, `?` pending, `x` failed.
fn pods(text: &str) -> Vec<Arc<PodView>> {
    let pod = |word: &str| {
        let (ordinal, rest) = word.split_once(':').unwrap();
        let revision = rest.trim_end_matches(['!', '-', '?', 'x']);
        let mark = &rest[revision.len()..];
        let name = format!("db-{ordinal}");
        let labels =
            [(REVISION, revision), ("statefulset.kubernetes.io/pod-name", name.as_str()), ("app", "db")];
        Arc::new(PodView {
            name: name.clone(),
            uid: name.clone(),
            labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            phase: match mark {
                "?" => Phase::Pending,
                "x" => Phase::Failed,
                _ => Phase::Running,
            },
            ready: !["!", "?", "x"].contains(&mark),
            ready_changed: Some(now() - SignedDuration::from_secs(60)),
            terminating: mark == "-",
            ..PodView::default()
        })
    };
    text.split_whitespace().map(pod).collect()
}

fn revision(name: &str, set: &StatefulSet) -> Revision {
    Revision { name: name.into(), template: set.spec.template.clone() }
}

fn observe<'a>(set: &'a StatefulSet, text: &str) -> Observed<'a> {
    Observed {
        set,
        pods: pods(text),
        claims: BTreeMap::new(),
        current: revision("old", set),
        update: revision("new", set),
        expectations_met: true,
        now: now(),
    }
}

/// `+0:new` creates, `-2` deletes, `c` and `o` are claims made and owned, `~`
/// mends; tasks are parted by blanks.
fn shown(plan: &Plan) -> String {
    let step = |step: &Step| match step {
        Step::CreatePod(pod) => {
            let name = pod.metadata.name.as_deref().unwrap().trim_start_matches("db-").to_owned();
            format!("+{name}:{}", pod.metadata.labels.as_ref().unwrap()[REVISION])
        }
        Step::DeletePod(pod) => format!("-{}", pod.name.trim_start_matches("db-")),
        Step::CreateClaim { claim, .. } => format!("c{}", claim.metadata.name.as_deref().unwrap()),
        Step::OwnClaim { claim, owners, .. } => {
            let kinds: Vec<_> = owners.iter().map(|owner| owner.kind.as_str()).collect();
            format!("o{claim}={}", kinds.join("+"))
        }
        Step::MendPod { ordinal, .. } => format!("~{ordinal}"),
        Step::Wait { why, .. } => format!("({why})"),
    };
    let task = |steps: &Vec<Step>| steps.iter().map(step).collect::<Vec<_>>().join(",");
    plan.tasks.iter().map(task).collect::<Vec<_>>().join(" ")
}

#[test]
fn ordinals_are_in_names() {
    let set = set(value!({"ordinals": {"start": 5}}), value!(null));
    for (name, expected) in [
        ("db-0", Some(0)),
        ("db-12", Some(12)),
        ("db-x", None),
        ("db", None),
        ("db-", None),
        ("other-1", None),
    ] {
        assert_eq!(members::ordinal(&set, name), expected, "{name}");
    }
    assert_eq!(members::ordinals(&set), 5..8);
}

#[test]
fn pods_come_and_go_in_order() {
    let parallel = value!({"podManagementPolicy": "Parallel"});
    let start = value!({"ordinals": {"start": 2}});
    for (what, spec, seen, expected) in [
        ("the first", value!({}), "", "+0:new"),
        ("the next once the one before is ready", value!({}), "0:new", "+1:new"),
        ("not before", value!({}), "0:new!", ""),
        ("not while it is pending", value!({}), "0:new?", ""),
        ("not while it goes", value!({}), "0:new-", ""),
        ("a gap before anything else", value!({}), "0:new 2:new", "+1:new"),
        ("all at once", parallel.clone(), "", "+0:new +1:new +2:new"),
        ("all at once, whatever they are", parallel.clone(), "0:new! 1:new-", "+2:new"),
        ("a failed one is replaced", value!({}), "0:new 1:newx 2:new", "-1"),
        ("nothing", value!({}), "0:new 1:new 2:new", ""),
        ("the last of too many", value!({"replicas": 1}), "0:new 1:new 2:new", "-2"),
        ("one after the other", value!({"replicas": 1}), "0:new 1:new 2:new-", ""),
        ("none while a wanted one is missing", value!({"replicas": 1}), "0:new! 1:new 2:new", ""),
        ("an unready one goes", value!({"replicas": 1}), "0:new 1:new 2:new!", "-2"),
        ("but not before a lower unready one", value!({"replicas": 1}), "0:new 1:new! 2:new!", ""),
        (
            "all that are too many",
            value!({"replicas": 1, "podManagementPolicy": "Parallel"}),
            "0:new 1:new! 2:new",
            "-2 -1",
        ),
        ("from the start on", start.clone(), "", "+2:new"),
        ("below the start they go, once the others are there", start, "0:new 1:new 2:new 3:new 4:new", "-1"),
    ] {
        let set = set(spec, value!(null));
        assert_eq!(shown(&plan(&observe(&set, seen))), expected, "{what}");
    }
}

#[test]
fn updates_go_from_the_last_to_the_first() {
    let rolling =
        |value: Value| value!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": value}});
    let parallel = |value: Value| {
        let mut spec = rolling(value);
        spec.set("podManagementPolicy", "Parallel");
        spec
    };
    for (what, spec, seen, expected) in [
        ("the last first", value!({}), "0:old 1:old 2:old", "-2"),
        ("then the one before", value!({}), "0:old 1:old 2:new", "-1"),
        ("not while one is unready", value!({}), "0:old 1:old 2:new!", ""),
        ("none by themselves", value!({"updateStrategy": {"type": "OnDelete"}}), "0:old 1:old 2:old", ""),
        ("down to the partition", rolling(value!({"partition": 2})), "0:old 1:old 2:old", "-2"),
        ("no further", rolling(value!({"partition": 2})), "0:old 1:old 2:new", ""),
        ("below it the old is made again", rolling(value!({"partition": 2})), "0:old 2:new", "+1:old"),
        ("above it the new", rolling(value!({"partition": 2})), "0:old 1:old", "+2:new"),
        (
            "several at a time",
            rolling(value!({"partition": 0, "maxUnavailable": 2})),
            "0:old 1:old 2:old",
            "-2 -1",
        ),
        (
            "so many as may be missing",
            parallel(value!({"partition": 0, "maxUnavailable": 2})),
            "0:old 1:old 2:new!",
            "-1",
        ),
        (
            "those that serve nobody first",
            parallel(value!({"partition": 0, "maxUnavailable": 1})),
            "0:old! 1:old 2:old",
            "-0",
        ),
        ("half of three is one", rolling(value!({"maxUnavailable": "50%"})), "0:old 1:old 2:old", "-2"),
        ("too many go before an update", value!({}), "0:old 1:old 2:old 3:old", "-3"),
    ] {
        let set = set(spec, value!({"replicas": 3, "currentReplicas": 3, "currentRevision": "old"}));
        assert_eq!(shown(&plan(&observe(&set, seen))), expected, "{what}");
    }
}

#[test]
fn nothing_is_done_on_a_stale_view_or_for_a_dying_set() {
    let mut set = set(value!({}), value!(null));
    let stale = Observed { expectations_met: false, ..observe(&set, "") };
    assert!(plan(&stale).tasks.is_empty());
    set.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now()));
    assert!(plan(&observe(&set, "")).tasks.is_empty());
}

#[test]
fn the_status_counts_and_completes() {
    let set = set(value!({"minReadySeconds": 90}), value!({"replicas": 3, "currentRevision": "old"}));
    let first = plan(&observe(&set, "0:old 1:old! 2:new"));
    let status = &first.status;
    assert_eq!((status.replicas, status.ready_replicas, status.available_replicas), (3, Some(2), Some(0)));
    assert_eq!((status.current_replicas, status.updated_replicas), (Some(2), Some(1)));
    assert_eq!(status.current_revision.as_deref(), Some("old"));
    assert_eq!(status.update_revision.as_deref(), Some("new"));
    assert_eq!(status.observed_generation, Some(2));
    assert_eq!(first.again, Some(Duration::from_secs(30)));

    let done = plan(&observe(&set, "0:new 1:new 2:new")).status;
    assert_eq!(done.current_revision.as_deref(), Some("new"));
    assert_eq!(done.current_replicas, Some(3));
}

#[test]
fn a_pod_has_its_name_and_its_claims() {
    let set =
        set(value!({"volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}]}), value!(null));
    let pod = members::pod(&set, &revision("new", &set), 1);
    let labels = pod.metadata.labels.unwrap();
    assert_eq!(labels["statefulset.kubernetes.io/pod-name"], "db-1");
    assert_eq!(labels["apps.kubernetes.io/pod-index"], "1");
    let spec = pod.spec.unwrap();
    assert_eq!((spec.hostname.as_deref(), spec.subdomain.as_deref()), (Some("db-1"), Some("db")));
    let volume = &spec.volumes.unwrap()[0];
    assert_eq!(volume.persistent_volume_claim.as_ref().unwrap().claim_name, "data-db-1");
    let claim = &members::claims(&set, 1)[0];
    assert_eq!(claim.metadata.labels.as_ref().unwrap()["app"], "db");

    assert_eq!(shown(&plan(&observe(&set, ""))), "cdata-db-0,+0:new");
    let mut observed = observe(&set, "");
    let going = ClaimView { name: "data-db-0".into(), terminating: true, ..ClaimView::default() };
    observed.claims.insert("data-db-0".into(), Arc::new(going));
    assert_eq!(shown(&plan(&observed)), "(pvc data-db-0 is being deleted)");
    // What an adopted pod lacks is made good.
    assert_eq!(shown(&plan(&observe(&set, "0:new"))), "cdata-db-0,~0 cdata-db-1,+1:new");
}

fn owner(kind: &str, name: &str, uid: &str) -> OwnerReference {
    OwnerReference {
        api_version: if kind == "Pod" { "v1" } else { "apps/v1" }.into(),
        kind: kind.into(),
        name: name.into(),
        uid: uid.into(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

#[test]
fn retention_decides_who_owns_claims() {
    let ours = owner("StatefulSet", "db", "set");
    let pod = |at: i32| owner("Pod", &format!("db-{at}"), &format!("db-{at}"));
    for (what, deleted, scaled, ordinal, owners, expected) in [
        ("kept", "Retain", "Retain", 0, vec![], None),
        ("kept from now on", "Retain", "Retain", 0, vec![ours.clone()], Some("")),
        ("with the set", "Delete", "Retain", 0, vec![], Some("StatefulSet")),
        ("with the set already", "Delete", "Retain", 0, vec![ours.clone()], None),
        ("kept until scaled down", "Retain", "Delete", 0, vec![], None),
        ("with the pod", "Retain", "Delete", 7, vec![], Some("Pod")),
        ("with either, while wanted", "Delete", "Delete", 0, vec![], Some("StatefulSet")),
        ("with either, when scaled down", "Delete", "Delete", 7, vec![ours.clone()], Some("Pod")),
        ("wanted again", "Delete", "Delete", 1, vec![pod(1)], Some("StatefulSet")),
        ("a former set's", "Delete", "Delete", 0, vec![owner("StatefulSet", "db", "former")], None),
        ("another's", "Delete", "Delete", 0, vec![owner("Other", "x", "x")], None),
        ("another's too", "Delete", "Delete", 0, vec![owner("Other", "x", "x"), ours.clone()], Some("Other")),
    ] {
        let policy = value!({"persistentVolumeClaimRetentionPolicy": {
            "whenDeleted": deleted, "whenScaled": scaled
        }});
        let set = set(policy, value!(null));
        let claim = ClaimView { name: "c".into(), owners, ..ClaimView::default() };
        let pod = &pods(&format!("{ordinal}:new"))[0];
        let wanted = claims::owners(&set, &claim, pod);
        let kinds =
            wanted.map(|owners| owners.into_iter().map(|owner| owner.kind).collect::<Vec<_>>().join("+"));
        assert_eq!(kinds.as_deref(), expected, "{what}");
    }
}

#[test]
fn a_scaled_down_pod_takes_its_claim_along() {
    let spec = value!({
        "replicas": 0,
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Delete"},
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}]
    });
    let mut set = set(spec, value!(null));
    let mut observed = observe(&set, "0:new");
    let claim = ClaimView { name: "data-db-0".into(), ..ClaimView::default() };
    observed.claims.insert("data-db-0".into(), Arc::new(claim));
    assert_eq!(shown(&plan(&observed)), "odata-db-0=Pod,-0");
    // Scaled up at once, the next of its name waits for the claim to go.
    set.spec.replicas = Some(1);
    let mut observed = observe(&set, "");
    let claim = ClaimView {
        name: "data-db-0".into(),
        owners: vec![owner("Pod", "db-0", "u")],
        ..ClaimView::default()
    };
    observed.claims.insert("data-db-0".into(), Arc::new(claim));
    assert_eq!(shown(&plan(&observed)), "");
}

#[test]
fn revisions_are_made_found_again_and_cut() {
    let mut first_set = set(value!({"revisionHistoryLimit": 0}), value!(null));
    let first = history::plan(&first_set, &[], |_| false);
    let [Action::Create(created)] = first.actions.as_slice() else { panic!("{:?}", first.actions) };
    assert_eq!((&first.current, first.update.name.starts_with("db-")), (&first.update, true));
    assert_eq!(created.metadata.labels.as_ref().unwrap()["app"], "db");

    first_set.status = Some(k8s_openapi::api::apps::v1::StatefulSetStatus {
        current_revision: Some(first.update.name.clone()),
        ..Default::default()
    });
    first_set.spec.template.metadata.as_mut().unwrap().annotations = Some([("a".into(), "b".into())].into());
    let second = history::plan(&first_set, &[created], |_| false);
    assert_eq!(second.current, Revision { name: first.update.name.clone(), ..first.update.clone() });
    assert_ne!(second.update.name, second.current.name);
    let other = ControllerRevision {
        metadata: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
            name: Some("db-other".into()),
            ..Default::default()
        },
        revision: Some(5),
        ..ControllerRevision::default()
    };
    let third = history::plan(&first_set, &[created, &other], |name| name == "db-other");
    assert!(matches!(third.actions.as_slice(), [Action::Create(new)] if new.revision == Some(6)));
    let fourth = history::plan(&first_set, &[created, &other], |_| false);
    assert!(matches!(fourth.actions.as_slice(), [_, Action::Delete { name, .. }] if name == "db-other"));
}
