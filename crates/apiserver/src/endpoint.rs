//! Where a stream or a proxy leads: pure lookups in a view.

use std::net::IpAddr;
use std::sync::Arc;

use apimachinery::{Status, Value, time};
use edge::Random;

use crate::View;
use crate::extend::node::node_address;
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
    if target.subresource == "log" {
        check_log(query, &target.name)?;
    }
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
            for option in ["follow", "previous", "timestamps"] {
                if query.is_set(option) {
                    given.push((option.into(), "true".into()));
                }
            }
            for option in ["sinceSeconds", "sinceTime", "tailLines", "limitBytes"] {
                if let Some(value) = query.get(option).filter(|value| !value.is_empty()) {
                    given.push((option.into(), value.into()));
                }
            }
            format!("/containerLogs/{namespace}/{name}/{container}")
        }
        "portforward" => {
            given.extend(ports(query)?.into_iter().map(|port| ("port".to_owned(), port.to_string())));
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
    let node = node(view, target, node_name)?;
    node_address(&node)?;
    Ok(Some(Endpoint::Node { name: node_name.to_owned(), object: node, path: query::with(&path, &given) }))
}

/// The ports of PodPortForwardOptions: each `ports` is one, or several with commas.
///
/// # Errors
/// 400: one is no port.
pub(crate) fn ports(query: &Query) -> Result<Vec<u16>, Status> {
    let read = |text: &str| {
        text.parse::<u16>().map_err(|error| {
            let why = match error.kind() {
                std::num::IntErrorKind::PosOverflow => "value out of range",
                _ => "invalid syntax",
            };
            Status::bad_request(format!(
                "cannot convert to []int32: strconv.ParseUint: parsing {}: {why}",
                apimachinery::field::quote(text)
            ))
        })
    };
    query.all("ports").flat_map(|text| text.split(',')).map(read).collect()
}

/// A node; upstream says of one that is missing what the request is about.
fn node(view: &View, target: &Target, name: &str) -> Result<Arc<Value>, Status> {
    let node = view.get("", "nodes", "", name);
    let node = node.ok_or_else(|| Status::not_stored(target.resource.group_resource(), name))?;
    Ok(Arc::new(node.tree()))
}

/// The container that was asked for, or the only one.
fn container(pod: &Value, name: &str, asked: &str) -> Result<String, Status> {
    let names = |list: &str| -> Vec<String> {
        pod["spec"][list].items().iter().map(|container| container["name"].text().to_owned()).collect()
    };
    let all = ["initContainers", "containers", "ephemeralContainers"].map(names).concat();
    if !asked.is_empty() {
        return match all.into_iter().find(|name| name == asked) {
            Some(name) => Ok(name),
            None => Err(Status::bad_request(format!("container {asked} is not valid for pod {name}"))),
        };
    }
    match names("containers").as_slice() {
        [only] => Ok(only.clone()),
        _ => Err(Status::bad_request(format!(
            "a container name must be specified for pod {name}, choose one of: [{}]",
            all.join(" ")
        ))),
    }
}

/// PodLogOptions that cannot be read or contradict themselves.
fn check_log(query: &Query, name: &str) -> Result<(), Status> {
    use apimachinery::field::{Errors, Path};
    let mut errors = Errors::new();
    let path = |name| Path::child(&Path::Root, name);
    let seconds = query.number("sinceSeconds")?;
    let since = query.get("sinceTime").filter(|text| !text.is_empty());
    if let Some(since) = since {
        time::canonical(since).map_err(Status::bad_request)?;
    }
    let mut least = |name, value: Option<i64>, least: i64| {
        if let Some(value) = value.filter(|value| *value < least) {
            let why = format!("must be greater than{} 0", if least == 0 { " or equal to" } else { "" });
            errors.invalid(&path(name), value, &why);
        }
    };
    let (lines, bytes) = (query.number("tailLines")?, query.number("limitBytes")?);
    least("tailLines", lines, 0);
    least("limitBytes", bytes, 1);
    if seconds.is_some() && since.is_some() {
        let why = "at most one of `sinceTime` or `sinceSeconds` may be specified";
        errors.forbidden(&Path::Root.key(""), why);
    } else {
        least("sinceSeconds", seconds, 1);
    }
    if query.get("stream").is_some() {
        // Behind a gate that v1.37 has off.
        errors.forbidden(&path("stream"), "may not be specified");
    }
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid(apimachinery::status::GroupKind { group: "", kind: "PodLogOptions" }, name, &errors))
}

