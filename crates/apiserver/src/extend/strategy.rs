//! What a kind does differently from all others.
//!
//! All methods are pure functions of their arguments (the view is a snapshot),
//! and all have a body that does what a plain kind does. Trees are in the
//! stored version, except where a method says otherwise.

use std::sync::Arc;
use std::time::Duration;

use apimachinery::field::Errors;
use apimachinery::managed_fields::Structure;
use apimachinery::{Status, Value};
use edge::Random;
use jiff::Timestamp;

pub use apimachinery::validation::meta::NameRule;

use crate::{Authorizer, Companion, Definition, UserInfo, Version, View};

pub use client::DeleteOptions;

/// What surrounds a write.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    pub definition: &'a Definition,
    /// The version of the request.
    pub version: &'a Version,
    /// "" for cluster-scoped objects.
    pub namespace: &'a str,
    /// May be "" for a create with generateName, before the name is made.
    pub name: &'a str,
    /// "" for the object itself.
    pub subresource: &'a str,
    pub user: &'a UserInfo,
    /// A PATCH and no PUT: the verb by which rights are asked.
    pub is_patch: bool,
    /// Those to ask, in order, what else the user may do.
    pub authorizers: &'a [Arc<dyn Authorizer>],
    pub now: Timestamp,
    pub dry_run: bool,
    pub view: &'a View,
    pub random: &'a dyn Random,
}

/// How long an object outlives the request to delete it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grace {
    /// The kind knows no grace: finalizers apart, it is deleted at once.
    Unsupported,
    /// This object needs none now (a pod that is not bound): deleted at once,
    /// with `deletionGracePeriodSeconds` 0.
    None,
    /// Marked, with so many seconds; somebody else deletes it at the end.
    Seconds(i64),
}

/// What the first deletion of an object does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstDeletion {
    /// The object goes, or is marked and waits for what holds it.
    Deletes,
    /// It is marked, and so is what shall become of its dependents; a later
    /// deletion deletes it, when nothing holds it any more (namespaces).
    Marks,
    /// It is marked, and nothing that was asked for its dependents counts
    /// (definitions of custom resources).
    MarksAlone,
}

/// What a deletion without a propagation policy does to dependents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orphaning {
    /// The garbage collector deletes them.
    Collect,
    Orphan,
    /// The kind has no part in garbage collection (events).
    Unsupported,
}

