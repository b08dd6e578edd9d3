//! The server, and what outlives it.

use std::sync::Arc;

use admission::webhooks::HttpsCaller;
use apiserver::{ApiServer, Catalogue, LocalTransport, UserInfo};
use arc_swap::ArcSwap;
use auth::ServiceAccountTokens;
use edge::Edge;
use pki::ServiceAccountKeys;
use registry::loops::{self, Cluster};
use serve::families::Families;
use store::{Limits, Memory, MemoryOptions};

use crate::Client;

/// What outlives a server: its store and its keys.
pub struct Disk {
    store: Arc<Memory>,
    pub keys: Arc<ServiceAccountKeys>,
}

impl Disk {
    /// An empty one.
    pub fn new(edge: &Edge) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let issuer = "https://kubernetes.default.svc.cluster.local";
        let pki = pki::ClusterPki::open(directory.path(), issuer, edge.clock.now());
        let keys = pki.expect("keys").service_accounts;
        let store = Memory::start(MemoryOptions { edge: edge.clone(), limits: Limits::default() });
        Self { store, keys }
    }

    /// An API server on it, bootstrapped.
    pub async fn serve(&self, edge: &Edge) -> Arc<ApiServer> {
        let authorizers = registry::authorizers();
        let families = Families::default();
        let tokens = Arc::new(ServiceAccountTokens::new(self.keys.clone(), &families));
        let settings = registry::Settings {
            authorizers: authorizers.clone(),
            tokens: tokens.clone(),
            keys: self.keys.clone(),
            metrics: true,
            warn_ineffective: false,
        };
        let catalogue = Arc::new(ArcSwap::from_pointee(Catalogue::new(registry::definitions(&settings))));
        let caller = Arc::new(HttpsCaller::new(edge.clone()));
        let plugins = admission::plugins(&authorizers, auth::rbac::refuse_granting, caller, &families);
        let server = ApiServer::builder(self.store.clone(), catalogue, edge.clone())
            .authorizers(authorizers.iter().cloned())
            .plugins(plugins)
            .build(loops::STEPS);
        let network = Cluster {
            service_ranges: vec!["10.96.0.0/24".parse().expect("a range")],
            client_authority: String::new(),
            advertise: vec!["192.0.2.1".parse().expect("an address")],
            port: 6443,
        };
        loops::bootstrap(&server, &network).await.expect("bootstrapped");
        loops::track_legacy_tokens(&server, &tokens);
        server
    }
}

/// A user's way to `server`.
pub fn client(server: &Arc<ApiServer>, user: &str, groups: &[&str]) -> Client {
    Client(Arc::new(LocalTransport::new(server.clone(), UserInfo::new(user, groups), "test")))
}
