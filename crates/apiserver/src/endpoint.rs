//! Where a stream or a proxy leads: pure lookups in a view.

use std::net::IpAddr;
use std::sync::Arc;

use apimachinery::{Status, Value};
use edge::Random;

use crate::View;
use crate::generic::Target;
use crate::query::{self, Query};
use crate::route::Route;

/// The other end, and what to ask it for.
#[derive(Debug)]
pub(crate) enum Endpoint {
    /// The server of a node.
    Node { name: String, object: Arc<Value>, path: String },
    /// A pod or a service's endpoint.
    Address { address: String, port: u16, tls: bool, path: String },
}

impl Endpoint {
    /// What it is asked for, with the query.
    pub(crate) fn path(&self) -> &str {
        match self {
            Endpoint::Node { path, .. } | Endpoint::Address { path, .. } => path,
        }
    }

    /// How it is called in a request.
    pub(crate) fn host(&self) -> String {
        match self {
            Endpoint::Node { name, .. } => name.clone(),
            Endpoint::Address { address, port, .. } if address.contains(':') => {
                format!("[{address}]:{port}")
            }
            Endpoint::Address { address, port, .. } => format!("{address}:{port}"),
        }
    }
}

/// The node of a pod, and the path of its server for this stream. None for the
/// log of a pod that no node has.
pub(crate) fn of_pod_stream(view: &View, target: &Target, query: &Query) -> Result<Option<Endpoint>, Status> {
    let pod = view.get("", "pods", &target.namespace, &target.name).ok_or_else(|| target.not_found())?.tree();
    let (namespace, name) = (&target.namespace, &target.name);
    let container = match &*target.subresource {
        "portforward" => String::new(),
        _ => container(&pod, name, query.get("container").unwrap_or(""))?,
    };
    let mut given: Vec<(String, String)> = Vec::new();
    let flag = |name: &str, on: bool, given: &mut Vec<(String, String)>| {
        if on {
            given.push((name.into(), "1".into()));
        }
    };
    let path = match &*target.subresource {
        "log" => {
            check_log(query)?;
            for option in [
                "follow",
                "previous",
                "timestamps",
                "sinceSeconds",
                "sinceTime",
                "tailLines",
                "limitBytes",
                "stream",
            ] {
                if let Some(value) = query.get(option) {
                    let value = if value.is_empty() { "true" } else { value };
                    given.push((option.into(), value.into()));
                }
            }
            format!("/containerLogs/{namespace}/{name}/{container}")
        }
        "portforward" => {
            given.extend(query.all("ports").map(|port| ("port".to_owned(), port.to_owned())));
            format!("/portForward/{namespace}/{name}")
        }
        stream => {
            given.extend(query.all("command").map(|part| ("command".to_owned(), part.to_owned())));
            flag("input", query.is_set("stdin"), &mut given);
            // Upstream's defaults: what the options do not say is off for exec, on for attach.
            let shows = |option: &str| match query.get(option) {
                None => stream == "attach",
                Some(_) => query.is_set(option),
            };
            flag("output", shows("stdout"), &mut given);
            let tty = query.is_set("tty");
            flag("error", shows("stderr") && !tty, &mut given);
            flag("tty", tty, &mut given);
            format!("/{stream}/{namespace}/{name}/{container}")
        }
    };
    let node_name = pod["spec"]["nodeName"].text();
    if node_name.is_empty() && target.subresource == "log" {
        return Ok(None);
    }
    if node_name.is_empty() {
        return Err(Status::bad_request(format!("pod {name} does not have a host assigned")));
    }
    let node = node(view, node_name)?;
    Ok(Some(Endpoint::Node { name: node_name.to_owned(), object: node, path: query::with(&path, &given) }))
}

fn node(view: &View, name: &str) -> Result<Arc<Value>, Status> {
    match view.get("", "nodes", "", name) {
        Some(node) => Ok(Arc::new(node.tree())),
        None => {
            Err(Status::not_found(apimachinery::status::GroupResource { group: "", resource: "nodes" }, name))
        }
    }
}

/// The container that was asked for, or the only one.
fn container(pod: &Value, name: &str, asked: &str) -> Result<String, Status> {
    let names = |list: &str| -> Vec<String> {
        pod["spec"][list].items().iter().map(|container| container["name"].text().to_owned()).collect()
    };
    let (containers, init, ephemeral) =
        (names("containers"), names("initContainers"), names("ephemeralContainers"));
    if asked.is_empty() {
        if let ([only], true) = (containers.as_slice(), init.is_empty() && ephemeral.is_empty()) {
            return Ok(only.clone());
        }
        if containers.len() == 1 {
            return Ok(containers[0].clone());
        }
        let mut why = format!(
            "a container name must be specified for pod {name}, choose one of: [{}]",
            containers.join(" ")
        );
        if !init.is_empty() {
            why.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
        }
        if !ephemeral.is_empty() {
            why.push_str(&format!(" or one of the ephemeral containers: [{}]", ephemeral.join(" ")));
        }
        return Err(Status::bad_request(why));
    }
    if [containers, init, ephemeral].iter().any(|names| names.iter().any(|name| name == asked)) {
        return Ok(asked.to_owned());
    }
    Err(Status::bad_request(format!("container {asked} is not valid for pod {name}")))
}

