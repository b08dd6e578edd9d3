//! Takes a migration's next step.

use std::sync::Arc;

use apimachinery::{Value, time, value};
use async_trait::async_trait;
use client::{
    Api, Document, Error, ListOptions, PatchKind, Request, Resource, Transport, Verb, WriteOptions,
};
use edge::Edge;
use informer::{Informer, ObjectKey, Outcome, Reconciler, Whole};
use jiff::Timestamp;
use k8s_openapi::api::storagemigration::v1::StorageVersionMigration;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use super::plan::{
    FAILED, RUNNING, SUCCEEDED, Step, Subject, Told, Word, has_succeeded, may_come, next, running_message,
    tell, told_at_end, told_at_start,
};
use crate::everything::{Everything, Kind};

/// Who writes objects and definitions, by upstream's names.
const MANAGER: &str = "storage-version-migrator-controller";
const RUNNER: &str = "migration-runner-controller";
/// The condition of definitions.
const MIGRATING: &str = "StorageMigrating";
/// Objects of one page.
const PAGE: u64 = 500;

pub(super) struct Migrator {
    pub edge: Edge,
    pub transport: Arc<dyn Transport>,
    pub migrations: Informer<Whole<StorageVersionMigration>>,
    pub everything: Arc<Everything>,
}

#[async_trait]
impl Reconciler<Subject> for Migrator {
    fn name(&self) -> &'static str {
        "storageversionmigrator"
    }

    async fn reconcile(&self, subject: &Subject) -> Result<Outcome, Error> {
        let all = self.migrations.list();
        let own: Vec<&StorageVersionMigration> =
            all.iter().map(|migration| &migration.0).filter(|one| Subject::of(one) == *subject).collect();
        let now = self.edge.clock.now();
        let find = |name: &str| self.migrations.get(&ObjectKey::cluster(name)).map(|seen| seen.0.clone());
        match next(&own) {
            None => Ok(()),
            Some(Step::Finish(name)) => match find(&name) {
                Some(migration) => self.finish(subject, migration, now).await,
                None => Ok(()),
            },
            Some(Step::Start(name)) => match find(&name) {
                Some(mut migration) => {
                    self.start(subject, &name, now).await?;
                    self.say(&mut migration, &[running(&running_message(None, None))], now).await
                }
                None => Ok(()),
            },
            Some(Step::Note(name)) => match find(&name) {
                Some(migration) => self.note(subject, migration, now).await,
                None => Ok(()),
            },
            Some(Step::Migrate(name)) => match find(&name) {
                Some(migration) => self.migrate(subject, migration, now).await,
                None => Ok(()),
            },
        }
        .map(|()| Outcome::Done)
    }
}

fn running(message: &str) -> Word<'_> {
    Word { kind: RUNNING, status: true, reason: "MigrationRunning", message }
}

fn failed(message: &str) -> Word<'_> {
    Word { kind: FAILED, status: true, reason: "StorageVersionMigrationFailed", message }
}

