//! update: PUT of an object or of one of its subresources, and everything that
//! PUT and PATCH share from ownership on.

use api::facts;
use apimachinery::field::{Errors, Path};
use apimachinery::{Status, Value, meta, schema};
use store::Entry;

use super::commit::{CommitError, Draft, Published, Was, set_revision, tree_of};
use super::{Attempt, Caller, Options, Outcome, Target, WriteOptions, metadata, ownership};
use crate::input::{self, Input};
use crate::{Action, ApiServer, Context, Notes, Operation, Storage, Strategy, SubresourceKind, View};

/// How often a write that others overtook runs again before it gives up.
const TRIES: usize = 64;

const STALE: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

/// What makes the new object of the one there is (in the version of the
/// request, with its resourceVersion); None where there is none yet.
pub(crate) type Make<'a> =
    &'a mut (dyn FnMut(Option<&Value>, &mut Vec<String>) -> Result<Made, Status> + Send);

/// A new object on its way.
pub(crate) enum Made {
    /// Who owns what of it is still to be found out.
    Plain(Value),
    /// With its managedFields.
    Owned(Value),
    /// With its managedFields, to be scaled as the Scale says.
    Scaled { object: Value, scale: Value },
}

impl ApiServer {
    pub(crate) async fn update(
        &self,
        target: &Target,
        caller: &Caller,
        input: Input,
        options: &WriteOptions,
        warnings: &mut Vec<String>,
    ) -> Result<Outcome, Status> {
        let version = target.version();
        let mut sent = input::decode(input, &target.expected(), options.validation, warnings)?;
        metadata::match_namespace(&mut sent, &target.resource, &target.namespace)?;
        check_name(&sent, &target.name)?;
        metadata::deduplicate_owners(&mut sent, false, warnings);
        metadata::default(&target.resource, version, &mut sent, self.edge.clock.now());
        let uid = meta::uid(&sent).to_owned();
        let may_create = target.subresource.is_empty() && target.resource.strategy.creates_on_update();
        let mut make = |_: Option<&Value>, _: &mut Vec<String>| Ok(Made::Plain(sent.clone()));
        self.change(target, caller, options, warnings, &uid, may_create, &mut make).await
    }

    /// Reads, makes, checks and commits until nobody comes between.
    #[allow(clippy::too_many_arguments)] // one write's state, threaded through once
    pub(crate) async fn change(
        &self,
        target: &Target,
        caller: &Caller,
        options: &WriteOptions,
        warnings: &mut Vec<String>,
        uid: &str,
        may_create: bool,
        make: Make<'_>,
    ) -> Result<Outcome, Status> {
        let resource = &target.resource;
        let key = target.key(&target.name);
        for _ in 0..TRIES {
            let attempt = Attempt::new(self, target, caller, Options::of_write(options));
            let mut said = Vec::new();
            let Some(entry) = attempt.view.snapshot().get(&key).cloned() else {
                if !may_create {
                    return Err(target.not_found());
                }
                if !uid.is_empty() {
                    return Err(other_uid(target, &key, options.dry_run, uid, ""));
                }
                let mut make_new = |said: &mut Vec<String>| {
                    let mut made = make(None, said)?;
                    check_new(target, options, &mut made)?;
                    Ok(made)
                };
                let inserted = self.insert(target, caller, &mut make_new, true, options, &mut said).await;
                if inserted.as_ref().is_err_and(|status| status.is("AlreadyExists")) {
                    continue;
                }
                warnings.append(&mut said);
                return inserted.map(|object| Outcome::Object { code: 201, object });
            };
            let changed = match self.change_once(&attempt, options, &mut said, uid, &entry, make).await {
                Ok(object) => Ok(Outcome::Object { code: 200, object }),
                Err(CommitError::Refused(status)) => Err(status),
                Err(CommitError::Moved | CommitError::CompanionMoved) => continue,
            };
            warnings.append(&mut said);
            return changed;
        }
        Err(Status::conflict(resource.group_resource(), &target.name, STALE))
    }

