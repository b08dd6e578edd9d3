//! Table tests of the plan and the status.

use apimachinery::{Value, value};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet};
use serde::Deserialize;

use super::plan::{Action, Observed, plan};
use super::status::{Creation, status};
use crate::cases::{Written, check};

const CASES: &str = include_str!("cases.yaml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Case {
    deployment: Written<Deployment>,
    sets: Vec<Set>,
    #[serde(default)]
    sets_with_pods: Vec<String>,
    /// The name of the set that was just created.
    created: Option<String>,
    /// Why it was not.
    refused: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Set {
    image: String,
    revision: i64,
    /// Its revisions before.
    history: Option<String>,
    replicas: i64,
    available: i64,
    desired: i64,
    /// `max-replicas`: a quarter more, where nothing is told.
    max: Option<i64>,
}

impl Set {
    fn object(&self) -> ReplicaSet {
        let most = self.max.unwrap_or(self.desired + (self.desired + 3) / 4);
        let mut set = value!({
            "metadata": {
                "name": (self.image.as_str()), "namespace": "default", "uid": (self.image.as_str()),
                "creationTimestamp": (format!("2026-01-01T00:00:{:02}Z", self.revision)),
                "annotations": {
                    "deployment.kubernetes.io/revision": (self.revision.to_string()),
                    "deployment.kubernetes.io/desired-replicas": (self.desired.to_string()),
                    "deployment.kubernetes.io/max-replicas": (most.to_string())
                }
            },
            "spec": {
                "replicas": (self.replicas),
                "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {"containers": [{"name": "main", "image": (self.image.as_str())}]}
                }
            },
            "status": {
                "replicas": (self.replicas), "readyReplicas": (self.available),
                "availableReplicas": (self.available)
            }
        });
        if let Some(history) = &self.history {
            let key = "deployment.kubernetes.io/revision-history";
            set.set_at(&["metadata", "annotations", key], history.as_str());
        }
        set.decode().unwrap()
    }
}

impl Case {
    fn look<T>(&self, decide: impl FnOnce(&Observed<'_>) -> T) -> T {
        let now: Timestamp = "2026-01-01T01:00:00Z".parse().unwrap();
        let sets: Vec<ReplicaSet> = self.sets.iter().map(Set::object).collect();
        decide(&Observed {
            deployment: &self.deployment,
            sets: sets.iter().collect(),
            sets_with_pods: self.sets_with_pods.iter().map(String::as_str).collect(),
            now,
        })
    }

    fn status(&self) -> DeploymentStatus {
        let creation = match (&self.created, &self.refused) {
            (Some(name), _) => Creation::Created(name.clone()),
            (_, Some(why)) => Creation::Failed(why.clone()),
            _ => Creation::None,
        };
        self.look(|observed| status(observed, &creation)).0
    }
}

fn shown(action: &Action) -> String {
    match action {
        Action::CreateSet(set) => {
            let revision = &set.metadata.annotations.as_ref().unwrap()["deployment.kubernetes.io/revision"];
            format!("create a set of {} with revision {revision}", set.spec.replicas.unwrap())
        }
        Action::Scale { set, from, to, .. } => format!("scale {set} from {from} to {to}"),
        Action::Refresh { set, annotations, min_ready_seconds } => {
            let mut text = format!("refresh {set}");
            let of_ours = |key: &str| annotations.get(&format!("deployment.kubernetes.io/{key}"));
            text.extend(of_ours("revision").map(|revision| format!(", revision {revision}")));
            text.extend(of_ours("revision-history").map(|history| format!(", before {history}")));
            if *min_ready_seconds > 0 {
                text += &format!(", ready for {min_ready_seconds}s");
            }
            let others = annotations.iter().filter(|(key, _)| !key.starts_with("deployment.kubernetes.io/"));
            text.extend(others.map(|(key, value)| format!(", with {key}={value}")));
            text
        }
        Action::Revision(revision) => format!("revision {revision}"),
        Action::DeleteSet { set, .. } => format!("delete {set}"),
    }
}

fn check_plan(table: &str) {
    check(CASES, table, |case: Case| {
        case.look(|observed| plan(observed).iter().map(shown).collect::<Vec<_>>())
    });
}

#[test]
fn steps_of_a_rolling_update() {
    check_plan("steps of a rolling update");
}

#[test]
fn recreating_waits_for_the_last_old_pod() {
    check_plan("recreating waits for the last old pod");
}

#[test]
fn pausing_stops_the_roll_and_not_the_scaling() {
    check_plan("pausing stops the roll and not the scaling");
}

#[test]
fn a_rollback_gets_a_new_revision_and_the_history_is_cut() {
    check_plan("a rollback gets a new revision and the history is cut");
}

#[test]
fn a_long_history_loses_its_oldest_revisions() {
    let deployment = value!({
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 1,
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "main", "image": "b"}]}
            }
        }
    });
    let history = "1000,".repeat(400).trim_end_matches(',').to_owned();
    let set = |image: &str, revision, replicas, history| Set {
        image: image.to_owned(),
        revision,
        history,
        replicas,
        available: replicas,
        desired: 1,
        max: None,
    };
    let case = Case {
        deployment: Written(deployment.decode().unwrap()),
        sets: vec![set("b", 1, 0, Some(history)), set("a", 4, 1, None)],
        sets_with_pods: Vec::new(),
        created: None,
        refused: None,
    };
    let actions = case.look(plan);
    let Action::Refresh { annotations, .. } = &actions[0] else { panic!("{actions:?}") };
    let history = &annotations["deployment.kubernetes.io/revision-history"];
    assert!(history.len() <= 2000 && history.ends_with(",1000,1"), "{}", history.len());
}

#[test]
fn progress_is_told() {
    check(CASES, "progress is told", |case: Case| {
        let conditions = case.status().conditions.unwrap_or_default();
        let shown = conditions
            .into_iter()
            .map(|one| format!("{} {} {}", one.type_.unwrap(), one.status.unwrap(), one.reason.unwrap()));
        shown.collect::<Vec<_>>()
    });
}

#[test]
fn the_status_counts() {
    check(CASES, "the status counts", |case: Case| {
        let status = DeploymentStatus { conditions: None, ..case.status() };
        Value::from_serialize(&status).unwrap()
    });
}