/// See the module. The engine itself does: names and object metadata,
/// uid and times, the status (reset on create and kept on update, where there
/// is a status subresource), the generation, ownership of fields, finalizers.
pub trait Strategy: Send + Sync + 'static {
    /// Conditional defaults, before those of the table, in the served version
    /// `version` ("v1"). Idempotent; runs after decoding, after patches, and
    /// after each change by admission.
    fn default(&self, _version: &str, _object: &mut Value) {}

    /// Defaults that are the present time, after [`Strategy::default`].
    fn default_times(&self, _version: &str, _object: &mut Value, _now: Timestamp) {}

    /// Brings a tree that was stored under an earlier definition of the kind
    /// into the form of the present one ([`Definition::since`]).
    fn upgrade(&self, _stored: &mut Value) {}

    /// The kind's schema for OpenAPI documents, where it is not among the
    /// facts: for v3, or without what v2 does not know.
    fn published(&self, _view: &View, _v2: bool) -> Option<Value> {
        None
    }

    /// How objects may be called. DNS-1123 subdomains by default.
    fn name_rule(&self) -> NameRule {
        apimachinery::validation::dns1123_subdomain
    }

    /// Whether metadata is checked with the rest; otherwise it is only where
    /// the rest is right, and by what holds of every kind.
    fn checks_metadata(&self, _: &Context<'_>) -> bool {
        true
    }

    /// Whether finalizers have to be standard or qualified by a domain: not
    /// for the kinds that upstream checks by its generic rules.
    fn knows_finalizers(&self) -> bool {
        true
    }

    /// Whether `metadata.generation` counts: 1 at creation, one more where
    /// [`Strategy::changes_generation`] says so.
    fn has_generation(&self) -> bool {
        false
    }

    /// By default: anything but metadata and status differs.
    fn changes_generation(&self, object: &Value, old: &Value) -> bool {
        let differs = |a: &Value, b: &Value| {
            a.members().any(|(name, member)| !matches!(name, "metadata" | "status") && b[name] != *member)
        };
        differs(object, old) || differs(old, object)
    }

    /// A creation may bring its status (nodes), though there is a status subresource.
    fn keeps_sent_status(&self) -> bool {
        false
    }

    /// What must be given out in the transaction of the write (addresses, ports): after
    /// mutating admission and before the rest, so that validation and policies see it.
    /// `old` is None for a create, `object` null for a deletion. Not called for
    /// subresources, nor for dry runs of deletions.
    ///
    /// # Errors
    /// The refusal, as the client gets it.
    fn allocate(
        &self,
        _context: &Context<'_>,
        _object: &mut Value,
        _old: Option<&Value>,
        _companions: &mut Vec<Companion>,
    ) -> Result<(), Status> {
        Ok(())
    }

    /// What [`Strategy::prepare_create`] will have to say of the object; the client is
    /// told that even where the object is refused.
    fn warnings_of_preparation(&self, _object: &Value) -> Vec<String> {
        Vec::new()
    }

    /// Drops what a client may not set and sets what the server sets.
    fn prepare_create(&self, _context: &Context<'_>, _object: &mut Value) {}

    /// As [`Strategy::prepare_create`], for an update through the object itself.
    fn prepare_update(&self, _context: &Context<'_>, _object: &mut Value, _old: &Value) {}

    /// Everything but object metadata.
    fn validate_create(&self, _context: &Context<'_>, _object: &Value) -> Errors {
        Errors::new()
    }

    /// The group by which an answer calls an invalid object, where it is not
    /// that of the request (events, whose one kind is of the core group).
    fn invalid_group(&self) -> Option<&'static str> {
        None
    }

    /// Everything but object metadata. By default as a creation.
    fn validate_update(&self, context: &Context<'_>, object: &Value, _old: &Value) -> Errors {
        self.validate_create(context, object)
    }

    /// Warnings for the client; `old` is None for a create.
    fn warnings(&self, _context: &Context<'_>, _object: &Value, _old: Option<&Value>) -> Vec<String> {
        Vec::new()
    }

    /// After the engine took everything but metadata and status from `old`.
    fn prepare_status(&self, _context: &Context<'_>, _object: &mut Value, _old: &Value) {}

    fn validate_status(&self, _context: &Context<'_>, _object: &Value, _old: &Value) -> Errors {
        Errors::new()
    }

    /// A PUT of an object that does not exist creates it (roles, leases, endpoints).
    fn creates_on_update(&self) -> bool {
        false
    }

    /// A PUT without resourceVersion overwrites.
    fn allows_unconditional_update(&self) -> bool {
        true
    }

    /// How a deletion with `options` begins. Only asked where the object is
    /// not being deleted already.
    fn grace(&self, _context: &Context<'_>, _object: &Value, _options: &DeleteOptions) -> Grace {
        Grace::Unsupported
    }

    /// Changes beside the deletion timestamp when deletion begins (a
    /// namespace's phase).
    fn mark_deleted(&self, _context: &Context<'_>, _object: &mut Value) {}

    /// Something of the kind's own holds the object, as finalizers do
    /// (`spec.finalizers` of a namespace).
    fn is_held(&self, _object: &Value) -> bool {
        false
    }

    /// Why this object may not be deleted, beside admission.
    ///
    /// # Errors
    /// The refusal, as the client gets it.
    fn may_delete(&self, _context: &Context<'_>, _object: &Value) -> Result<(), Status> {
        Ok(())
    }

    /// Warnings about a deletion with these options.
    fn delete_warnings(&self, _options: &DeleteOptions) -> Vec<&'static str> {
        Vec::new()
    }

    fn orphaning(&self) -> Orphaning {
        Orphaning::Collect
    }

    fn first_deletion(&self) -> FirstDeletion {
        FirstDeletion::Deletes
    }

    /// A deletion answers with the object instead of a Status.
    fn returns_deleted(&self) -> bool {
        false
    }

    /// Whether an error that is found twice is told twice: kinds whose rules
    /// upstream declares (all of its own) tell each once.
    fn repeats_errors(&self) -> bool {
        false
    }

    /// An object that cannot be read may be deleted by who says so.
    fn deletes_unreadable(&self) -> bool {
        true
    }

    /// After this time the object deletes itself.
    fn time_to_live(&self, _object: &Value) -> Option<Duration> {
        None
    }

    /// Fields that a write through the object or this subresource resets and
    /// so nobody owns by it. `["status"]` is added for the object where it has
    /// a status subresource, and the rest of the body for that.
    fn reset_fields(&self, _subresource: &str) -> &'static [&'static [&'static str]] {
        &[]
    }

    /// How the values of a version divide for ownership and apply; of custom
    /// resources only, and None where they are by what is there.
    fn structure(&self, _version: &str) -> Option<&Structure> {
        None
    }

    /// The refusal of a field selector that names `field`, for kinds that have
    /// selectable fields of their own.
    fn unselectable(&self, _definition: &Definition, _version: &Version, field: &str) -> String {
        format!("field label not supported: {field}")
    }

    /// Whether field selectors may name the namespace.
    fn selects_namespace(&self) -> bool {
        true
    }

    /// The cells of a table row, one for each column of `version`. By default
    /// the name and the age.
    fn cells(&self, _version: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        let name = apimachinery::meta::name(object);
        vec![name.into(), crate::generic::age(object, now).into()]
    }

    /// The conditions of a table row (meta/v1 TableRowCondition), such as that a pod has ended.
    fn row_conditions(&self, _object: &Value) -> Vec<Value> {
        Vec::new()
    }

    /// How tables of lists put the objects of this kind in order, and which of them they mark as
    /// the default; None where they do neither.
    fn arrange(&self) -> Option<Arrange> {
        None
    }
}

/// See [`Strategy::arrange`].
pub type Arrange = fn(&mut [Value]) -> Option<usize>;

/// A kind without anything special.
pub struct Plain;

impl Strategy for Plain {}