    /// An update or apply that creates: the user may create too.
    pub(crate) fn allow_create(&self, target: &Target, caller: &Caller, view: &View) -> Result<(), Status> {
        let action = Action {
            version: &target.version().name,
            namespace: &target.namespace,
            name: &target.name,
            ..Action::on(&caller.user, "create", &target.resource.group, &target.resource.resource)
        };
        self.allow(&action, view)
    }

    async fn change_once(
        &self,
        attempt: &Attempt<'_>,
        options: &WriteOptions,
        warnings: &mut Vec<String>,
        uid: &str,
        entry: &Entry,
        make: Make<'_>,
    ) -> Result<Published, CommitError> {
        let target = attempt.target;
        let resource = &target.resource;
        let mut old = tree_of(resource, &entry.value, entry.revision);
        if let Some(conversion) = target.late_conversion() {
            conversion.from_storage(&mut old).map_err(CommitError::Refused)?;
        }
        let mut notes = Notes::default();
        let made = self.prepare_change(attempt, options, warnings, uid, entry, &old, make, &mut notes).await;
        warnings.append(&mut notes.warnings);
        let mut object = made.map_err(CommitError::Refused)?;
        ownership::keep_times(&mut object, &old);

        let ends = ends_by_update(resource.strategy.as_ref(), &object, &old);
        if let Some(conversion) = target.late_conversion() {
            conversion.to_storage(&mut object).map_err(CommitError::Refused)?;
        }
        let draft = Draft::of(resource, &mut object).map_err(CommitError::Refused)?;
        let revision = entry.revision;
        let published = |draft: &Draft, revision| Published {
            resource: resource.clone(),
            bytes: draft.bytes.clone(),
            splice: draft.splice,
            revision,
        };
        if options.dry_run || (!ends && notes.companions.is_empty() && draft.bytes == entry.value) {
            return Ok(published(&draft, revision));
        }
        if ends {
            let answer = published(&draft, revision);
            let revision = self.remove(resource, entry.key.clone(), revision, notes.companions).await?;
            return Ok(Published { revision, ..answer });
        }
        let ttl = resource.strategy.time_to_live(&object);
        self.put(resource, entry.key.clone(), Was::At(revision), draft, ttl, notes.companions).await
    }

    /// Make, own, mutating admission, allocation, preparation, validation, validating
    /// admission. Gives the tree in the stored version.
    #[allow(clippy::too_many_arguments)] // as above
    async fn prepare_change(
        &self,
        attempt: &Attempt<'_>,
        options: &WriteOptions,
        warnings: &mut Vec<String>,
        uid: &str,
        entry: &Entry,
        old: &Value,
        make: Make<'_>,
        notes: &mut Notes,
    ) -> Result<Value, Status> {
        let target = attempt.target;
        let resource = &target.resource;
        let live_uid = meta::uid(old);
        if !uid.is_empty() && uid != live_uid {
            return Err(other_uid(target, &entry.key, options.dry_run, uid, live_uid));
        }
        let converted;
        let live = match target.early_conversion() {
            None => old,
            Some(conversion) => {
                let mut tree = old.clone();
                conversion.from_storage(&mut tree)?;
                converted = tree;
                &converted
            }
        };
        let mut scaling = None;
        let mut object = match make(Some(live), warnings)? {
            Made::Owned(object) => object,
            Made::Scaled { object, scale } => {
                scaling = Some(scale);
                object
            }
            Made::Plain(mut object) => {
                self.own_fields(target, attempt.caller, options, attempt.now, live, &mut object);
                object
            }
        };
        if let Some(conversion) = target.early_conversion() {
            conversion.to_storage(&mut object)?;
        }

        let admission = attempt.admission(Operation::Update, &target.name, Some(old));
        match &mut scaling {
            Some(scale) => self.mutate_scale(&admission, target, scale, &mut object, notes).await?,
            None => self.mutate(&admission, resource, &mut object, notes).await?,
        }
        metadata::deduplicate_owners(&mut object, true, warnings);
        if let Storage::Stored { schema: Some(schema), .. } = &resource.storage {
            schema::forget_empties(facts::types(), *schema, &mut object, old);
        }
        self.check_revision(target, &mut object, entry.revision)?;

        let context = attempt.context(&target.name);
        let strategy = resource.strategy.as_ref();
        if target.subresource.is_empty() {
            strategy.allocate(&context, &mut object, Some(old), &mut notes.companions)?;
        }
        let mut errors = match target.subresource().map(|subresource| &subresource.kind) {
            Some(SubresourceKind::Status) => {
                keep_body(&mut object, old);
                keep_generation(&mut object, old);
                strategy.prepare_status(&context, &mut object, old);
                keep_system_fields(&mut object, old, &context);
                let mut errors = Errors::new();
                if metadata::has_kind(target, &object, &mut errors) {
                    metadata::validate_changed(resource, &object, old, &mut errors);
                    errors.append(strategy.validate_status(&context, &object, old));
                }
                errors
            }
            Some(SubresourceKind::Object(other)) => {
                self.prepare_own(target, other.as_ref(), &context, &mut object, old)
            }
            _ => {
                if resource.has_status() {
                    keep_status(&mut object, old);
                }
                self.prepare_own(target, strategy, &context, &mut object, old)
            }
        };
        warnings.append(&mut errors.take_warnings());
        if !errors.is_empty() {
            return Err(metadata::invalid(resource, &object, &target.name, errors));
        }
        warnings.extend(strategy.warnings(&context, &object, Some(old)));
        if target.subresource.is_empty() {
            resource.warn_ineffective(&object, warnings);
        }
        match &scaling {
            Some(_) => self.validate_scale(&admission, target, &object, notes).await?,
            None => self.validate(&admission, &object, notes).await?,
        }
        Ok(object)
    }

