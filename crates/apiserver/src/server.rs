//! The server: what it is made of, and how it is built.

use std::collections::BTreeSet;
use std::sync::Arc;

use apimachinery::Status;
use arc_swap::ArcSwap;
use edge::Edge;
use store::SharedStore;

use crate::catalogue::{Catalogue, SharedCatalogue};
use crate::metrics::{AdmissionTimings, Metrics};
use crate::view::Derivations;
use crate::{Action, Authenticator, Authorizer, Decision, NodeConnector, Plugin, View};

/// The API server. One for each store and process; shared by all connections
/// and in-process transports.
pub struct ApiServer {
    pub(crate) store: SharedStore,
    pub(crate) catalogue: SharedCatalogue,
    pub(crate) derivations: Arc<Derivations>,
    pub(crate) authenticators: Vec<Arc<dyn Authenticator>>,
    pub(crate) authorizers: Vec<Arc<dyn Authorizer>>,
    pub(crate) plugins: Vec<Plugin>,
    pub(crate) timings: AdmissionTimings,
    pub(crate) connector: ArcSwap<Option<Arc<dyn NodeConnector>>>,
    pub(crate) edge: Edge,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) health: crate::health::Health,
    pub(crate) openapi: crate::openapi::OpenApi,
    pub(crate) discovery: crate::discovery::Discovery,
    pub(crate) flow: crate::flow::Flow,
    pub(crate) recent: Arc<crate::recent::Recent>,
    pub(crate) lookback: Arc<crate::generic::Lookback>,
    pub(crate) anonymous: bool,
    pub(crate) pages: Vec<(String, Page)>,
    /// Groups and versions that other servers serve.
    pub(crate) delegated: ArcSwap<BTreeSet<(String, String)>>,
}

/// A page of no resource: its media type and body, made of what is there.
pub type Page = Box<dyn Fn(&View) -> (&'static str, Vec<u8>) + Send + Sync>;

/// Makes an [`ApiServer`].
pub struct Builder {
    store: SharedStore,
    catalogue: SharedCatalogue,
    authenticators: Vec<Arc<dyn Authenticator>>,
    authorizers: Vec<Arc<dyn Authorizer>>,
    plugins: Vec<Plugin>,
    edge: Edge,
    metrics: Arc<Metrics>,
    anonymous: bool,
    in_flight: usize,
    pages: Vec<(String, Page)>,
}

impl ApiServer {
    /// `catalogue` is the one that the store's [`crate::HeaderIndexer`] has.
    pub fn builder(store: SharedStore, catalogue: SharedCatalogue, edge: Edge) -> Builder {
        Builder {
            store,
            catalogue,
            authenticators: Vec::new(),
            authorizers: Vec::new(),
            plugins: Vec::new(),
            edge,
            metrics: Arc::default(),
            anonymous: true,
            in_flight: 600,
            pages: Vec::new(),
        }
    }

    /// Everything as it is now.
    pub fn view(&self) -> View {
        // The catalogue first: what is read with it is never older than it.
        let catalogue = self.catalogue.load_full();
        View::new(self.store.snapshot(), catalogue, self.derivations.clone())
    }

    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.catalogue.load_full()
    }

    /// Replaces the catalogue: a custom resource came, changed or went.
    pub fn set_catalogue(&self, catalogue: Catalogue) {
        self.catalogue.store(Arc::new(catalogue));
    }

    /// Groups and versions that are not this server's to answer, though it
    /// may serve resources of them.
    pub fn delegate(&self, groups: BTreeSet<(String, String)>) {
        self.delegated.store(Arc::new(groups));
    }

    /// Whether a path is below a group and version of [`ApiServer::delegate`].
    pub(crate) fn is_delegated(&self, path: &str) -> bool {
        let delegated = self.delegated.load();
        if delegated.is_empty() {
            return false;
        }
        let mut parts = path.trim_start_matches('/').split('/');
        let (group, version) = match parts.next() {
            Some("api") => ("", parts.next()),
            Some("apis") => (parts.next().unwrap_or(""), parts.next()),
            _ => return false,
        };
        version.is_some_and(|version| delegated.contains(&(group.to_owned(), version.to_owned())))
    }

    pub fn edge(&self) -> &Edge {
        &self.edge
    }

    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Whether the user may do this, by all authorizers in order.
    pub fn authorize(&self, action: &Action<'_>, view: &View) -> Decision {
        crate::decide(&self.authorizers, action, view)
    }

    /// From now on pods' logs and commands, and proxies, go out through `connector`.
    pub fn set_connector(&self, connector: Arc<dyn NodeConnector>) {
        self.connector.store(Arc::new(Some(connector)));
    }

    /// Says that a start-up step is done; `/readyz` is well when all are. See
    /// [`Builder::await_steps`].
    pub fn finish_step(&self, step: &str) {
        self.health.finish(step);
    }

    /// A refusal of the store as the client gets it.
    pub(crate) fn store_error(error: store::Error) -> Status {
        match error {
            store::Error::Compacted { .. } => {
                Status::expired("The resourceVersion for the provided watch is too old.")
            }
            store::Error::Unavailable(why) => Status::service_unavailable(why),
            store::Error::Closed => Status::service_unavailable("the server is shutting down"),
            other => Status::unknown(other.to_string()),
        }
    }
}

impl Builder {
    /// Asked in the order of these calls.
    pub fn authenticator(mut self, authenticator: Arc<dyn Authenticator>) -> Self {
        self.authenticators.push(authenticator);
        self
    }

    /// In the order in which they are asked.
    pub fn authorizers(mut self, authorizers: impl IntoIterator<Item = Arc<dyn Authorizer>>) -> Self {
        self.authorizers.extend(authorizers);
        self
    }

    /// In upstream's order.
    pub fn plugins(mut self, plugins: impl IntoIterator<Item = Plugin>) -> Self {
        self.plugins.extend(plugins);
        self
    }

    /// Requests without proof are refused instead of `system:anonymous`.
    pub fn without_anonymous(mut self) -> Self {
        self.anonymous = false;
        self
    }

    /// How many requests, watches apart, may be at work at once before 429.
    pub fn max_in_flight(mut self, requests: usize) -> Self {
        self.in_flight = requests;
        self
    }

    /// Serves a page beside the resources (`/openid/v1/jwks`), authorized as a path. Clients may
    /// keep it for an hour.
    pub fn page(mut self, path: impl Into<String>, page: Page) -> Self {
        self.pages.push((path.into(), page));
        self
    }

    /// Start-up steps (`poststarthook/rbac/bootstrap-roles`) without which
    /// `/readyz` fails until [`ApiServer::finish_step`].
    pub fn build(self, steps: &[&str]) -> Arc<ApiServer> {
        Arc::new(ApiServer {
            health: crate::health::Health::new(steps, self.edge.clock.now()),
            openapi: crate::openapi::OpenApi::default(),
            discovery: crate::discovery::Discovery::default(),
            flow: crate::flow::Flow::new(self.in_flight),
            recent: Arc::default(),
            lookback: crate::generic::Lookback::start(&self.edge.tasks, Arc::downgrade(&self.store)),
            store: self.store,
            catalogue: self.catalogue,
            derivations: Arc::default(),
            authenticators: self.authenticators,
            authorizers: self.authorizers,
            timings: AdmissionTimings::new(self.plugins.len()),
            plugins: self.plugins,
            connector: ArcSwap::from_pointee(None),
            edge: self.edge,
            metrics: self.metrics,
            anonymous: self.anonymous,
            pages: self.pages,
            delegated: ArcSwap::default(),
        })
    }
}
