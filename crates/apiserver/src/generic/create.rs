//! create: POST to a collection, and the first half of a PUT that creates.

use apimachinery::field::Errors;
use apimachinery::{Status, Value, json, meta, name};

use super::commit::{CommitError, Draft, Published, Was};
use super::update::{Made, parse_revision};
use super::{Attempt, Caller, Options, Outcome, Target, WriteOptions, metadata};
use crate::input::{self, Input};
use crate::{Admission, ApiServer, Notes, Operation};

/// How often a generated name that is taken is generated again.
const NAME_TRIES: usize = 8;
/// How often a write whose companions moved runs again.
const COMPANION_TRIES: usize = 64;

/// What makes a new object in the version of the request.
type MakeNew<'a> = &'a mut (dyn FnMut(&mut Vec<String>) -> Result<Made, Status> + Send);

impl ApiServer {
    pub(crate) async fn create(
        &self,
        target: &Target,
        caller: &Caller,
        input: Input,
        options: &WriteOptions,
        warnings: &mut Vec<String>,
    ) -> Result<Outcome, Status> {
        let version = target.version();
        let mut make = |said: &mut Vec<String>| {
            let mut object = input::decode(input.clone(), &target.expected(), options.validation, said)?;
            metadata::match_namespace(&mut object, &target.resource, &target.namespace)?;
            metadata::deduplicate_owners(&mut object, false, said);
            metadata::drop_system_fields(&mut object);
            metadata::default(&target.resource, version, &mut object, self.edge.clock.now());
            Ok(Made::Plain(object))
        };
        let object = self.insert(target, caller, &mut make, false, options, warnings).await?;
        Ok(Outcome::Object { code: 201, object })
    }

    /// Everything from ownership on, for what `make` gives: a decoded and
    /// defaulted object in the version of the request. It is asked again where
    /// a name is taken that was generated, or a companion has moved. Where it
    /// comes `by_update` (a PUT or an apply), nobody has asked yet whether the
    /// user may create.
    pub(crate) async fn insert(
        &self,
        target: &Target,
        caller: &Caller,
        make: MakeNew<'_>,
        by_update: bool,
        options: &WriteOptions,
        warnings: &mut Vec<String>,
    ) -> Result<Published, Status> {
        let resource = &target.resource;
        let mut tries = 0;
        loop {
            tries += 1;
            let mut said = Vec::new();
            let made = self.make_new(target, caller, make, options, &mut said);
            let (is_named, object, made) = match made {
                Err(status) => (true, Value::Null, Err(CommitError::Refused(status))),
                Ok(mut object) => {
                    let is_named = !meta::name(&object).is_empty();
                    let made =
                        self.insert_once(target, caller, &mut object, by_update, options, &mut said).await;
                    (is_named, object, made)
                }
            };
            let result = match made {
                Ok(published) => Ok(published),
                Err(CommitError::Refused(status)) => Err(status),
                Err(CommitError::Moved) if !is_named && tries < NAME_TRIES => continue,
                Err(CommitError::Moved) => Err(self.taken(target, &object)),
                Err(CommitError::CompanionMoved) if tries < COMPANION_TRIES => continue,
                Err(CommitError::CompanionMoved) => {
                    Err(Status::server_timeout(resource.group_resource(), "create", 1))
                }
            };
            warnings.append(&mut said);
            return result;
        }
    }

    /// The new object with its owners, in the version that is checked.
    fn make_new(
        &self,
        target: &Target,
        caller: &Caller,
        make: MakeNew<'_>,
        options: &WriteOptions,
        said: &mut Vec<String>,
    ) -> Result<Value, Status> {
        let mut object = match make(said)? {
            Made::Owned(object) | Made::Scaled { object, .. } => object,
            Made::Plain(mut object) => {
                let now = self.edge.clock.now();
                let zero = target.resource.zero(target.version);
                self.own_fields(target, caller, options, now, zero, &mut object);
                object
            }
        };
        if let Some(conversion) = target.early_conversion() {
            conversion.to_storage(&mut object)?;
        }
        Ok(object)
    }

    /// 409, which says so where a name could have been made up, whether or not
    /// it was, and where the other object is on its way out.
    fn taken(&self, target: &Target, object: &Value) -> Status {
        let (resource, name) = (target.resource.group_resource(), meta::name(object));
        let mut status = match object["metadata"]["generateName"].text() {
            "" => Status::already_exists(resource, name),
            _ => Status::generate_name_conflict(resource, name, 1),
        };
        let snapshot = self.store.snapshot();
        let other = snapshot.get(&target.key(name));
        if other.and_then(|entry| entry.header::<crate::Header>()).is_some_and(|header| header.is_terminating)
        {
            status.message = format!("object is being deleted: {}", status.message);
        }
        status
    }

