//! delete and deletecollection: preconditions, grace, finalizers, propagation.

use apimachinery::status::Details;
use apimachinery::{Status, Value, meta, time};
use client::{Preconditions, Propagation};
use jiff::{SignedDuration, Timestamp};
use store::{Entry, Key};

use super::commit::{CommitError, Draft, Published, Was, tree_of};
use super::{Attempt, Caller, Options, Outcome, Selection, Target};
use crate::{
    Admission, ApiServer, Context, DeleteOptions, FirstDeletion, Grace, Notes, Operation, Orphaning, Storage,
    Strategy,
};

const TRIES: usize = 64;
const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// What is to become of an object.
#[derive(Debug, PartialEq)]
enum Plan {
    /// It stays as it is: its deletion is under way.
    Pending,
    /// It is changed and stays, marked.
    Keep(Value),
    /// It goes. The tree is what it looked like at last.
    Remove(Value),
}

impl ApiServer {
    pub(crate) async fn delete(
        &self,
        target: &Target,
        caller: &Caller,
        options: &DeleteOptions,
        warnings: &mut Vec<String>,
    ) -> Result<Outcome, Status> {
        self.delete_named(target, &target.name, caller, options, warnings).await
    }

    /// `told` is the name that admission sees: none for one of many.
    async fn delete_named(
        &self,
        target: &Target,
        told: &str,
        caller: &Caller,
        options: &DeleteOptions,
        warnings: &mut Vec<String>,
    ) -> Result<Outcome, Status> {
        let key = target.key(&target.name);
        for _ in 0..TRIES {
            let attempt = Attempt::new(self, target, caller, Options::of_delete(options));
            let Some(entry) = attempt.view.snapshot().get(&key).cloned() else {
                return Err(target.not_found());
            };
            if options.ignore_read_error {
                return Err(readable(target, &key));
            }
            match self.delete_once(&attempt, told, options, &entry, warnings).await {
                Ok(outcome) => return Ok(outcome),
                Err(CommitError::Refused(status)) => return Err(status),
                Err(CommitError::Moved | CommitError::CompanionMoved) => {}
            }
        }
        Err(Status::server_timeout(target.resource.group_resource(), "delete", 1))
    }

    async fn delete_once(
        &self,
        attempt: &Attempt<'_>,
        told: &str,
        options: &DeleteOptions,
        entry: &Entry,
        warnings: &mut Vec<String>,
    ) -> Result<Outcome, CommitError> {
        let target = attempt.target;
        let resource = &target.resource;
        let refused = CommitError::Refused;
        let old = tree_of(resource, &entry.value, entry.revision);
        check_preconditions(target, options, &old, entry.revision).map_err(refused)?;

        let admission = attempt.admission(Operation::Delete, told, Some(&old));
        let mut notes = Notes::default();
        let mut nothing = Value::Null;
        self.mutate(&admission, resource, &mut nothing, &mut notes).await.map_err(refused)?;
        let strategy = resource.strategy.as_ref();
        // Where it marks first, the deletion is of this very object from here on.
        let admission = match strategy.first_deletion() {
            FirstDeletion::Deletes => admission,
            _ => Admission { options: admission.options.of_this(meta::uid(&old)), ..admission },
        };
        self.validate(&admission, &Value::Null, &mut notes).await.map_err(refused)?;
        warnings.append(&mut notes.warnings);
        let context = attempt.context(&target.name);
        strategy.may_delete(&context, &old).map_err(refused)?;

        match plan(strategy, &context, &old, options) {
            Plan::Pending => {
                Ok(Outcome::Object { code: code(options), object: Published::of(resource, entry) })
            }
            Plan::Keep(mut object) => {
                let draft = Draft::of(resource, &mut object).map_err(refused)?;
                let object = if options.dry_run || draft.bytes == entry.value {
                    let Draft { bytes, splice, .. } = draft;
                    Published { resource: resource.clone(), bytes, splice, revision: entry.revision }
                } else {
                    let was = Was::At(entry.revision);
                    self.put(resource, entry.key.clone(), was, draft, None, notes.companions).await?
                };
                Ok(Outcome::Object { code: code(options), object })
            }
            Plan::Remove(mut object) => {
                let mut revision = entry.revision;
                if !options.dry_run {
                    strategy
                        .allocate(&context, &mut Value::Null, Some(&old), &mut notes.companions)
                        .map_err(refused)?;
                    revision = self.remove(resource, entry.key.clone(), revision, notes.companions).await?;
                }
                if !strategy.returns_deleted() {
                    return Ok(Outcome::Tree { code: 200, value: deleted(target, &old).to_value() });
                }
                // Where there is no grace, what is stored goes as it is.
                if !options.dry_run && strategy.grace(&context, &old, options) == Grace::Unsupported {
                    let object = Published { revision, ..Published::of(resource, entry) };
                    return Ok(Outcome::Object { code: 200, object });
                }
                let Draft { bytes, splice, .. } = Draft::of(resource, &mut object).map_err(refused)?;
                let object = Published { resource: resource.clone(), bytes, splice, revision };
                Ok(Outcome::Object { code: 200, object })
            }
        }
    }