    /// Preparation and validation by a strategy's update methods.
    fn prepare_own(
        &self,
        target: &Target,
        strategy: &dyn Strategy,
        context: &Context<'_>,
        object: &mut Value,
        old: &Value,
    ) -> Errors {
        keep_generation(object, old);
        strategy.prepare_update(context, object, old);
        keep_system_fields(object, old, context);
        if target.resource.strategy.has_generation() {
            let generation = meta::generation(old);
            let changed = target.resource.strategy.changes_generation(object, old);
            object.entry("metadata").set("generation", generation + i64::from(changed));
        }
        let mut errors = Errors::new();
        if metadata::has_kind(target, object, &mut errors) {
            metadata::validate_changed(&target.resource, object, old, &mut errors);
            errors.append(strategy.validate_update(context, object, old));
        }
        errors
    }

    /// The resourceVersion that was sent must be the one there is; without one
    /// the write is unconditional where the kind allows that.
    fn check_revision(&self, target: &Target, object: &mut Value, current: u64) -> Result<(), Status> {
        let resource = &target.resource;
        let sent = meta::resource_version(object);
        let revision: u64 = match sent {
            "" => 0,
            text => parse_revision(text).map_err(Status::unknown)?,
        };
        if revision == 0 {
            if !resource.strategy.allows_unconditional_update() {
                let mut errors = Errors::new();
                let metadata = Path::child(&Path::Root, "metadata");
                errors.invalid(&metadata.child("resourceVersion"), 0i64, "must be specified for an update");
                let mut status = Status::invalid(
                    apimachinery::status::GroupKind { group: &resource.group, kind: &resource.resource },
                    &target.name,
                    &errors,
                );
                status.code = 422;
                return Err(status);
            }
            set_revision(object, current);
        } else if revision != current {
            return Err(Status::conflict(resource.group_resource(), &target.name, STALE));
        }
        Ok(())
    }
}

/// The refusal of a uid that is not the object's. A dry run knows nothing of
/// where upstream's storage begins.
fn other_uid(target: &Target, key: &store::Key, dry_run: bool, sent: &str, live: &str) -> Status {
    let key = key.as_str();
    let key = if dry_run { key.strip_prefix("/registry").unwrap_or(key) } else { key };
    let why = format!(
        "StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: Precondition \
         failed: UID in precondition: {sent}, UID in object meta: {live}"
    );
    Status::conflict(target.resource.group_resource(), &target.name, &why)
}

