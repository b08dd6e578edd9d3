//! Tells of each APIService whether its server is available, and routes the
//! paths of the groups that are not this server's own.
//!
//! Looks whenever an API service changed, and while there are any with a
//! service behind them, whenever a Service or its endpoints changed; never on a
//! period.

use std::collections::BTreeSet;
use std::sync::Arc;

use apimachinery::field::quote;
use apimachinery::{Status, Value};
use apiserver::{ApiServer, Changes, OWN_MANAGER, Owner, View};

use super::ignore_absent;
use crate::conditions::{self, Told};

const API_SERVICES: (&str, &str) = ("apiregistration.k8s.io", "apiservices");
const SLICES: (&str, &str) = ("discovery.k8s.io", "endpointslices");
const AVAILABLE: &str = "Available";

/// The loop; changes count from its making on.
pub(super) struct Availability {
    changes: Option<[Changes; 3]>,
}

impl Availability {
    pub fn new(server: &ApiServer) -> Self {
        let of = |(group, plural): (&str, &str)| server.changes(group, plural);
        let changes = match (of(API_SERVICES), of(("", "services")), of(SLICES)) {
            (Some(own), Some(services), Some(slices)) => Some([own, services, slices]),
            _ => None,
        };
        Self { changes }
    }

    /// Passes at once and whenever something changed, until the store closes.
    pub async fn run(self, server: Arc<ApiServer>) {
        let Some([mut own, mut services, mut slices]) = self.changes else { return };
        loop {
            let has_remote = pass(&server).await.unwrap_or_else(|status| {
                tracing::warn!(why = status.message, "the availability of API services could not be told");
                true
            });
            let open = if has_remote {
                tokio::select! {
                    biased;
                    open = own.next() => open,
                    open = services.next() => open,
                    open = slices.next() => open,
                }
            } else {
                own.next().await
            };
            if !open {
                return;
            }
        }
    }
}

/// Whether there are any with a service behind them.
async fn pass(server: &ApiServer) -> Result<bool, Status> {
    let view = server.view();
    let now = server.edge().clock.now();
    let mut delegated = BTreeSet::new();
    let mut behind = Vec::new();
    for stored in view.list(API_SERVICES.0, API_SERVICES.1, "") {
        let tree = stored.tree();
        if !tree["spec"]["service"].is_null() {
            let spec = &tree["spec"];
            delegated.insert((spec["group"].text().to_owned(), spec["version"].text().to_owned()));
        }
        if !is_told(&tree, &state(&view, &tree)) {
            behind.push(stored.name().to_owned());
        }
    }
    let has_remote = !delegated.is_empty();
    server.delegate(delegated);
    for name in behind {
        let mut change = |tree: &mut Value, view: &View| {
            let State { status, reason, message } = state(view, tree);
            conditions::set(tree, Told { kind: AVAILABLE, status, reason, message: &message }, now);
            Ok(Vec::new())
        };
        ignore_absent(
            server
                .modify_status(API_SERVICES, ("", &name), Owner::Updates(OWN_MANAGER), &mut change)
                .await
                .map(drop),
        )?;
    }
    Ok(has_remote)
}

/// What the condition says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    status: bool,
    reason: &'static str,
    message: String,
}

fn is_told(api_service: &Value, state: &State) -> bool {
    conditions::find(api_service, AVAILABLE).is_some_and(|told| {
        told["status"].text() == if state.status { "True" } else { "False" }
            && told["reason"].text() == state.reason
            && told["message"].text() == state.message
    })
}

fn state(view: &View, api_service: &Value) -> State {
    let reference = &api_service["spec"]["service"];
    if reference.is_null() {
        let message = "Local APIServices are always available".to_owned();
        return State { status: true, reason: "Local", message };
    }
    let (namespace, name) = (reference["namespace"].text(), reference["name"].text());
    let service = view.get("", "services", namespace, name).map(|stored| stored.tree());
    let slices: Vec<Value> = view
        .list(SLICES.0, SLICES.1, namespace)
        .filter(|slice| slice.label("kubernetes.io/service-name") == Some(name))
        .map(|slice| slice.tree())
        .collect();
    remote_state(reference, service.as_ref(), &slices)
}

/// Why the server behind a service cannot be reached, in upstream's order.
fn remote_state(reference: &Value, service: Option<&Value>, slices: &[Value]) -> State {
    let (namespace, name) = (quote(reference["namespace"].text()), reference["name"].text());
    let unavailable = |reason, message| State { status: false, reason, message };
    let Some(service) = service else {
        return unavailable("ServiceNotFound", format!("service/{name} in {namespace} is not present"));
    };
    if service["spec"]["type"].text() == "ClusterIP" {
        let asked = reference["port"].as_i64().unwrap_or(443);
        let mut ports = service["spec"]["ports"].items().iter();
        let Some(port) = ports.find(|port| port["port"].as_i64() == Some(asked)) else {
            let message = format!("service/{name} in {namespace} is not listening on port {asked}");
            return unavailable("ServicePortError", message);
        };
        if slices.is_empty() {
            let message = format!("cannot find endpointslices for service/{name} in {namespace}");
            return unavailable("EndpointsNotFound", message);
        }
        let port = port["name"].text();
        if !slices.iter().any(|slice| serves(slice, port)) {
            let message = format!(
                "endpointslices for service/{name} in {namespace} have no addresses with port name {}",
                quote(port)
            );
            return unavailable("MissingEndpoints", message);
        }
    }
    // Requests are not passed on yet, so that nobody may rely on the server.
    let message = format!("service/{name} in {namespace} is not asked: this server passes no requests on");
    unavailable("FailedDiscoveryCheck", message)
}

/// Whether a slice has a ready endpoint, and the port.
fn serves(slice: &Value, port: &str) -> bool {
    let is_ready = |endpoint: &Value| endpoint["conditions"]["ready"].as_bool() != Some(false);
    slice["endpoints"].items().iter().any(is_ready)
        && slice["ports"]
            .items()
            .iter()
            .any(|have| have["name"].as_str() == Some(port) && have["port"].as_i64().is_some())
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn the_first_thing_that_is_missing_is_told() {
        let reference = value!({"namespace": "n", "name": "s", "port": 443});
        let service =
            |port: i64| value!({"spec": {"type": "ClusterIP", "ports": [{"name": "https", "port": port}]}});
        let slice = |ready: bool, port: &str| {
            value!({
                "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": ready}}],
                "ports": [{"name": port, "port": 8443}]
            })
        };
        let external = value!({"spec": {"type": "ExternalName"}});
        for (service, slices, reason) in [
            (None, vec![], "ServiceNotFound"),
            (Some(service(80)), vec![], "ServicePortError"),
            (Some(service(443)), vec![], "EndpointsNotFound"),
            (Some(service(443)), vec![slice(false, "https")], "MissingEndpoints"),
            (Some(service(443)), vec![slice(true, "other")], "MissingEndpoints"),
            (Some(service(443)), vec![slice(true, "https")], "FailedDiscoveryCheck"),
            (Some(external), vec![], "FailedDiscoveryCheck"),
        ] {
            let state = remote_state(&reference, service.as_ref(), &slices);
            assert_eq!((state.reason, state.status), (reason, false), "{state:?}");
        }
    }
}
