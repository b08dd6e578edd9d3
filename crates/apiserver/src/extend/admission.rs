//! Admission: what may be changed in, or said against, a write after
//! authorization. Plugins run in the order in which they were added.

use apimachinery::{Status, Value};
use edge::Random;
use jiff::Timestamp;

use crate::{Companion, Definition, UserInfo, Version, View};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

impl Operation {
    /// `CREATE`.
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Create => "CREATE",
            Operation::Update => "UPDATE",
            Operation::Delete => "DELETE",
            Operation::Connect => "CONNECT",
        }
    }
}

/// A write as admission sees it (admission.Attributes).
#[derive(Clone, Copy)]
pub struct Admission<'a> {
    pub operation: Operation,
    pub definition: &'a Definition,
    pub version: &'a Version,
    /// "" for cluster-scoped objects. For a Namespace itself: its name.
    pub namespace: &'a str,
    /// "" for a create whose name is not known yet, and for a deletion of many.
    pub name: &'a str,
    /// "" for the object itself.
    pub subresource: &'a str,
    pub user: &'a UserInfo,
    /// The object as stored before, in the stored version; None for a create.
    /// Of a connect: None.
    pub old: Option<&'a Value>,
    /// CreateOptions, UpdateOptions, DeleteOptions … as a tree.
    pub options: &'a Value,
    pub dry_run: bool,
    pub view: &'a View,
    pub random: &'a dyn Random,
    pub now: Timestamp,
}

impl Admission<'_> {
    /// Whether this is about resource `resource` of `group` itself (no subresource).
    pub fn is_of(&self, group: &str, resource: &str) -> bool {
        self.subresource.is_empty() && self.definition.group == group && self.definition.resource == resource
    }

    /// The refusal of a plugin in upstream's words: `pods "x" is forbidden: why`.
    pub fn forbid(&self, object: &Value, why: impl std::fmt::Display) -> Status {
        let own = apimachinery::meta::name(object);
        let name = if self.name.is_empty() { own } else { self.name };
        Status::forbidden(self.definition.group_resource(), name, &why.to_string())
    }
}

/// What admission leaves beside its verdict.
#[derive(Debug, Default)]
pub struct Notes {
    /// Warning headers.
    pub warnings: Vec<String>,
    /// Committed in the same transaction.
    pub companions: Vec<Companion>,
    /// Annotations for the audit log.
    pub audit: Vec<(String, String)>,
}

/// One plugin. Trees are in the stored version. Pure apart from the view.
///
/// The body of a subresource with a kind of its own (Eviction, Binding, Scale,
/// TokenRequest) is given as that kind. For a deletion `object` is null.
pub trait AdmissionPlugin: Send + Sync + 'static {
    /// Upstream's name of the plugin, such as `NamespaceLifecycle`.
    fn name(&self) -> &'static str;

    /// Whether the plugin looks at this write at all.
    fn handles(&self, admission: &Admission<'_>) -> bool;

    /// Changes the object. Defaults are applied again after it.
    ///
    /// # Errors
    /// The refusal, as the client gets it.
    fn admit(
        &self,
        _admission: &Admission<'_>,
        _object: &mut Value,
        _notes: &mut Notes,
    ) -> Result<(), Status> {
        Ok(())
    }

    /// Looks at the object as it will be stored.
    ///
    /// # Errors
    /// The refusal, as the client gets it.
    fn validate(
        &self,
        _admission: &Admission<'_>,
        _object: &Value,
        _notes: &mut Notes,
    ) -> Result<(), Status> {
        Ok(())
    }
}