impl Migrator {
    /// Writes conditions; the view brings the key back.
    async fn say(
        &self,
        migration: &mut StorageVersionMigration,
        words: &[Word<'_>],
        now: Timestamp,
    ) -> Result<(), Error> {
        words.iter().for_each(|word| tell(migration, word, now));
        self.write(migration).await
    }

    async fn write(&self, migration: &StorageVersionMigration) -> Result<(), Error> {
        let api = Api::<StorageVersionMigration>::all(self.transport.clone());
        match api.update_status(migration).await {
            Err(error) if error.is_not_found() => Ok(()),
            other => other.map(drop),
        }
    }

    async fn definition(&self, subject: &Subject) -> Result<Option<CustomResourceDefinition>, Error> {
        let api = Api::<CustomResourceDefinition>::all(self.transport.clone());
        api.find(&format!("{}.{}", subject.plural, subject.group)).await
    }

    /// Tells the definition, unless it changed since.
    async fn tell_definition(
        &self,
        definition: &CustomResourceDefinition,
        told: &Told,
        now: Timestamp,
    ) -> Result<(), Error> {
        let metadata = &definition.metadata;
        let name = metadata.name.as_deref().unwrap_or_default();
        let mut body = value!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": name, "resourceVersion": (metadata.resource_version.clone().unwrap_or_default())},
            "status": {"conditions": [{
                "type": MIGRATING, "status": (if told.status { "True" } else { "False" }),
                "lastTransitionTime": (time::format(now)), "reason": (told.reason),
                "message": (told.message.as_str()), "observedGeneration": (metadata.generation.unwrap_or(0))
            }]}
        });
        if let Some(version) = &told.stored {
            body.set_at(&["status", "storedVersions"], value!([(version.as_str())]));
        }
        let api = Api::<CustomResourceDefinition>::all(self.transport.clone());
        api.apply_status(name, body, RUNNER).await.map(drop)
    }

    async fn start(&self, subject: &Subject, migration: &str, now: Timestamp) -> Result<(), Error> {
        let Some(definition) = self.definition(subject).await? else { return Ok(()) };
        self.tell_definition(&definition, &told_at_start(migration), now).await
    }

    async fn finish(
        &self,
        subject: &Subject,
        mut migration: StorageVersionMigration,
        now: Timestamp,
    ) -> Result<(), Error> {
        if let Some(definition) = self.definition(subject).await? {
            let conditions = definition.status.iter().flat_map(|status| status.conditions.iter().flatten());
            let known = conditions.into_iter().find(|condition| condition.type_ == MIGRATING);
            let observed = known.and_then(|condition| condition.observed_generation);
            let told = told_at_end(&definition, has_succeeded(&migration), observed);
            self.tell_definition(&definition, &told, now).await?;
        }
        let reason = "MigrationCompleted";
        let word = Word { kind: RUNNING, status: false, reason, message: "Migration completed" };
        self.say(&mut migration, &[word], now).await
    }

    fn kind(&self, subject: &Subject) -> Option<Arc<Kind>> {
        let kinds = self.everything.kinds();
        let is_meant = |kind: &Resource| *kind.group == *subject.group && *kind.plural == *subject.plural;
        kinds.into_iter().find(|kind| is_meant(&kind.resource))
    }

    /// Notes the revision up to which objects are to be written.
    async fn note(
        &self,
        subject: &Subject,
        mut migration: StorageVersionMigration,
        now: Timestamp,
    ) -> Result<(), Error> {
        let Some(kind) = self.kind(subject) else {
            if may_come(&migration, now) {
                return Err(unknown(subject));
            }
            return self.say(&mut migration, &[failed("resource does not exist in discovery")], now).await;
        };
        if !can_be_written(&kind.resource) {
            let Resource { group, version, plural } = &kind.resource;
            let message = format!(
                "resource \"{group}/{version}, Resource={plural}\" does not support discovery operations: [update patch list]"
            );
            return self.say(&mut migration, &[failed(&message)], now).await;
        }
        let options = ListOptions { limit: 1, ..ListOptions::default() };
        let list = self.transport.list(&kind.resource, None, &options).await?;
        migration.status.get_or_insert_default().resource_version = Some(list.revision.to_string());
        self.write(&migration).await
    }

    /// Writes every object that is not newer than the noted revision.
    async fn migrate(
        &self,
        subject: &Subject,
        mut migration: StorageVersionMigration,
        now: Timestamp,
    ) -> Result<(), Error> {
        let Some(kind) = self.kind(subject) else {
            let message = "migration encountered unhandled error: unable to obtain GVR from discovery";
            return self.say(&mut migration, &[failed(message)], now).await;
        };
        let noted = migration.status.as_ref().and_then(|status| status.resource_version.as_deref());
        let Some(noted) = noted.and_then(|text| text.parse::<u64>().ok()) else {
            let message = "migration encountered unhandled error: the resource version is not well formed";
            return self.say(&mut migration, &[failed(message)], now).await;
        };
        let (objects, total) = self.objects(&kind.resource, noted).await?;
        for (at, object) in objects.iter().enumerate() {
            let left = objects.len() - at;
            match self.rewrite(&kind, object).await {
                Ok(()) => {}
                // Whoever wrote or deleted it meanwhile did the work.
                Err(error) if error.is_conflict() || error.is_not_found() => {}
                Err(error) if is_transient(&error) => {
                    let message = running_message(Some((left, total)), Some(&error.to_string()));
                    self.say(&mut migration, &[running(&message)], now).await?;
                    return Err(error);
                }
                Err(error) => {
                    let why = format!(
                        "{left}/{total} not yet migrated. migration encountered unhandled error: {error}"
                    );
                    let message = running_message(Some((left, total)), None);
                    return self.say(&mut migration, &[running(&message), failed(&why)], now).await;
                }
            }
        }
        let message = running_message(Some((0, total)), None);
        let reason = "StorageVersionMigrationSucceeded";
        let done = Word { kind: SUCCEEDED, status: true, reason, message: "Migration completed" };
        self.say(&mut migration, &[running(&message), done], now).await
    }

    /// The objects to be written, and how many there are in all.
    async fn objects(&self, resource: &Resource, noted: u64) -> Result<(Vec<Document>, usize), Error> {
        let mut options = ListOptions { limit: PAGE, ..ListOptions::default() };
        let (mut objects, mut total) = (Vec::new(), 0);
        loop {
            let list = self.transport.list(resource, None, &options).await?;
            total += list.items.len();
            objects.extend(list.items.into_iter().filter(|object| object.revision() <= noted));
            match list.continue_token {
                Some(token) => options.continue_token = Some(token),
                None => return Ok((objects, total)),
            }
        }
    }

    /// A patch of nothing, which holds for this revision alone.
    async fn rewrite(&self, kind: &Kind, object: &Document) -> Result<(), Error> {
        let tree = object.tree()?;
        let metadata = &tree["metadata"];
        let body = value!({
            "apiVersion": (kind.resource.api_version()), "kind": (kind.kind.as_str()),
            "metadata": {"resourceVersion": (object.revision().to_string())}
        });
        let options = WriteOptions { field_manager: Some(MANAGER.into()), ..WriteOptions::default() };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let request = Request {
            resource: kind.resource.clone(),
            namespace: text(&metadata["namespace"]),
            name: text(&metadata["name"]),
            subresource: None,
            verb: Verb::Patch { kind: PatchKind::Merge, body, options },
        };
        self.transport.call(request).await.map(drop)
    }
}

/// Whether a built-in resource can be listed, updated and patched; custom ones can.
fn can_be_written(resource: &Resource) -> bool {
    let mut known = api::facts::discovery()
        .iter()
        .filter(|fact| fact.group == resource.group && fact.resource == resource.plural);
    let can = |verbs: &[String]| {
        ["update", "patch", "list"].iter().all(|verb| verbs.iter().any(|known| known == verb))
    };
    known.next().is_none_or(|fact| can(&fact.verbs))
}

/// Another try may succeed.
fn is_transient(error: &Error) -> bool {
    match error {
        Error::Unreachable(_) => true,
        Error::Status(status) => matches!(
            status.reason,
            "ServerTimeout" | "TooManyRequests" | "ServiceUnavailable" | "InternalError" | "Timeout"
        ),
        Error::Decode(_) => false,
    }
}

/// Looked for again, with growing pauses.
fn unknown(subject: &Subject) -> Error {
    let Subject { group, plural } = subject;
    Error::Unreachable(format!("the resource {plural} of {group:?} is not known yet").into())
}
