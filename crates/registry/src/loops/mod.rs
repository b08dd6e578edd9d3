//! What kube-apiserver does by itself wherever the API runs: system
//! namespaces, bootstrap roles and flow control, the `kubernetes` Service, the
//! range of service addresses and the authority of clients.
//!
//! Pure plans of what should be there; `bootstrap` writes what is missing in
//! one or few transactions. Definitions of custom resources, API services, flow
//! schemas and addresses of Services have loops of their own from then on. Nothing here runs on a period.

mod addresses;
mod authentication;
mod availability;
mod builtin;
mod definitions;
mod flow_schemas;
mod kubernetes_service;
mod legacy_tokens;
mod namespaces;
mod policy_types;
mod rbac;

use std::net::IpAddr;
use std::sync::Arc;

use apimachinery::{Status, Value, meta};
use apiserver::{ApiServer, Change, Companion, OWN_MANAGER, UserInfo, View};
use ipnet::IpNet;
use jiff::Timestamp;

pub use builtin::system_node_rules;

/// The steps of `/readyz` that [`bootstrap`] finishes.
pub const STEPS: &[&str] = &[
    "poststarthook/rbac/bootstrap-roles",
    "poststarthook/scheduling/bootstrap-system-priority-classes",
    "poststarthook/priority-and-fairness-config-producer",
    "poststarthook/bootstrap-controller",
    "poststarthook/start-system-namespaces-controller",
    "poststarthook/apiservice-registration-controller",
];

/// What the objects of a cluster depend on.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Ranges of service addresses, the primary one first.
    pub service_ranges: Vec<IpNet>,
    /// Addresses under which this API server is reached; none leaves the
    /// endpoints of `kubernetes` alone.
    pub advertise: Vec<IpAddr>,
    /// The port at which it is reached.
    pub port: u16,
    /// By which clients' certificates are signed, in PEM.
    pub client_authority: String,
}

/// Writes what is missing of a cluster's own objects, brings built-in roles up
/// to date, publishes this server's address and serves custom resources, from
/// then on as their definitions change. Takes a few milliseconds.
///
/// # Errors
/// The store's refusal.
pub async fn bootstrap(server: &Arc<ApiServer>, cluster: &Cluster) -> Result<(), Status> {
    let view = server.view();
    let changes = plan(&view, cluster, server.edge().clock.now());
    server.seed(changes).await?;
    kubernetes_service::tell_range(server).await?;
    let mut definitions = definitions::Definitions::new(server);
    definitions.pass(server).await?;
    let tasks = &server.edge().tasks;
    tasks.spawn(definitions.run(server.clone()));
    tasks.spawn(addresses::Addresses::new(server).run(server.clone()));
    tasks.spawn(availability::Availability::new(server).run(server.clone()));
    tasks.spawn(flow_schemas::FlowSchemas::new(server).run(server.clone()));
    for step in STEPS {
        server.finish_step(step);
    }
    Ok(())
}

/// From then on, policies tell what is wrong with the types in their
/// expressions, as they do where there are controllers.
pub fn check_policy_types(server: &Arc<ApiServer>) {
    server.edge().tasks.spawn(policy_types::PolicyTypes::new(server).run(server.clone()));
}

/// From then on, a Secret tells when a token that lies in it is used: its label
/// says the day.
pub fn track_legacy_tokens(server: &Arc<ApiServer>, tokens: &auth::ServiceAccountTokens) {
    server.edge().tasks.spawn(legacy_tokens::run(server.clone(), legacy_tokens::listen(tokens)));
}

/// Everything that is to be written, in order.
fn plan(view: &View, cluster: &Cluster, now: Timestamp) -> Vec<Companion> {
    let mut changes = namespaces::plan(view);
    changes.extend(builtin::plan(view, now));
    changes.extend(kubernetes_service::plan(view, cluster));
    changes.extend(legacy_tokens::plan(view, now));
    changes.extend(authentication::plan(view, &cluster.client_authority));
    changes
}

/// As whom the API's own loops write.
fn own_user() -> Arc<UserInfo> {
    Arc::new(UserInfo::new("system:apiserver", &["system:masters", "system:authenticated"]))
}

/// Whatever a loop wrote about may be gone by then.
fn ignore_absent(result: Result<(), Status>) -> Result<(), Status> {
    match result {
        Err(status) if status.is("NotFound") => Ok(()),
        other => other,
    }
}

/// The creation of `object`, unless it is there.
fn create_missing(view: &View, group: &str, resource: &str, object: Value) -> Option<Companion> {
    ensure(view, group, resource, object, |_, _| None)
}

/// The creation of `object`; where it is there, what `mend` makes of what is
/// stored, which comes first, and of `object`, if anything.
fn ensure(
    view: &View,
    group: &str,
    resource: &str,
    object: Value,
    mend: impl FnOnce(Value, &Value) -> Option<Value>,
) -> Option<Companion> {
    let (namespace, name) = (meta::namespace(&object).to_owned(), meta::name(&object).to_owned());
    let change = match view.get(group, resource, &namespace, &name) {
        None => Change::Create(object),
        Some(stored) => Change::Update { object: mend(stored.tree(), &object)?, revision: stored.revision() },
    };
    Some(Companion {
        group: group.into(),
        resource: resource.into(),
        namespace,
        name,
        manager: OWN_MANAGER,
        change,
    })
}