    async fn insert_once(
        &self,
        target: &Target,
        caller: &Caller,
        object: &mut Value,
        by_update: bool,
        options: &WriteOptions,
        warnings: &mut Vec<String>,
    ) -> Result<Published, CommitError> {
        let attempt = Attempt::new(self, target, caller, Options::of_write(options));
        let mut notes = Notes::default();
        let prepared = self.prepare_new(&attempt, object, by_update, &mut notes, warnings).await;
        warnings.append(&mut notes.warnings);
        prepared.map_err(CommitError::Refused)?;
        let resource = &target.resource;
        // Upstream's storage says this, which a dry run does not ask. What is no
        // revision counts as none.
        let sent = parse_revision(meta::resource_version(object)).unwrap_or(0);
        if sent != 0 && !options.dry_run {
            let why = "resourceVersion should not be set on objects to be created";
            return Err(CommitError::Refused(Status::unknown(why)));
        }
        if let Some(conversion) = target.late_conversion() {
            conversion.to_storage(object).map_err(CommitError::Refused)?;
        }
        let draft = Draft::of(resource, object).map_err(CommitError::Refused)?;
        let key = target.key(meta::name(object));
        if options.dry_run {
            if attempt.view.snapshot().get(&key).is_some() {
                return Err(CommitError::Moved);
            }
            let Draft { bytes, splice, .. } = draft;
            let (bytes, revision) = match meta::resource_version(object) {
                text if text.is_empty() || text == sent.to_string() && sent != 0 => (bytes, sent),
                // It is told as it came.
                _ => (json::to_string(object).into(), 0),
            };
            return Ok(Published { resource: resource.clone(), bytes, splice, revision });
        }
        let ttl = resource.strategy.time_to_live(object);
        self.put(resource, key, Was::Absent, draft, ttl, notes.companions).await
    }

    /// Mutating admission, allocation, preparation, validation, the right to create,
    /// validating admission.
    async fn prepare_new(
        &self,
        attempt: &Attempt<'_>,
        object: &mut Value,
        by_update: bool,
        notes: &mut Notes,
        warnings: &mut Vec<String>,
    ) -> Result<(), Status> {
        let target = attempt.target;
        let resource = &target.resource;
        let given_name = meta::name(object).to_owned();
        let admission = attempt.admission(Operation::Create, &given_name, None);
        self.mutate(&admission, resource, object, notes).await?;
        metadata::match_namespace(object, resource, &target.namespace)?;
        metadata::deduplicate_owners(object, true, warnings);

        if given_name.is_empty() {
            let prefix = object["metadata"]["generateName"].text();
            if !prefix.is_empty() {
                let generated = name::generate(prefix, |bound| self.edge.random.below(bound));
                object.set_at(&["metadata", "name"], generated);
            }
        }
        let name = meta::name(object).to_owned();
        let context = attempt.context(&name);
        self.fill_system_fields(object);
        let metadata_tree = object.entry("metadata");
        metadata_tree.remove("deletionTimestamp");
        metadata_tree.remove("deletionGracePeriodSeconds");
        let strategy = &resource.strategy;
        if strategy.has_generation() {
            metadata_tree.set("generation", 1i64);
        }
        if resource.has_status() && !strategy.keeps_sent_status() {
            resource.reset_status(object);
        }
        strategy.allocate(&context, object, None, &mut notes.companions)?;
        warnings.extend(strategy.warnings_of_preparation(object));
        strategy.prepare_create(&context, object);

        let mut errors = Errors::new();
        if metadata::has_kind(target, object, &mut errors) {
            let first = strategy.checks_metadata(&context);
            if first {
                metadata::validate_new(resource, object, &mut errors);
            }
            errors.append(strategy.validate_create(&context, object));
            if !first && errors.is_empty() {
                metadata::validate_any(resource, object, &mut errors);
            }
        }
        warnings.append(&mut errors.take_warnings());
        if !errors.is_empty() {
            return Err(metadata::invalid(resource, object, &name, errors));
        }
        warnings.extend(strategy.warnings(&context, object, None));
        resource.warn_ineffective(object, warnings);
        if by_update {
            self.allow_create(target, attempt.caller, &attempt.view)?;
        }
        let admission = Admission { name: &name, ..admission };
        self.validate(&admission, object, notes).await?;
        Ok(())
    }
}