    /// Deletes what a list would give, one by one; answers with that list.
    pub(crate) async fn delete_collection(
        &self,
        target: &Target,
        caller: &Caller,
        selection: &Selection,
        options: &DeleteOptions,
        warnings: &mut Vec<String>,
    ) -> Result<Outcome, Status> {
        let listed = self.list(target, selection).await?;
        for entry in &listed.entries {
            let key = entry.key.as_str();
            let mut parts = key.rsplit('/');
            let name = parts.next().unwrap_or("").to_owned();
            let mut one = Target { name, ..target.clone() };
            if target.resource.is_namespaced() {
                one.namespace = parts.next().unwrap_or("").to_owned();
            }
            match self.delete_named(&one, "", caller, options, warnings).await {
                Ok(_) => {}
                Err(status) if status.is("NotFound") => {}
                Err(status) => return Err(status),
            }
        }
        Ok(Outcome::List(listed))
    }
}

/// The HTTP status where the object stays for now: who asked for its dependents
/// to go in the old way is told that this is under way.
fn code(options: &DeleteOptions) -> u16 {
    if options.orphan_dependents == Some(false) { 202 } else { 200 }
}

/// The refusal to delete past reading what can be read.
fn readable(target: &Target, key: &Key) -> Status {
    let why = format!(
        "StorageError: invalid object, Code: 4, Key: {}, ResourceVersion: 0, AdditionalErrorMsg: unsafe deletion is \
         not allowed because the object is decodable from storage",
        key.as_str()
    );
    Status::conflict(target.resource.group_resource(), &target.name, &why)
}

/// The answer to a deletion that leaves nothing.
fn deleted(target: &Target, old: &Value) -> Status {
    Status::success(
        0,
        Some(Details {
            name: target.name.clone(),
            group: target.resource.group.to_string(),
            kind: target.resource.resource.to_string(),
            uid: meta::uid(old).to_owned(),
            ..Details::default()
        }),
    )
}

fn check_preconditions(
    target: &Target,
    options: &DeleteOptions,
    old: &Value,
    revision: u64,
) -> Result<(), Status> {
    // Upstream names the kind here where other refusals name the resource, and
    // that of the stored version.
    let kind = apimachinery::status::GroupResource {
        group: match &target.resource.storage {
            Storage::Stored { api_version, .. } => api_version.split_once('/').map_or("", |(group, _)| group),
            Storage::Virtual(_) => &target.resource.group,
        },
        resource: &target.resource.kind,
    };
    let uid = meta::uid(old);
    if target.resource.strategy.first_deletion() != FirstDeletion::Deletes {
        return check_first(target, options, uid, revision);
    }
    let conflict = |why: String| Err(Status::conflict(kind, &target.name, &why));
    if let Some(wanted) = &options.preconditions.uid
        && wanted != uid
    {
        return conflict(format!(
            "the UID in the precondition ({wanted}) does not match the UID in record ({uid}). The object might have \
             been deleted and then recreated"
        ));
    }
    if let Some(wanted) = &options.preconditions.resource_version
        && *wanted != revision.to_string()
    {
        return conflict(format!(
            "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record \
             ({revision}). The object might have been modified"
        ));
    }
    Ok(())
}

/// The preconditions of a kind that is marked first, in the words of its own handler.
fn check_first(target: &Target, options: &DeleteOptions, uid: &str, revision: u64) -> Result<(), Status> {
    let revision = revision.to_string();
    let Preconditions { uid: wanted_uid, resource_version } = &options.preconditions;
    for (name, wanted, found) in [("UID", wanted_uid, uid), ("ResourceVersion", resource_version, &revision)]
    {
        if let Some(wanted) = wanted
            && wanted != found
        {
            let why = format!(
                "Precondition failed: {name} in precondition: {wanted}, {name} in object meta: {found}"
            );
            return Err(Status::conflict(target.resource.group_resource(), &target.name, &why));
        }
    }
    Ok(())
}

/// rest.BeforeDelete and what follows from it, as one decision.
fn plan(strategy: &dyn Strategy, context: &Context<'_>, old: &Value, options: &DeleteOptions) -> Plan {
    if strategy.first_deletion() != FirstDeletion::Deletes {
        if !meta::is_terminating(old) {
            return Plan::Keep(marked_first(strategy, context, old, options));
        }
        if strategy.is_held(old) {
            return Plan::Pending;
        }
    }
    let mut object = old.clone();
    let mut keeps = false;
    if meta::is_terminating(old) {
        match shortened(old, options) {
            Shortened::No if graceful(strategy, context, old, options) => return Plan::Pending,
            Shortened::No => {}
            Shortened::To { grace, at } => {
                let metadata = object.entry("metadata");
                metadata.set("deletionTimestamp", time::format(at));
                metadata.set("deletionGracePeriodSeconds", grace);
                keeps = grace > 0;
            }
        }
    } else {
        match strategy.grace(context, old, options) {
            Grace::Unsupported => {}
            Grace::None => mark(strategy, context, &mut object, 0),
            Grace::Seconds(grace) => {
                mark(strategy, context, &mut object, grace);
                keeps = grace > 0;
            }
        }
    }
    let changed_finalizers = set_propagation(strategy, &mut object, options);
    let held = meta::finalizers(&object).next().is_some() || strategy.is_held(&object);
    if held && !meta::is_terminating(&object) {
        mark(strategy, context, &mut object, 0);
    }
    // Whom the first deletion only marked, knows of no grace yet.
    if held && object["metadata"]["deletionGracePeriodSeconds"].is_null() {
        object.entry("metadata").set("deletionGracePeriodSeconds", 0i64);
    }
    if held && !keeps && !changed_finalizers && meta::is_terminating(old) && object == *old {
        return Plan::Pending;
    }
    if keeps || held { Plan::Keep(object) } else { Plan::Remove(object) }
}

