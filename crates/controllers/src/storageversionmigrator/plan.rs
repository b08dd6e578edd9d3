//! Which migration of a resource comes next, and what it says. Pure.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::storagemigration::v1::StorageVersionMigration;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// A resource, as migrations name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    pub group: String,
    pub plural: String,
}

impl Subject {
    pub fn of(migration: &StorageVersionMigration) -> Self {
        let resource = migration.spec.as_ref().map(|spec| spec.resource.clone()).unwrap_or_default();
        Self { group: resource.group, plural: resource.resource }
    }
}

pub const RUNNING: &str = "Running";
pub const SUCCEEDED: &str = "Succeeded";
pub const FAILED: &str = "Failed";

/// A resource that was made just now may not be known yet.
const PATIENCE: SignedDuration = SignedDuration::from_mins(1);

/// The next step of one migration, by name.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// It has ended: let the resource go.
    Finish(String),
    /// It is the oldest that waits: let it run.
    Start(String),
    /// Note up to which revision objects are to be written.
    Note(String),
    /// Write them.
    Migrate(String),
}

fn is_true(migration: &StorageVersionMigration, kind: &str) -> bool {
    let conditions = migration.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == kind && condition.status == "True")
}

/// Whether it succeeded.
pub fn has_succeeded(migration: &StorageVersionMigration) -> bool {
    is_true(migration, SUCCEEDED)
}

/// `migrations` are those of one resource.
pub fn next(migrations: &[&StorageVersionMigration]) -> Option<Step> {
    let name = |migration: &StorageVersionMigration| migration.metadata.name.clone().unwrap_or_default();
    let has_ended =
        |migration: &StorageVersionMigration| is_true(migration, SUCCEEDED) || is_true(migration, FAILED);
    let running = |migration: &&&StorageVersionMigration| is_true(migration, RUNNING);
    if let Some(ended) = migrations.iter().filter(running).find(|one| has_ended(one)) {
        return Some(Step::Finish(name(ended)));
    }
    if let Some(active) = migrations.iter().find(running) {
        let noted = active.status.as_ref().and_then(|status| status.resource_version.as_deref());
        return Some(match noted {
            None | Some("") => Step::Note(name(active)),
            Some(_) => Step::Migrate(name(active)),
        });
    }
    let waiting = migrations.iter().filter(|migration| !has_ended(migration));
    let age = |migration: &StorageVersionMigration| {
        let created = migration.metadata.creation_timestamp.as_ref().map(|time| time.0);
        (created, migration.metadata.name.clone())
    };
    waiting.min_by_key(|migration| age(migration)).map(|oldest| Step::Start(name(oldest)))
}

/// Whether an unknown resource may still come.
pub fn may_come(migration: &StorageVersionMigration, now: Timestamp) -> bool {
    let created = migration.metadata.creation_timestamp.as_ref().map(|time| time.0);
    created.is_some_and(|created| now < created + PATIENCE)
}

/// What a condition says.
pub struct Word<'a> {
    pub kind: &'a str,
    pub status: bool,
    pub reason: &'a str,
    pub message: &'a str,
}

/// Sets a condition; its time changes with its status alone.
pub fn tell(migration: &mut StorageVersionMigration, word: &Word<'_>, now: Timestamp) {
    let generation = migration.metadata.generation;
    let conditions = migration.status.get_or_insert_default().conditions.get_or_insert_default();
    let status = if word.status { "True" } else { "False" };
    let mut condition = Condition {
        type_: word.kind.to_owned(),
        status: status.to_owned(),
        reason: word.reason.to_owned(),
        message: word.message.to_owned(),
        last_transition_time: Time(now),
        observed_generation: generation.filter(|_| !word.status),
    };
    match conditions.iter_mut().find(|known| known.type_ == word.kind) {
        Some(known) => {
            if known.status == status {
                condition.last_transition_time = known.last_transition_time.clone();
            }
            *known = condition;
        }
        None => conditions.push(condition),
    }
}

/// What a running migration says; `left` of `total` objects are still to be written.
pub fn running_message(progress: Option<(usize, usize)>, trouble: Option<&str>) -> String {
    let mut message = "The migration is running".to_owned();
    match progress {
        Some((left, total)) if total > 0 && left > 0 => {
            message.push_str(&format!(", {left}/{total} objects not yet migrated"));
        }
        Some((_, total)) if total > 0 => message.push_str(&format!(", {total} objects verified migrated")),
        _ => {}
    }
    if let Some(trouble) = trouble {
        message.push_str(&format!("; transient error: {trouble}"));
    }
    message
}

/// What the definition of a migrated custom resource is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub status: bool,
    pub reason: &'static str,
    pub message: String,
    /// The only version in which objects are stored from now on.
    pub stored: Option<String>,
}

/// At the start of a migration.
pub fn told_at_start(migration: &str) -> Told {
    Told {
        status: true,
        reason: "MigrationRunning",
        message: format!("Migration {migration} is running"),
        stored: None,
    }
}

/// At its end. Where the definition changed meanwhile, nobody knows what is stored.
pub fn told_at_end(definition: &CustomResourceDefinition, success: bool, observed: Option<i64>) -> Told {
    if !success {
        let (reason, message) = ("MigrationFailed", "The migration has failed".to_owned());
        // Objects of older versions are still there.
        return Told { status: false, reason, message, stored: None };
    }
    let unchanged = observed.is_some() && observed == definition.metadata.generation;
    let rest = if unchanged {
        "and the stored versions have been updated"
    } else {
        "but the stored versions have not been updated due to a generation mismatch"
    };
    Told {
        status: false,
        reason: "MigrationSucceeded",
        message: format!("The migration has succeeded {rest}"),
        stored: stored_version(definition).filter(|_| unchanged),
    }
}

fn stored_version(definition: &CustomResourceDefinition) -> Option<String> {
    let mut versions = definition.spec.versions.iter();
    versions.find(|version| version.storage).map(|version| version.name.clone())
}
