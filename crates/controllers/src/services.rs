//! Which pods stand behind a Service, at which ports. Pure.
//!
//! Shared by the controllers of EndpointSlices and of Endpoints, so that both
//! always say the same.

use std::sync::Arc;

use informer::{Change, Informer, ObjectKey, Queue, Whole};
use k8s_openapi::api::core::v1::{Service, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::pods::PodView;

/// A Service's port as one pod serves it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    /// "" for the only port of a Service.
    pub name: String,
    pub number: i32,
    pub protocol: String,
    pub app_protocol: Option<String>,
}

pub fn spec(service: &Service) -> Option<&ServiceSpec> {
    service.spec.as_ref()
}

/// The selector; None for a Service whose endpoints others write.
pub fn selector(service: &Service) -> Option<&std::collections::BTreeMap<String, String>> {
    let spec = spec(service)?;
    if spec.type_.as_deref() == Some("ExternalName") {
        return None;
    }
    spec.selector.as_ref().filter(|selector| !selector.is_empty())
}

pub fn selects(service: &Service, pod: &PodView) -> bool {
    let labels = |selector: &std::collections::BTreeMap<String, String>| {
        selector.iter().all(|(key, value)| pod.labels.get(key) == Some(value))
    };
    service.metadata.namespace.as_deref() == Some(pod.namespace.as_str())
        && selector(service).is_some_and(labels)
}

/// Whether the Service has no address of its own.
pub fn is_headless(service: &Service) -> bool {
    spec(service).is_some_and(|spec| spec.cluster_ip.as_deref() == Some("None"))
}

pub fn publishes_unready(service: &Service) -> bool {
    spec(service).is_some_and(|spec| spec.publish_not_ready_addresses == Some(true))
}

/// `IPv4` and `IPv6`, the primary family first.
pub fn families(service: &Service) -> Vec<String> {
    let Some(spec) = spec(service) else { return Vec::new() };
    let families = spec.ip_families.clone().unwrap_or_default();
    if !families.is_empty() {
        return families;
    }
    let six = spec.cluster_ip.as_deref().is_some_and(|ip| ip.contains(':'));
    vec![if six { "IPv6" } else { "IPv4" }.to_owned()]
}

/// The pod's address of a family.
pub fn address<'a>(pod: &'a PodView, family: &str) -> Option<&'a str> {
    pod.ips.iter().map(String::as_str).find(|ip| ip.contains(':') == (family == "IPv6"))
}

/// The Service's ports as `pod` serves them; one whose name the pod does not
/// know is left out (`podutil.FindPort`). Sorted.
pub fn ports(service: &Service, pod: &PodView) -> Vec<Port> {
    let ports = spec(service).and_then(|spec| spec.ports.as_ref());
    let mut found: Vec<Port> = ports
        .into_iter()
        .flatten()
        .filter_map(|port| {
            let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".into());
            let number = match &port.target_port {
                None | Some(IntOrString::Int(0)) => port.port,
                Some(IntOrString::Int(number)) => *number,
                Some(IntOrString::String(name)) => {
                    let named = |(known, _, of): &&(String, i32, String)| known == name && *of == protocol;
                    pod.ports.iter().find(named)?.1
                }
            };
            let name = port.name.clone().unwrap_or_default();
            Some(Port { name, number, protocol, app_protocol: port.app_protocol.clone() })
        })
        .collect();
    found.sort();
    found
}

/// The pod's name below the Service's, where it has one.
pub fn hostname(service: &Service, pod: &PodView) -> Option<String> {
    let subdomain = service.metadata.name.as_deref() == Some(pod.subdomain.as_str());
    (subdomain && !pod.hostname.is_empty()).then(|| pod.hostname.clone())
}

/// The labels of the Service itself, without the one that only says it is headless.
pub fn own_labels(service: &Service) -> std::collections::BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.remove(HEADLESS);
    labels
}

pub const HEADLESS: &str = "service.kubernetes.io/headless";

/// Puts into `queue` the Services whose endpoints a change of a pod may change.
pub fn enqueue_for_pod(
    queue: &Queue<ObjectKey>,
    services: &Informer<Whole<Service>>,
    change: &Change<'_, PodView>,
) {
    let unchanged = matches!((change.old, change.new), (Some(old), Some(new)) if same_endpoint(old, new));
    if unchanged {
        return;
    }
    for service in services.namespace(&change.key.namespace) {
        let pods: [Option<&Arc<PodView>>; 2] = [change.old, change.new];
        if pods.into_iter().flatten().any(|pod| selects(&service.0, pod)) {
            queue.add(ObjectKey::of(&service.metadata));
        }
    }
}

/// Whether two states of a pod are the same endpoint.
fn same_endpoint(old: &PodView, new: &PodView) -> bool {
    old.uid == new.uid
        && old.labels == new.labels
        && old.ips == new.ips
        && old.ports == new.ports
        && (old.ready, old.terminating, old.has_ended()) == (new.ready, new.terminating, new.has_ended())
        && (&old.node, &old.hostname, &old.subdomain) == (&new.node, &new.hostname, &new.subdomain)
}
