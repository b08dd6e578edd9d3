//! One API server for one test, and requests in short.

use std::sync::Arc;

use admission::webhooks::HttpsCaller;
use apimachinery::Value;
use apiserver::{ApiServer, Authorizer, Catalogue, LocalTransport, UserInfo};
use arc_swap::ArcSwap;
use auth::{Masters, NodeAuthorizer, Rbac, ServiceAccountTokens};
use client::{DeleteOptions, Error, Request, Resource, Transport, Verb, WriteOptions};
use edge::Edge;
use pki::ServiceAccountKeys;
use registry::loops::{self, Cluster as Network};
use store::{Limits, Memory, MemoryOptions};

pub struct Cluster {
    pub server: Arc<ApiServer>,
}

pub const PODS: Resource = Resource::new("", "v1", "pods");
pub const SERVICES: Resource = Resource::new("", "v1", "services");

impl Cluster {
    pub async fn start() -> Self {
        let now = "2026-11-01T00:00:00Z".parse().expect("a time");
        let edge = Edge::simulated(7, now);
        let directory = tempfile::tempdir().expect("a directory");
        let pki =
            pki::ClusterPki::open(directory.path(), "https://kubernetes.default.svc.cluster.local", now);
        let keys: Arc<ServiceAccountKeys> = pki.expect("keys").service_accounts;
        let authorizers: Arc<[Arc<dyn Authorizer>]> = Arc::new([
            Arc::new(Masters),
            Arc::new(NodeAuthorizer::new(loops::system_node_rules())),
            Arc::new(Rbac),
        ]);
        let settings = registry::Settings {
            authorizers: authorizers.clone(),
            tokens: Arc::new(ServiceAccountTokens::new(keys.clone())),
            keys,
            metrics: false,
            warn_ineffective: false,
        };
        let catalogue = Arc::new(ArcSwap::from_pointee(Catalogue::new(registry::definitions(&settings))));
        let store = Memory::start(MemoryOptions { edge: edge.clone(), limits: Limits::default() });
        let mut builder = ApiServer::builder(store, catalogue, edge.clone());
        for authorizer in authorizers.iter() {
            builder = builder.authorizer(authorizer.clone());
        }
        let caller = Arc::new(HttpsCaller::new(edge));
        let plugins = admission::plugins(&authorizers, auth::rbac::refuse_granting, caller);
        let server = builder.plugins(plugins).build(loops::STEPS);
        let network = Network {
            client_authority: String::new(),
            service_ranges: vec!["10.96.0.0/24".parse().expect("a range")],
            advertise: vec!["192.0.2.1".parse().expect("an address")],
            port: 6443,
        };
        loops::bootstrap(&server, &network).await.expect("bootstrapped");
        Self { server }
    }

    pub fn client(&self, user: &str, groups: &[&str]) -> Client {
        let user = UserInfo::new(user, groups);
        Client(Arc::new(LocalTransport::new(self.server.clone(), user, "test")))
    }

    pub fn admin(&self) -> Client {
        self.client("admin", &["system:masters"])
    }
}

pub struct Client(Arc<dyn Transport>);

impl Client {
    async fn call(
        &self,
        resource: &Resource,
        namespace: &str,
        name: Option<&str>,
        subresource: Option<&'static str>,
        verb: Verb,
    ) -> Result<Value, Error> {
        let request = Request {
            resource: resource.clone(),
            namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
            name: name.map(str::to_owned),
            subresource: subresource.map(Into::into),
            verb,
        };
        self.0.call(request).await?.tree()
    }

    pub async fn create(&self, resource: &Resource, namespace: &str, object: Value) -> Result<Value, Error> {
        let verb = Verb::Create { object, options: WriteOptions::default() };
        self.call(resource, namespace, None, None, verb).await
    }

    pub async fn create_in(
        &self,
        resource: &Resource,
        (namespace, name): (&str, &str),
        subresource: &'static str,
        object: Value,
    ) -> Result<Value, Error> {
        let verb = Verb::Create { object, options: WriteOptions::default() };
        self.call(resource, namespace, Some(name), Some(subresource), verb).await
    }

    pub async fn get(&self, resource: &Resource, namespace: &str, name: &str) -> Result<Value, Error> {
        self.call(resource, namespace, Some(name), None, Verb::Get).await
    }

    pub async fn update(&self, resource: &Resource, namespace: &str, object: Value) -> Result<Value, Error> {
        let name = object["metadata"]["name"].text().to_owned();
        let verb = Verb::Update { object, options: WriteOptions::default() };
        self.call(resource, namespace, Some(&name), None, verb).await
    }

    pub async fn update_in(
        &self,
        resource: &Resource,
        (namespace, name): (&str, &str),
        subresource: &'static str,
        object: Value,
    ) -> Result<Value, Error> {
        let verb = Verb::Update { object, options: WriteOptions::default() };
        self.call(resource, namespace, Some(name), Some(subresource), verb).await
    }

    pub async fn delete(&self, resource: &Resource, namespace: &str, name: &str) -> Result<Value, Error> {
        self.call(resource, namespace, Some(name), None, Verb::Delete(DeleteOptions::default())).await
    }
}
