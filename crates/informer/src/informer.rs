//! The reflector: list once, then watch, and again whenever the watch breaks.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use client::{Document, Error, ListOptions, Resource, Transport, WatchKind};
use edge::Edge;
use futures::StreamExt;
use parking_lot::{Mutex, RwLock};
use tokio::sync::SetOnce;

use crate::cache::Cache;
use crate::{Backoff, Index, ObjectKey, Projection};

/// What to reflect.
pub struct Options<P> {
    /// None: all namespaces (or a cluster-scoped resource).
    pub namespace: Option<String>,
    pub label_selector: Option<String>,
    pub field_selector: Option<String>,
    pub indexes: Vec<Index<P>>,
}

impl<P> Default for Options<P> {
    fn default() -> Self {
        Self { namespace: None, label_selector: None, field_selector: None, indexes: Vec::new() }
    }
}

impl<P> Options<P> {
    pub fn fields(selector: impl Into<String>) -> Self {
        Self { field_selector: Some(selector.into()), ..Self::default() }
    }

    pub fn indexed(indexes: Vec<Index<P>>) -> Self {
        Self { indexes, ..Self::default() }
    }
}

/// One change of an object, as a handler is told of it: `old` None is an
/// addition, `new` None a removal.
pub struct Change<'a, P> {
    pub key: &'a ObjectKey,
    pub old: Option<&'a Arc<P>>,
    pub new: Option<&'a Arc<P>>,
}