/// As Go's strconv.ParseUint, with its words.
pub(crate) fn parse_revision(text: &str) -> Result<u64, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(revision) if digits => Ok(revision),
        _ if digits => Err(format!("strconv.ParseUint: parsing {text:?}: value out of range")),
        _ => Err(format!("strconv.ParseUint: parsing {text:?}: invalid syntax")),
    }
}

/// An update or apply that creates: the object has no uid, and its
/// resourceVersion says nothing.
fn check_new(target: &Target, options: &WriteOptions, made: &mut Made) -> Result<(), Status> {
    let (Made::Plain(object) | Made::Owned(object) | Made::Scaled { object, .. }) = made;
    let uid = meta::uid(object);
    if !uid.is_empty() {
        let why = format!(
            "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
        );
        return Err(Status::conflict(target.resource.group_resource(), &target.name, &why));
    }
    metadata::drop_system_fields(object);
    if !meta::resource_version(object).is_empty() {
        parse_revision(meta::resource_version(object)).map_err(Status::unknown)?;
        // Upstream's storage drops it, which a dry run does not reach.
        if !options.dry_run {
            object.entry("metadata").remove("resourceVersion");
        }
    }
    Ok(())
}

pub(super) fn check_name(object: &Value, name: &str) -> Result<(), Status> {
    let own = meta::name(object);
    if own.is_empty() {
        return Err(Status::bad_request(format!(
            "the name of the object ({name} based on URL) was undeterminable: name must be provided"
        )));
    }
    if own != name {
        return Err(Status::bad_request(format!(
            "the name of the object ({own}) does not match the name on the URL ({name})"
        )));
    }
    Ok(())
}

/// A write of the status changes metadata and status alone.
fn keep_body(object: &mut Value, old: &Value) {
    let status = object.remove("status");
    let metadata = object.remove("metadata");
    let mut kept = old.clone();
    kept.set("metadata", metadata.unwrap_or_default());
    match status {
        Some(status) => kept.set("status", status),
        None => {
            kept.remove("status");
        }
    }
    *object = kept;
}

/// A write of the object leaves its status.
fn keep_status(object: &mut Value, old: &Value) {
    match &old["status"] {
        Value::Null => {
            object.remove("status");
        }
        status => object.set("status", status.clone()),
    }
}

/// A client's word on the generation never counts.
fn keep_generation(object: &mut Value, old: &Value) {
    let metadata = object.entry("metadata");
    match &old["metadata"]["generation"] {
        Value::Null => {
            metadata.remove("generation");
        }
        generation => metadata.set("generation", generation.clone()),
    }
}

/// What no update changes: uid (where none was sent), creation and deletion times.
fn keep_system_fields(object: &mut Value, old: &Value, context: &Context<'_>) {
    let was = &old["metadata"];
    let metadata = object.entry("metadata");
    if metadata["uid"].text().is_empty() {
        metadata.set("uid", was["uid"].clone());
    }
    for name in ["creationTimestamp", "deletionTimestamp"] {
        if !was[name].is_null() {
            metadata.set(name, was[name].clone());
        }
    }
    if metadata["deletionGracePeriodSeconds"].is_null() && !was["deletionGracePeriodSeconds"].is_null() {
        metadata.set("deletionGracePeriodSeconds", was["deletionGracePeriodSeconds"].clone());
    }
    // Upstream's storage drops it, which a dry run does not reach.
    if !context.dry_run {
        metadata.remove("selfLink");
    }
}

/// An update that removes the last thing that held a deleted object deletes it.
fn ends_by_update(strategy: &dyn Strategy, object: &Value, old: &Value) -> bool {
    meta::finalizers(object).next().is_none()
        && meta::is_terminating(old)
        && old["metadata"]["deletionGracePeriodSeconds"].as_i64().is_none_or(|grace| grace == 0)
        && !strategy.is_held(object)
}
