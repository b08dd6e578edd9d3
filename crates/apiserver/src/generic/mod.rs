//! The verbs, written once for all kinds.

mod attempt;
mod commit;
mod configuration;
mod create;
mod delete;
mod list;
mod lookback;
mod metadata;
mod modify;
mod options;
mod ownership;
mod patch;
mod read;
pub(crate) mod scale;
mod selection;
mod update;
mod watch;

pub use modify::{Modify, Owner};
pub use options::Options;

pub(crate) use attempt::Attempt;
pub(crate) use commit::{Published, is_old, write_json};
pub(crate) use list::Listed;
pub(crate) use lookback::Lookback;
pub(crate) use metadata::{age, default_in_storage, match_namespace};
pub(crate) use ownership::shape_of;
pub(crate) use patch::Patch;
pub(crate) use scale::Sent;
pub(crate) use selection::{ListRules, Selection, revision_number};
pub(crate) use watch::{Change, Item, Watching};

use std::sync::Arc;

use apimachinery::{Status, Value};

use crate::catalogue::Resource;
use crate::input::Expected;
use crate::{Conversion, Subresource, UserInfo, Version};

/// What a request is about.
#[derive(Clone)]
pub(crate) struct Target {
    pub resource: Arc<Resource>,
    /// Index into the versions of the resource.
    pub version: usize,
    /// "" for all namespaces and for cluster-scoped resources.
    pub namespace: String,
    /// "" for the collection.
    pub name: String,
    /// "" for the object itself.
    pub subresource: String,
}

impl Target {
    pub fn version(&self) -> &Version {
        &self.resource.versions[self.version]
    }

    pub fn subresource(&self) -> Option<&Subresource> {
        self.resource.subresource(&self.subresource)
    }

    /// What a body of this version is.
    pub fn expected(&self) -> Expected<'_> {
        let version = self.version();
        Expected {
            group: &self.resource.group,
            version: &version.name,
            kind: &self.resource.kind,
            schema: version.schema,
            structural: version.structural.as_deref(),
            twins: &[],
        }
    }

    /// The conversion before admission: built-in kinds are admitted and
    /// validated as they are stored.
    pub fn early_conversion(&self) -> Option<&dyn Conversion> {
        self.version().conversion.as_deref().filter(|_| !self.resource.is_custom())
    }

    /// The conversion before the commit: custom resources are admitted and
    /// validated in the version of the request.
    pub fn late_conversion(&self) -> Option<&dyn Conversion> {
        self.version().conversion.as_deref().filter(|_| self.resource.is_custom())
    }

    /// `apps/v1`, as the request has it.
    pub fn api_version(&self) -> String {
        self.resource.api_version(&self.version().name)
    }

    /// The key of the object; for a virtual resource "".
    pub fn key(&self, name: &str) -> store::Key {
        store::Key::from(self.resource.key(&self.namespace, name).unwrap_or_default())
    }

    pub fn not_found(&self) -> Status {
        Status::not_stored(self.resource.group_resource(), &self.name)
    }
}

/// Who asks, with what program.
#[derive(Clone)]
pub(crate) struct Caller {
    pub user: Arc<UserInfo>,
    /// The User-Agent header.
    pub agent: Arc<str>,
}

/// CreateOptions, UpdateOptions and PatchOptions as far as they change a write.
#[derive(Clone, Debug, Default)]
pub(crate) struct WriteOptions {
    pub dry_run: bool,
    /// A PATCH and no PUT: another verb to ask rights for.
    pub is_patch: bool,
    pub field_manager: String,
    pub validation: FieldValidation,
    /// Whether the client asked for that validation.
    pub asks_validation: bool,
}

/// What to do about unknown and duplicate fields of a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    Ignore,
    /// The server's default.
    #[default]
    Warn,
    Strict,
}

impl FieldValidation {
    fn as_str(self) -> &'static str {
        match self {
            FieldValidation::Ignore => "Ignore",
            FieldValidation::Warn => "Warn",
            FieldValidation::Strict => "Strict",
        }
    }
}

/// What came of a request.
pub(crate) enum Outcome {
    /// A stored object (or one that would be stored), in the stored version.
    Object {
        code: u16,
        object: Published,
    },
    /// Anything else that is a tree in the version of the answer.
    Tree {
        code: u16,
        value: Value,
    },
    List(Listed),
    Watch(Box<Watching>),
}

impl WriteOptions {
    /// The owner of what is written: the manager asked for, or the program's name.
    pub fn manager<'a>(&'a self, agent: &'a str) -> std::borrow::Cow<'a, str> {
        if !self.field_manager.is_empty() {
            return self.field_manager.as_str().into();
        }
        let program = agent.split('/').next().unwrap_or("");
        if program.len() <= 128 && program.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            return program.into();
        }
        // Cut at 128 bytes, what cannot be printed dropped.
        let mut kept = String::new();
        for letter in program.chars().filter(|letter| !letter.is_control()) {
            if kept.len() + letter.len_utf8() > 128 {
                break;
            }
            kept.push(letter);
        }
        kept.into()
    }
}