/// An object with the mark of its first deletion, which knows no grace.
fn marked_first(
    strategy: &dyn Strategy,
    context: &Context<'_>,
    old: &Value,
    options: &DeleteOptions,
) -> Value {
    let mut object = old.clone();
    object.entry("metadata").set("deletionTimestamp", time::format(context.now));
    strategy.mark_deleted(context, &mut object);
    if strategy.first_deletion() == FirstDeletion::MarksAlone {
        return object;
    }
    let has = |name: &str| meta::finalizers(old).any(|finalizer| finalizer == name);
    let (orphan, foreground) = match (options.orphan_dependents, options.propagation) {
        (Some(orphan), _) => (orphan, !orphan),
        (None, Some(policy)) => (policy == Propagation::Orphan, policy == Propagation::Foreground),
        (None, None) => (has(ORPHAN), has(FOREGROUND)),
    };
    set_collected(&mut object, orphan, foreground);
    object
}

/// Whether the kind knows grace at all.
fn graceful(strategy: &dyn Strategy, context: &Context<'_>, old: &Value, options: &DeleteOptions) -> bool {
    strategy.grace(context, old, options) != Grace::Unsupported
        && !old["metadata"]["deletionGracePeriodSeconds"].is_null()
}

fn mark(strategy: &dyn Strategy, context: &Context<'_>, object: &mut Value, grace: i64) {
    let now = context.now;
    let at = now.saturating_add(SignedDuration::from_secs(grace)).unwrap_or(now);
    let generation = meta::generation(object);
    let metadata = object.entry("metadata");
    metadata.set("deletionTimestamp", time::format(at));
    metadata.set("deletionGracePeriodSeconds", grace);
    if generation > 0 {
        metadata.set("generation", generation + 1);
    }
    strategy.mark_deleted(context, object);
}

#[derive(Debug, PartialEq)]
enum Shortened {
    No,
    To { grace: i64, at: Timestamp },
}

/// A deletion under way can only be made to end earlier.
fn shortened(old: &Value, options: &DeleteOptions) -> Shortened {
    let metadata = &old["metadata"];
    let (Some(grace), Some(was)) =
        (options.grace_period_seconds, metadata["deletionGracePeriodSeconds"].as_i64())
    else {
        return Shortened::No;
    };
    // A negative period counts as one second.
    let grace = if grace < 0 { 1 } else { grace };
    if grace >= was {
        return Shortened::No;
    }
    let Some(at) = metadata["deletionTimestamp"].as_str().and_then(time::parse) else { return Shortened::No };
    let at = at.saturating_add(SignedDuration::from_secs(grace - was)).unwrap_or(at);
    Shortened::To { grace, at }
}

/// Adds or removes the finalizers of the garbage collector by the policy that
/// was asked for; whether they changed.
fn set_propagation(strategy: &dyn Strategy, object: &mut Value, options: &DeleteOptions) -> bool {
    if strategy.orphaning() == Orphaning::Unsupported {
        return set_collected(object, false, false);
    }
    let has = |name: &str| meta::finalizers(object).any(|finalizer| finalizer == name);
    let (orphan, foreground) = match options.propagation {
        Some(Propagation::Orphan) => (true, false),
        Some(Propagation::Foreground) => (false, true),
        Some(Propagation::Background) => (false, false),
        None if has(ORPHAN) => (true, false),
        None if has(FOREGROUND) => (false, true),
        None => (strategy.orphaning() == Orphaning::Orphan, false),
    };
    set_collected(object, orphan, foreground)
}

/// Sets the finalizers of the garbage collector; whether they changed.
fn set_collected(object: &mut Value, orphan: bool, foreground: bool) -> bool {
    let has = |name: &str| meta::finalizers(object).any(|finalizer| finalizer == name);
    if has(ORPHAN) == orphan && has(FOREGROUND) == foreground {
        return false;
    }
    let mut finalizers: Vec<Value> = meta::finalizers(object)
        .filter(|finalizer| !matches!(*finalizer, ORPHAN | FOREGROUND))
        .map(Value::from)
        .collect();
    if orphan {
        finalizers.push(ORPHAN.into());
    }
    if foreground {
        finalizers.push(FOREGROUND.into());
    }
    let metadata = object.entry("metadata");
    if finalizers.is_empty() {
        metadata.remove("finalizers");
    } else {
        metadata.set("finalizers", finalizers);
    }
    true
}