/// PodLogOptions that contradict themselves.
fn check_log(query: &Query) -> Result<(), Status> {
    use apimachinery::field::{Errors, Path};
    let mut errors = Errors::new();
    let path = |name| Path::child(&Path::Root, name);
    for (name, least) in [("tailLines", 0), ("limitBytes", 1), ("sinceSeconds", 1)] {
        let Some(text) = query.get(name).filter(|text| !text.is_empty()) else { continue };
        let Ok(value) = text.parse::<i64>() else {
            return Err(Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax")));
        };
        if value < least {
            let why = format!("must be greater than{} 0", if least == 0 { " or equal to" } else { "" });
            errors.invalid(&path(name), value, &why);
        }
    }
    if query.get("sinceSeconds").is_some() && query.get("sinceTime").is_some() {
        errors.forbidden(&Path::Root, "at most one of `sinceTime` or `sinceSeconds` may be specified");
    }
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid(apimachinery::status::GroupKind { group: "", kind: "PodLogOptions" }, "", &errors))
}

/// What a proxy path leads to. Names may be `name`, `name:port` or `scheme:name:port`.
pub(crate) fn of_proxy(
    view: &View,
    target: &Target,
    route: &Route,
    text: &str,
    random: &dyn Random,
) -> Result<Endpoint, Status> {
    let mut path = if route.rest.is_empty() { "/".to_owned() } else { route.rest.clone() };
    if !text.is_empty() {
        path.push('?');
        path.push_str(text);
    }
    let parts: Vec<&str> = target.name.split(':').collect();
    let (scheme, name, port) = match parts.as_slice() {
        [name] => ("", *name, ""),
        [name, port] => ("", *name, *port),
        [scheme, name, port] => (*scheme, *name, *port),
        _ => return Err(Status::bad_request(format!("invalid request {:?}", target.name))),
    };
    let tls = scheme == "https";
    match &*target.resource.resource {
        "nodes" => {
            let object = node(view, name)?;
            let own = object["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"].as_i64();
            if port.is_empty() || port.parse().ok() == own {
                return Ok(Endpoint::Node { name: name.to_owned(), object, path });
            }
            let addresses = object["status"]["addresses"].items();
            let address = addresses.iter().find(|address| address["type"].text() == "InternalIP");
            let address = proxyable(address.map_or("", |address| address["address"].text()))?;
            let port = port
                .parse()
                .map_err(|_| Status::bad_request(format!("invalid node request {:?}", target.name)))?;
            Ok(Endpoint::Address { address, port, tls, path })
        }
        "pods" => {
            let pod = view.get("", "pods", &target.namespace, name).ok_or_else(|| target.not_found())?.tree();
            let address = proxyable(pod["status"]["podIP"].text())?;
            let port = pod_port(&pod, port, tls)
                .ok_or_else(|| Status::bad_request(format!("pod {name} has no port {port:?}")))?;
            Ok(Endpoint::Address { address, port, tls, path })
        }
        "services" => service_endpoint(view, target, name, port, tls, path, random),
        other => Err(Status::bad_request(format!("{other} cannot be reached through a proxy"))),
    }
}

/// An address that may be asked for a client: never this machine itself or its
/// link, whatever a status says.
fn proxyable(address: &str) -> Result<String, Status> {
    let is_global = match address.parse() {
        Ok(IpAddr::V4(ip)) => {
            !(ip.is_unspecified()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_multicast()
                || ip.is_broadcast())
        }
        Ok(IpAddr::V6(ip)) => {
            !(ip.is_unspecified() || ip.is_loopback() || ip.is_unicast_link_local() || ip.is_multicast())
        }
        Err(_) => false,
    };
    if is_global { Ok(address.to_owned()) } else { Err(Status::bad_request("address not allowed")) }
}

/// A port by number or name; the pod's first one where none is asked for.
fn pod_port(pod: &Value, asked: &str, tls: bool) -> Option<u16> {
    if let Ok(number) = asked.parse() {
        return Some(number);
    }
    let ports = pod["spec"]["containers"].items().iter().flat_map(|container| container["ports"].items());
    let mut ports = ports.filter(|port| asked.is_empty() || port["name"].text() == asked);
    match ports.next().and_then(|port| port["containerPort"].as_i64()) {
        Some(number) => u16::try_from(number).ok(),
        None if asked.is_empty() => Some(if tls { 443 } else { 80 }),
        None => None,
    }
}

/// A ready endpoint of a service, chosen at random.
fn service_endpoint(
    view: &View,
    target: &Target,
    name: &str,
    asked: &str,
    tls: bool,
    path: String,
    random: &dyn Random,
) -> Result<Endpoint, Status> {
    let is_pod = |endpoint: &Value| is_a_pod(view, &target.namespace, endpoint);
    match resolve(view, &target.namespace, name, asked, random, is_pod) {
        Ok((address, port)) => Ok(Endpoint::Address { address, port, tls, path }),
        Err(Unresolved::NoService) => Err(target.not_found()),
        Err(Unresolved::Unready(why)) => Err(Status::service_unavailable(why)),
    }
}