/// A name in a proxy's path: scheme, name and port of `name`, `name:port` or
/// `scheme:name:port`.
fn split(text: &str) -> Option<(&str, &str, &str)> {
    let parts: Vec<&str> = text.split(':').collect();
    let (scheme, name, port) = match *parts.as_slice() {
        [name] => ("", name, ""),
        [name, port] => ("", name, port),
        [scheme, name, port] => (scheme, name, port),
        _ => return None,
    };
    (!name.is_empty() && matches!(scheme, "" | "http" | "https")).then_some((scheme, name, port))
}

/// What a proxy path leads to.
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
    let Some((scheme, name, port)) = split(&target.name) else {
        let kind = target.resource.kind.to_lowercase();
        return Err(Status::bad_request(format!("invalid {kind} request {:?}", target.name)));
    };
    let tls = scheme == "https";
    match &*target.resource.resource {
        "nodes" => {
            let object = node(view, target, name)?;
            let (address, own) = node_address(&object)?;
            let address = proxyable(&address)?;
            if port.is_empty() || port.parse() == Ok(own) {
                return Ok(Endpoint::Node { name: name.to_owned(), object, path });
            }
            let port = port
                .parse()
                .map_err(|_| Status::bad_request(format!("invalid node request {:?}", target.name)))?;
            Ok(Endpoint::Address { address, port, tls, path })
        }
        "pods" => {
            let pod = view.get("", "pods", &target.namespace, name);
            let pod = pod.ok_or_else(|| Status::not_stored(target.resource.group_resource(), name))?.tree();
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
        Err(Unresolved::NoService) => Err(Status::not_stored(target.resource.group_resource(), name)),
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
/// is a port by number or name; "" is the one without a name.
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
    // A name outside answers at any port.
    if let Some(service) = view.get("", "services", namespace, name)
        && let service = service.tree()
        && service["spec"]["type"].text() == "ExternalName"
        && let Ok(port) = asked.parse()
    {
        return Ok((service["spec"]["externalName"].text().to_owned(), port));
    }
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
    // A number is one of the service's; its name is what endpoints have.
    let port_name = match asked.parse::<i64>() {
        Err(_) => asked.to_owned(),
        Ok(number) => {
            let service = view.get("", "services", namespace, name).ok_or(Unresolved::NoService)?.tree();
            let mut ports = service["spec"]["ports"].items().iter();
            let port = ports.find(|port| port["port"].as_i64() == Some(number)).ok_or_else(|| {
                Unresolved::Unready(format!("no service port {number} found for service {name:?}"))
            })?;
            port["name"].text().to_owned()
        }
    };
    let mut candidates: Vec<(String, u16)> = Vec::new();
    for slice in view.list("discovery.k8s.io", "endpointslices", namespace) {
        if slice.label("kubernetes.io/service-name") != Some(name) {
            continue;
        }
        let slice = slice.tree();
        let port = slice["ports"].items().iter().find(|port| port["name"].text() == port_name);
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
            "a container name must be specified for pod p, choose one of: [i a b]"
        );
    }

    #[test]
    fn names_in_proxy_paths_have_schemes_and_ports() {
        for (text, expected) in [
            ("a", Some(("", "a", ""))),
            ("a:", Some(("", "a", ""))),
            ("a:80", Some(("", "a", "80"))),
            ("https:a:web", Some(("https", "a", "web"))),
            ("ftp:a:80", None),
            (":80", None),
            ("http:a:80:9", None),
        ] {
            assert_eq!(split(text), expected, "{text}");
        }
    }

    #[test]
    fn log_options_are_checked() {
        for (query, why) in [
            ("tailLines=0&limitBytes=1&sinceSeconds=1&follow=x", ""),
            ("tailLines=x", "strconv.ParseInt: parsing \"x\": invalid syntax"),
            (
                "sinceTime=x",
                "parsing time \"x\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"x\" as \"2006\"",
            ),
            ("tailLines=-1", "tailLines: Invalid value: -1: must be greater than or equal to 0"),
            ("limitBytes=0", "limitBytes: Invalid value: 0: must be greater than 0"),
            ("stream=All", "stream: Forbidden: may not be specified"),
            (
                "sinceSeconds=0&sinceTime=2026-01-01T00:00:00Z",
                "[]: Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified",
            ),
        ] {
            let said =
                check_log(&Query::parse(query), "p").err().map(|status| status.message).unwrap_or_default();
            let said = said.strip_prefix("PodLogOptions \"p\" is invalid: ").unwrap_or(&said);
            assert_eq!(said, why, "{query}");
        }
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
