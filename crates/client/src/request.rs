//! What can be asked of the API, as values that need no HTTP.

use std::borrow::Cow;

use apimachinery::Value;

/// A resource in one of its served versions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    /// "" is the core group.
    pub group: Cow<'static, str>,
    pub version: Cow<'static, str>,
    /// The plural of the path, such as `deployments`.
    pub plural: Cow<'static, str>,
}

impl Resource {
    pub const fn new(group: &'static str, version: &'static str, plural: &'static str) -> Self {
        Self { group: Cow::Borrowed(group), version: Cow::Borrowed(version), plural: Cow::Borrowed(plural) }
    }

    /// The resource of a typed view.
    pub fn of<K: k8s_openapi::Resource>() -> Self {
        Self::new(K::GROUP, K::VERSION, K::URL_PATH_SEGMENT)
    }

    /// `apps/v1` or `v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_string()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
}

impl std::fmt::Display for Resource {
    /// `deployments.v1.apps`, `pods.v1`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.plural, self.version)?;
        if self.group.is_empty() { Ok(()) } else { write!(f, ".{}", self.group) }
    }
}

/// One request other than a list or a watch.
#[derive(Clone, Debug)]
pub struct Request {
    pub resource: Resource,
    /// None for cluster-scoped resources.
    pub namespace: Option<String>,
    /// None for a create or a delete of a collection.
    pub name: Option<String>,
    /// Such as `status`, `scale`, `binding`, `token`.
    pub subresource: Option<Cow<'static, str>>,
    pub verb: Verb,
}

/// What to do, with what it takes.
#[derive(Clone, Debug)]
pub enum Verb {
    Get,
    Create { object: Value, options: WriteOptions },
    Update { object: Value, options: WriteOptions },
    Patch { kind: PatchKind, body: Value, options: WriteOptions },
    Delete(DeleteOptions),
    DeleteCollection { list: ListOptions, delete: DeleteOptions },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchKind {
    /// RFC 6902.
    Json,
    /// RFC 7386.
    Merge,
    Strategic,
    /// Server-side apply.
    Apply {
        force: bool,
    },
}

impl PatchKind {
    /// The media type of the patch's body.
    pub fn content_type(self) -> &'static str {
        match self {
            PatchKind::Json => "application/json-patch+json",
            PatchKind::Merge => "application/merge-patch+json",
            PatchKind::Strategic => "application/strategic-merge-patch+json",
            PatchKind::Apply { .. } => "application/apply-patch+yaml",
        }
    }
}

/// meta/v1 CreateOptions, UpdateOptions and PatchOptions.
#[derive(Clone, Debug, Default)]
pub struct WriteOptions {
    pub dry_run: bool,
    /// None: derived from the user agent.
    pub field_manager: Option<String>,
    /// `Ignore`, `Warn` or `Strict`; None is the server's default.
    pub field_validation: Option<&'static str>,
}

/// meta/v1 ListOptions, for lists and watches.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    pub label_selector: Option<String>,
    pub field_selector: Option<String>,
    /// Of the custom metrics API alone: chooses among a metric's series.
    pub metric_label_selector: Option<String>,
    /// 0 is no limit.
    pub limit: u64,
    pub continue_token: Option<String>,
    pub resource_version: Option<String>,
    /// `Exact` or `NotOlderThan`.
    pub resource_version_match: Option<&'static str>,
    pub allow_watch_bookmarks: bool,
    pub send_initial_events: Option<bool>,
    /// Watches end after so many seconds.
    pub timeout_seconds: Option<u64>,
}

impl ListOptions {
    pub fn labels(selector: impl Into<String>) -> Self {
        Self { label_selector: Some(selector.into()), ..Self::default() }
    }

    pub fn fields(selector: impl Into<String>) -> Self {
        Self { field_selector: Some(selector.into()), ..Self::default() }
    }
}

/// meta/v1 DeleteOptions.
#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    pub grace_period_seconds: Option<i64>,
    pub preconditions: Preconditions,
    pub propagation: Option<Propagation>,
    /// What was said before there were policies, of which `propagation` tells too.
    pub orphan_dependents: Option<bool>,
    pub dry_run: bool,
    /// Deletes what cannot be read, and nothing else.
    pub ignore_read_error: bool,
}

/// meta/v1 Preconditions; None holds for any object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preconditions {
    pub uid: Option<String>,
    pub resource_version: Option<String>,
}

impl DeleteOptions {
    /// Deletes only the object with this uid.
    pub fn uid(uid: impl Into<String>) -> Self {
        Self {
            preconditions: Preconditions { uid: Some(uid.into()), ..Preconditions::default() },
            ..Self::default()
        }
    }
}

/// meta/v1 DeletionPropagation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    Orphan,
    Background,
    Foreground,
}

impl Propagation {
    pub fn as_str(self) -> &'static str {
        match self {
            Propagation::Orphan => "Orphan",
            Propagation::Background => "Background",
            Propagation::Foreground => "Foreground",
        }
    }
}