/// Only pods are asked for clients: an endpoint that somebody wrote may say any
/// address.
fn is_a_pod(view: &View, namespace: &str, endpoint: &Value) -> bool {
    let reference = &endpoint["targetRef"];
    if reference["namespace"].text() != namespace {
        return false;
    }
    let pod = view.get("", "pods", namespace, reference["name"].text());
    let address = endpoint["addresses"][0].text();
    pod.is_some_and(|pod| {
        pod.tree()["status"]["podIPs"].items().iter().any(|one| one["ip"].text() == address)
    })
}

/// Why a service leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unresolved {
    NoService,
    /// It has no such port, or nothing behind it; in upstream's words.
    Unready(String),
}

/// Address and port of a ready endpoint of a service, chosen at random. `asked`
/// is a port by number or name; "" is the only one.
///
/// # Errors
/// Nothing can be reached through the service.
pub fn service_address(
    view: &View,
    namespace: &str,
    name: &str,
    asked: &str,
    random: &dyn Random,
) -> Result<(String, u16), Unresolved> {
    resolve(view, namespace, name, asked, random, |_| true)
}

fn resolve(
    view: &View,
    namespace: &str,
    name: &str,
    asked: &str,
    random: &dyn Random,
    may_be: impl Fn(&Value) -> bool,
) -> Result<(String, u16), Unresolved> {
    let service = view.get("", "services", namespace, name).ok_or(Unresolved::NoService)?.tree();
    let ports = service["spec"]["ports"].items();
    let number: Option<i64> = asked.parse().ok();
    let chosen = ports.iter().find(|port| match (asked, number) {
        ("", _) => ports.len() == 1 || port["name"].text().is_empty(),
        (_, Some(number)) => port["port"].as_i64() == Some(number),
        (text, None) => port["name"].text() == text,
    });
    let Some(chosen) = chosen else {
        return Err(Unresolved::Unready(match number {
            Some(number) => format!("no service port {number} found for service {name:?}"),
            None => format!("no endpoints available for service {name:?}"),
        }));
    };
    let mut candidates: Vec<(String, u16)> = Vec::new();
    for slice in view.list("discovery.k8s.io", "endpointslices", namespace) {
        if slice.label("kubernetes.io/service-name") != Some(name) {
            continue;
        }
        let slice = slice.tree();
        let port = slice["ports"].items().iter().find(|port| port["name"].text() == chosen["name"].text());
        let Some(port) =
            port.and_then(|port| port["port"].as_i64()).and_then(|port| u16::try_from(port).ok())
        else {
            continue;
        };
        for endpoint in slice["endpoints"].items() {
            if endpoint["conditions"]["ready"].as_bool() != Some(false)
                && let Some(address) = endpoint["addresses"][0].as_str()
                && may_be(endpoint)
            {
                candidates.push((address.to_owned(), port));
            }
        }
    }
    if candidates.is_empty() {
        return Err(Unresolved::Unready(format!("no endpoints available for service {name:?}")));
    }
    let at = usize::try_from(random.below(candidates.len() as u64)).unwrap_or(0);
    Ok(candidates.swap_remove(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::value;

    #[test]
    fn a_container_must_be_named_where_there_are_several() {
        let one = value!({"spec": {"containers": [{"name": "a"}]}});
        assert_eq!(container(&one, "p", "").unwrap(), "a");
        assert_eq!(container(&one, "p", "b").unwrap_err().message, "container b is not valid for pod p");
        let two = value!({"spec": {"containers": [{"name": "a"}, {"name": "b"}], "initContainers": [{"name": "i"}]}});
        assert_eq!(container(&two, "p", "i").unwrap(), "i");
        assert_eq!(
            container(&two, "p", "").unwrap_err().message,
            "a container name must be specified for pod p, choose one of: [a b] or one of the init containers: [i]"
        );
    }

    #[test]
    fn ports_are_found_by_number_name_and_order() {
        let pod = value!({"spec": {"containers": [{"name": "a", "ports": [
            {"name": "http", "containerPort": 8080}, {"name": "admin", "containerPort": 9090}]}]}});
        let cases = [("", Some(8080)), ("admin", Some(9090)), ("443", Some(443)), ("none", None)];
        for (asked, port) in cases {
            assert_eq!(pod_port(&pod, asked, false), port, "{asked:?}");
        }
        let without = value!({"spec": {"containers": [{"name": "a"}]}});
        assert_eq!((pod_port(&without, "", false), pod_port(&without, "", true)), (Some(80), Some(443)));
    }

    #[test]
    fn this_machine_is_not_asked_for_a_client() {
        for good in ["10.42.0.5", "192.0.2.10", "fd00::5"] {
            assert_eq!(proxyable(good).unwrap(), good);
        }
        for bad in ["", "127.0.0.1", "::1", "169.254.169.254", "fe80::1", "0.0.0.0", "224.0.0.1", "name"] {
            assert_eq!(proxyable(bad).unwrap_err().message, "address not allowed", "{bad}");
        }
    }
}