type Handler<P> = Box<dyn Fn(Change<'_, P>) + Send + Sync>;

struct Shared<P> {
    resource: Resource,
    cache: RwLock<Cache<P>>,
    /// Held while handlers are told, so that a new one misses nothing and
    /// each sees changes in order.
    handlers: Mutex<Vec<Handler<P>>>,
    /// Wakes those who wait in their order, so that a simulation repeats itself.
    synced: SetOnce<()>,
}

/// A view of a resource that follows it. Clones share the view; it ends with
/// the task group of the [`Edge`] it was started with.
pub struct Informer<P>(Arc<Shared<P>>);

impl<P> Clone for Informer<P> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<P: Projection> Informer<P> {
    /// Starts to reflect `resource`.
    pub fn start(
        edge: &Edge,
        transport: Arc<dyn Transport>,
        resource: Resource,
        options: Options<P>,
    ) -> Self {
        let shared = Arc::new(Shared {
            resource,
            cache: RwLock::new(Cache::new(options.indexes)),
            handlers: Mutex::default(),
            synced: SetOnce::new(),
        });
        let reflector = Reflector {
            shared: shared.clone(),
            transport,
            edge: edge.clone(),
            namespace: options.namespace,
            selection: ListOptions {
                label_selector: options.label_selector,
                field_selector: options.field_selector,
                ..ListOptions::default()
            },
        };
        edge.tasks.spawn(reflector.run());
        Self(shared)
    }

    /// Waits until the first list is in the cache and the handlers know it.
    pub async fn synced(&self) {
        self.0.synced.wait().await;
    }

    pub fn is_synced(&self) -> bool {
        self.0.synced.initialized()
    }

    pub fn get(&self, key: &ObjectKey) -> Option<Arc<P>> {
        self.0.cache.read().get(key).cloned()
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.0.cache.read().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every object, in order of key.
    pub fn list(&self) -> Vec<Arc<P>> {
        self.0.cache.read().iter().map(|(_, item)| item.clone()).collect()
    }

    /// The objects of one namespace, in order of name.
    pub fn namespace(&self, namespace: &str) -> Vec<Arc<P>> {
        self.0.cache.read().namespace(namespace).cloned().collect()
    }

    /// The objects found under `value` in the index `name`.
    ///
    /// # Panics
    /// Where the informer was started without that index.
    pub fn by_index(&self, name: &str, value: &str) -> Vec<Arc<P>> {
        self.0.cache.read().by_index(name, value)
    }

    /// Tells `handler` of every object that is there and of every change from
    /// now on. It runs on the reflector's task: it must be quick and not block.
    pub fn on_change(&self, handler: impl Fn(Change<'_, P>) + Send + Sync + 'static) {
        let mut handlers = self.0.handlers.lock();
        let present: Vec<_> =
            self.0.cache.read().iter().map(|(key, item)| (key.clone(), item.clone())).collect();
        for (key, item) in &present {
            handler(Change { key, old: None, new: Some(item) });
        }
        handlers.push(Box::new(handler));
    }
}

impl<P: Projection> Shared<P> {
    fn put(&self, key: &ObjectKey, new: Option<Arc<P>>) {
        let handlers = self.handlers.lock();
        let old = self.cache.write().put(key, new.clone());
        if old.is_none() && new.is_none() {
            return;
        }
        for handler in handlers.iter() {
            handler(Change { key, old: old.as_ref(), new: new.as_ref() });
        }
    }

    fn project(&self, document: &Document) -> Option<P> {
        P::project(document)
            .inspect_err(|error| {
                tracing::error!(resource = %self.resource, %error, "an object was left out of the view")
            })
            .ok()
    }

    /// Makes the cache hold exactly `documents`.
    fn replace(&self, documents: &[Document]) {
        let mut present = BTreeSet::new();
        for item in documents.iter().filter_map(|document| self.project(document)) {
            let key = item.key();
            self.put(&key, Some(Arc::new(item)));
            present.insert(key);
        }
        let gone = self.cache.read().missing_from(&present);
        for key in gone {
            self.put(&key, None);
        }
        // Again after each new list.
        let _ = self.synced.set(());
    }

    fn apply(&self, kind: WatchKind, document: &Document) {
        if kind == WatchKind::Bookmark {
            return;
        }
        if let Some(item) = self.project(document) {
            self.put(&item.key(), (kind != WatchKind::Deleted).then(|| Arc::new(item)));
        }
    }
}

/// How many objects one page of the first list holds.
const PAGE: u64 = 1000;

struct Reflector<P> {
    shared: Arc<Shared<P>>,
    transport: Arc<dyn Transport>,
    edge: Edge,
    namespace: Option<String>,
    selection: ListOptions,
}

impl<P: Projection> Reflector<P> {
    async fn run(self) {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30));
        // The revision from which to watch on; None: list first.
        let mut at: Option<u64> = None;
        loop {
            let step = match at {
                None => self.list().await.map(|revision| at = Some(revision)),
                Some(revision) => {
                    let mut reached = revision;
                    let step = self.watch(&mut reached).await;
                    if reached > revision {
                        backoff.reset();
                    }
                    at = Some(reached);
                    step
                }
            };
            match step {
                Ok(()) => backoff.reset(),
                Err(error) => {
                    if error.is_expired() {
                        at = None;
                    }
                    let pause = backoff.pause(self.edge.random.fraction());
                    tracing::debug!(resource = %self.shared.resource, %error, ?pause, "the watch will be taken up again");
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    async fn list(&self) -> Result<u64, Error> {
        let mut documents = Vec::new();
        let mut page = ListOptions { limit: PAGE, ..self.selection.clone() };
        loop {
            let list = self.transport.list(&self.shared.resource, self.namespace.as_deref(), &page).await?;
            documents.extend(list.items);
            match list.continue_token {
                Some(token) => page.continue_token = Some(token),
                None => {
                    self.shared.replace(&documents);
                    return Ok(list.revision);
                }
            }
        }
    }

    /// Follows the resource from `revision` on, which it moves along.
    async fn watch(&self, revision: &mut u64) -> Result<(), Error> {
        let options = ListOptions {
            resource_version: Some(revision.to_string()),
            allow_watch_bookmarks: true,
            ..self.selection.clone()
        };
        let mut events =
            self.transport.watch(&self.shared.resource, self.namespace.as_deref(), &options).await?;
        while let Some(event) = events.next().await {
            let event = event?;
            self.shared.apply(event.kind, &event.object);
            *revision = event.object.revision().max(*revision);
        }
        Ok(())
    }
}
