//! Table tests of names, plan, claims and status; tests of the history.

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::{Value, value};
use jiff::SignedDuration;
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde::Deserialize;

use super::claims;
use super::history;
use super::members::{self, REVISION, Revision};
use super::plan::{Observed, Plan, Step, plan};
use crate::cases::{Written, check, now};
use crate::pods::{Phase, PodView};
use crate::revisions::Action;
use crate::volume_claims::ClaimView;

const CASES: &str = include_str!("cases.yaml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    set: Written<StatefulSet>,
    /// By ordinal.
    pods: BTreeMap<String, String>,
    #[serde(default)]
    claims: Vec<Written<PersistentVolumeClaim>>,
    /// What was done before does not show yet.
    #[serde(default)]
    stale: bool,
}

/// The pod of an ordinal, as `new`, `old unready`, `new pending`, `new failed`
/// or `new leaving` tell it.
fn pod(ordinal: &str, told: &str) -> Arc<PodView> {
    let (revision, state) = told.split_once(' ').unwrap_or((told, "ready"));
    assert!(["ready", "unready", "pending", "failed", "leaving"].contains(&state), "{state}");
    let name = format!("db-{ordinal}");
    let labels = [(REVISION, revision), ("statefulset.kubernetes.io/pod-name", name.as_str()), ("app", "db")];
    Arc::new(PodView {
        name: name.clone(),
        uid: name.clone(),
        labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        phase: match state {
            "pending" => Phase::Pending,
            "failed" => Phase::Failed,
            _ => Phase::Running,
        },
        ready: ["ready", "leaving"].contains(&state),
        ready_changed: Some(now() - SignedDuration::from_secs(60)),
        terminating: state == "leaving",
        ..PodView::default()
    })
}

fn revision(name: &str, set: &StatefulSet) -> Revision {
    Revision { name: name.into(), template: set.spec.template.clone() }
}

impl Case {
    fn plan(&self) -> Plan {
        let claims = self.claims.iter().map(|claim| claim.seen::<ClaimView>());
        plan(&Observed {
            set: &self.set,
            pods: self.pods.iter().map(|(ordinal, told)| pod(ordinal, told)).collect(),
            claims: claims.map(|claim| (claim.name.clone(), Arc::new(claim))).collect(),
            current: revision("old", &self.set),
            update: revision("new", &self.set),
            expectations_met: !self.stale,
            now: now(),
        })
    }
}

/// A line for each task.
fn shown(plan: &Plan) -> Vec<String> {
    let step = |step: &Step| match step {
        Step::CreatePod(pod) => {
            let ordinal = pod.metadata.name.as_deref().unwrap().trim_start_matches("db-");
            format!("create {ordinal} {}", pod.metadata.labels.as_ref().unwrap()[REVISION])
        }
        Step::DeletePod(pod) => format!("delete {}", pod.name.trim_start_matches("db-")),
        Step::CreateClaim { claim, .. } => {
            format!("create claim {}", claim.metadata.name.as_deref().unwrap())
        }
        Step::OwnClaim { claim, owners, .. } => {
            let kinds: Vec<_> = owners.iter().map(|owner| owner.kind.as_str()).collect();
            format!("own claim {claim} by {}", kinds.join("+"))
        }
        Step::MendPod { ordinal, .. } => format!("mend {ordinal}"),
        Step::Wait { why, .. } => format!("wait as {why}"),
    };
    let task = |steps: &Vec<Step>| steps.iter().map(step).collect::<Vec<_>>().join(", ");
    plan.tasks.iter().map(task).collect()
}

#[test]
fn pods_come_and_go_in_order() {
    check(CASES, "pods come and go in order", |case: Case| shown(&case.plan()));
}

#[test]
fn updates_go_from_the_last_to_the_first() {
    check(CASES, "updates go from the last to the first", |case: Case| shown(&case.plan()));
}

#[test]
fn pods_have_their_claims() {
    check(CASES, "pods have their claims", |case: Case| shown(&case.plan()));
}

#[test]
fn the_status_counts_and_completes() {
    check(CASES, "the status counts and completes", |case: Case| {
        let plan = case.plan();
        let again = plan.again.map(|again| again.as_secs() as i64);
        value!({"status": (Value::from_serialize(&plan.status).unwrap()), "again": (again.unwrap())})
    });
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Retained {
    set: Written<StatefulSet>,
    ordinal: i32,
    owners: Vec<Written<OwnerReference>>,
}

#[test]
fn retention_decides_who_owns_claims() {
    check(CASES, "retention decides who owns claims", |case: Retained| {
        let owners = case.owners.iter().map(|owner| owner.0.clone()).collect();
        let claim = ClaimView { name: "c".into(), owners, ..ClaimView::default() };
        let wanted = claims::owners(&case.set, &claim, &pod(&case.ordinal.to_string(), "new"));
        wanted.map(|owners| owners.into_iter().map(|owner| owner.kind).collect::<Vec<_>>())
    });
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    set: Written<StatefulSet>,
    pod: String,
}

#[test]
fn ordinals_are_in_names() {
    check(CASES, "ordinals are in names", |case: Named| {
        assert_eq!(members::ordinals(&case.set), 5..8);
        members::ordinal(&case.set, &case.pod)
    });
}

/// Three pods of `app: db`; `spec` says what is other.
fn set(spec: Value) -> StatefulSet {
    let mut set = value!({
        "metadata": {"name": "db", "namespace": "default", "uid": "set", "generation": 2},
        "spec": {
            "replicas": 3, "serviceName": "db",
            "selector": {"matchLabels": {"app": "db"}},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            "template": {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": []}}
        }
    });
    for (key, value) in spec.members() {
        set.get_mut("spec").unwrap().set(key.to_owned(), value.clone());
    }
    set.decode().unwrap()
}

#[test]
fn a_pod_has_its_name_and_its_claims() {
    let set = set(value!({"volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}]}));
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
}

#[test]
fn revisions_are_made_found_again_and_cut() {
    let mut first_set = set(value!({"revisionHistoryLimit": 0}));
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
