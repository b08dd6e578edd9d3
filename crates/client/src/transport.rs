//! The trait behind which the API is reached, in process or over TLS.

use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::{Document, Error, ListOptions, Request, Resource};

/// One client's way to the API, with a fixed identity and user agent.
///
/// Both forms answer alike (the contract suite of this crate holds them to
/// it): same authorization, admission and Status.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Any request but a list or a watch. A delete answers with the object
    /// or a Status.
    async fn call(&self, request: Request) -> Result<Document, Error>;

    /// A list, or a page of it. `namespace` None is all namespaces.
    async fn list(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        options: &ListOptions,
    ) -> Result<List, Error>;

    /// Events after `options.resource_version`. The stream ends when the
    /// server ends it; an error is its last item.
    async fn watch(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        options: &ListOptions,
    ) -> Result<WatchStream, Error>;
}

/// A snapshot of a resource at one revision.
#[derive(Clone, Debug, Default)]
pub struct List {
    pub items: Vec<Document>,
    pub revision: u64,
    /// Where the next page begins, unless this is the last.
    pub continue_token: Option<String>,
}

pub type WatchStream = BoxStream<'static, Result<WatchEvent, Error>>;

/// meta/v1 WatchEvent.
#[derive(Clone, Debug)]
pub struct WatchEvent {
    pub kind: WatchKind,
    /// For a bookmark only its revision counts.
    pub object: Document,
    /// This bookmark ends the initial events (`k8s.io/initial-events-end`).
    pub ends_initial_events: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchKind {
    Added,
    Modified,
    Deleted,
    Bookmark,
}
