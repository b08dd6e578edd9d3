//! Table tests of a migration's steps and words.

use std::collections::BTreeMap;

use apimachinery::{Value, value};
use k8s_openapi::api::storagemigration::v1::StorageVersionMigration;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde::Deserialize;

use super::plan::{Step, Word, may_come, next, running_message, tell, told_at_end, told_at_start};
use crate::cases::{Written, check};

const CASES: &str = include_str!("cases.yaml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Migrations {
    all: BTreeMap<String, Told>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Told {
    at: i64,
    rv: Option<String>,
    is: Vec<String>,
}

impl Told {
    fn object(&self, name: &str) -> StorageVersionMigration {
        let condition = |kind: &String| {
            let (kind, status) =
                kind.strip_prefix('-').map_or((kind.as_str(), "True"), |kind| (kind, "False"));
            value!({
                "type": kind, "status": status, "reason": "R", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z"
            })
        };
        let conditions: Vec<Value> = self.is.iter().map(condition).collect();
        let mut tree = value!({
            "metadata": {
                "name": name, "generation": 2,
                "creationTimestamp": (format!("2026-01-01T00:0{}:00Z", self.at))
            },
            "spec": {"resource": {"group": "apps", "resource": "deployments"}},
            "status": {"conditions": conditions}
        });
        if let Some(revision) = &self.rv {
            tree.set_at(&["status", "resourceVersion"], revision.as_str());
        }
        tree.decode().unwrap()
    }
}

#[test]
fn one_migration_of_a_resource_runs_at_a_time() {
    check(CASES, "one migration of a resource runs at a time", |case: Migrations| {
        let all: Vec<_> = case.all.iter().map(|(name, told)| told.object(name)).collect();
        match next(&all.iter().collect::<Vec<_>>()) {
            None => "nothing".to_owned(),
            Some(Step::Finish(name)) => format!("finish {name}"),
            Some(Step::Start(name)) => format!("start {name}"),
            Some(Step::Note(name)) => format!("note {name}"),
            Some(Step::Migrate(name)) => format!("migrate {name}"),
        }
    });
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Progress {
    left: Option<usize>,
    of: Option<usize>,
    trouble: Option<String>,
}

#[test]
fn messages_count_what_is_left() {
    check(CASES, "messages count what is left", |case: Progress| {
        running_message(case.left.zip(case.of), case.trouble.as_deref())
    });
}

#[test]
fn a_condition_keeps_its_time_while_its_status_stays() {
    let mut one = Told { is: vec!["Running".into()], ..Told::default() }.object("a");
    let now = "2026-01-01T01:00:00Z".parse().unwrap();
    tell(&mut one, &Word { kind: "Running", status: true, reason: "X", message: "m" }, now);
    let condition = one.status.as_ref().unwrap().conditions.as_ref().unwrap()[0].clone();
    assert_eq!((condition.reason.as_str(), condition.observed_generation), ("X", None));
    assert_eq!(condition.last_transition_time.0, "2026-01-01T00:00:00Z".parse().unwrap());
    tell(&mut one, &Word { kind: "Running", status: false, reason: "Y", message: "" }, now);
    let condition = one.status.as_ref().unwrap().conditions.as_ref().unwrap()[0].clone();
    assert_eq!((condition.last_transition_time.0, condition.observed_generation), (now, Some(2)));
    assert!(may_come(&one, "2026-01-01T00:00:59Z".parse().unwrap()));
    assert!(!may_come(&one, "2026-01-01T00:01:00Z".parse().unwrap()));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    definition: Written<CustomResourceDefinition>,
    success: bool,
    observed: Option<i64>,
}

#[test]
fn a_definition_forgets_versions_that_nobody_stores() {
    check(CASES, "a definition forgets versions that nobody stores", |case: End| {
        let told = told_at_end(&case.definition, case.success, case.observed);
        let mut shown =
            value!({"reason": (told.reason), "status": (told.status), "message": (told.message.as_str())});
        if let Some(stored) = told.stored {
            shown.set("stored", stored);
        }
        shown
    });
    assert_eq!(told_at_start("a").message, "Migration a is running");
}
