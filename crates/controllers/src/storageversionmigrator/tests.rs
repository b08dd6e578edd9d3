//! Table tests of a migration's steps and words.

use apimachinery::{Value, value, yaml};
use k8s_openapi::api::storagemigration::v1::StorageVersionMigration;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use super::plan::{Step, Word, may_come, next, running_message, tell, told_at_end, told_at_start};

fn read(text: &str) -> Value {
    serde_json::from_slice(&yaml::to_json(text.as_bytes()).unwrap().json).unwrap()
}

/// `name: {at: MINUTE, rv: REVISION, is: [CONDITION…]}`, where `-X` is a condition that is False.
fn migration(name: &str, told: &Value) -> StorageVersionMigration {
    let conditions: Vec<Value> = told["is"]
        .items()
        .iter()
        .map(|kind| {
            let (kind, status) =
                kind.text().strip_prefix('-').map_or((kind.text(), "True"), |kind| (kind, "False"));
            value!({
                "type": kind, "status": status, "reason": "R", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z"
            })
        })
        .collect();
    let mut tree = value!({
        "metadata": {
            "name": name, "generation": 2,
            "creationTimestamp": (format!("2026-01-01T00:0{}:00Z", told["at"].as_i64().unwrap_or(0)))
        },
        "spec": {"resource": {"group": "apps", "resource": "deployments"}},
        "status": {"conditions": conditions}
    });
    if let Some(revision) = told["rv"].as_str() {
        tree.set_at(&["status", "resourceVersion"], revision);
    }
    tree.decode().unwrap()
}

const STEPS: &str = r#"
- {what: nothing to do, all: {}, next: nothing}
- {what: the only one starts, all: {a: {}}, next: start a}
- {what: the oldest starts, all: {a: {at: 2}, b: {at: 1}}, next: start b}
- {what: of two of one age the first by name, all: {b: {}, a: {}}, next: start a}
- {what: one that runs holds the others up, all: {a: {at: 2, is: [Running]}, b: {at: 1}}, next: note a}
- {what: then objects are written, all: {a: {is: [Running], rv: "7"}}, next: migrate a}
- {what: one that has succeeded lets go, all: {a: {is: [Running, Succeeded], rv: "7"}, b: {}}, next: finish a}
- {what: one that has failed lets go, all: {a: {is: [Running, Failed]}, b: {}}, next: finish a}
- {what: then the next starts, all: {a: {is: [-Running, Succeeded]}, b: {at: 1}}, next: start b}
- {what: what has ended does not start again, all: {a: {is: [-Running, Failed]}, b: {is: [Succeeded]}}, next: nothing}
"#;

#[test]
fn one_migration_of_a_resource_runs_at_a_time() {
    for case in read(STEPS).items() {
        let all: Vec<_> = case["all"].members().map(|(name, told)| migration(name, told)).collect();
        let next = match next(&all.iter().collect::<Vec<_>>()) {
            None => "nothing".to_owned(),
            Some(Step::Finish(name)) => format!("finish {name}"),
            Some(Step::Start(name)) => format!("start {name}"),
            Some(Step::Note(name)) => format!("note {name}"),
            Some(Step::Migrate(name)) => format!("migrate {name}"),
        };
        assert_eq!(next, case["next"].text(), "{}", case["what"].text());
    }
}

#[test]
fn messages_count_what_is_left() {
    for (progress, trouble, expected) in [
        (None, None, "The migration is running"),
        (Some((0, 0)), None, "The migration is running"),
        (Some((3, 5)), None, "The migration is running, 3/5 objects not yet migrated"),
        (Some((0, 5)), None, "The migration is running, 5 objects verified migrated"),
        (
            Some((3, 5)),
            Some("too many"),
            "The migration is running, 3/5 objects not yet migrated; transient error: too many",
        ),
    ] {
        assert_eq!(running_message(progress, trouble), expected);
    }
}

#[test]
fn a_condition_keeps_its_time_while_its_status_stays() {
    let mut one = migration("a", &value!({"is": ["Running"]}));
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

/// What a definition of generation 3, which is stored as v2, is told at the end.
const ENDS: &str = r#"
- {success: true, observed: 3, reason: MigrationSucceeded, stored: v2, says: and the stored versions have been updated}
- {success: true, observed: 2, reason: MigrationSucceeded, says: but the stored versions have not been updated due to a generation mismatch}
- {success: true, reason: MigrationSucceeded, says: but the stored versions have not been updated due to a generation mismatch}
- {success: false, observed: 3, reason: MigrationFailed, says: The migration has failed}
"#;

#[test]
fn a_definition_forgets_versions_that_nobody_stores() {
    let definition: CustomResourceDefinition = read(
        "
metadata: {name: widgets.example.com, generation: 3}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, kind: Widget}
  versions: [{name: v1, served: true, storage: false}, {name: v2, served: true, storage: true}]
",
    )
    .decode()
    .unwrap();
    for case in read(ENDS).items() {
        let told = told_at_end(&definition, case["success"].is_true(), case["observed"].as_i64());
        assert_eq!((told.reason, told.status), (case["reason"].text(), false), "{case:?}");
        assert_eq!(told.stored.as_deref(), case["stored"].as_str(), "{case:?}");
        assert!(told.message.ends_with(case["says"].text()), "{}", told.message);
    }
    assert_eq!(told_at_start("a").message, "Migration a is running");
}
