//! The Service `kubernetes`, its endpoints, and the range of service addresses.

use std::net::IpAddr;

use apimachinery::{Status, Value, time, value};
use apiserver::{ApiServer, Companion, Owner, View};

use super::{Cluster, create_missing, ensure};
use crate::core::service::addresses::AddressRange;
use crate::core::service::allocation::take_address;

const NAME: &str = "kubernetes";
const NAMESPACE: &str = "default";
const RANGES: (&str, &str) = ("networking.k8s.io", "servicecidrs");

pub(super) fn plan(view: &View, cluster: &Cluster) -> Vec<Companion> {
    let mut changes = Vec::new();
    let Some(primary) = cluster.service_ranges.first() else { return changes };
    changes.extend(create_missing(view, RANGES.0, RANGES.1, service_cidr(cluster)));
    let first = AddressRange::new(*primary).first();
    if view.get("", "services", NAMESPACE, NAME).is_none() {
        let service = service(first, cluster.port);
        let address = take_address(&service, NAMESPACE, &first);
        if view.get("networking.k8s.io", "ipaddresses", "", &address.name).is_none() {
            changes.push(address);
        }
        changes.extend(create_missing(view, "", "services", service));
    }
    let addresses: Vec<IpAddr> = cluster
        .advertise
        .iter()
        .copied()
        .filter(|address| !address.is_loopback() && !address.is_unspecified())
        .collect();
    if !addresses.is_empty() {
        changes.extend(publish(view, "", "endpoints", endpoints(&addresses, cluster.port), "subsets"));
        let slice = endpoint_slice(&addresses, cluster.port);
        changes.extend(publish(view, "discovery.k8s.io", "endpointslices", slice, "endpoints"));
    }
    changes
}

fn service_cidr(cluster: &Cluster) -> Value {
    let cidrs: Vec<Value> = cluster.service_ranges.iter().map(|net| net.to_string().into()).collect();
    value!({
        "kind": "ServiceCIDR",
        "apiVersion": "networking.k8s.io/v1",
        "metadata": {"name": NAME},
        "spec": {"cidrs": cidrs}
    })
}

/// Tells that the range is ready, unless somebody told before.
pub(super) async fn tell_range(server: &ApiServer) -> Result<(), Status> {
    let now = time::format(server.edge().clock.now());
    let mut change = |range: &mut Value, _: &View| {
        if range["status"]["conditions"].items().is_empty() {
            let ready = value!({
                "type": "Ready", "status": "True", "lastTransitionTime": now.as_str(), "reason": "",
                "message": "Kubernetes default Service CIDR is ready"
            });
            range.set_at(&["status", "conditions"], vec![ready]);
        }
        Ok(Vec::new())
    };
    let told = server
        .modify_status(RANGES, ("", NAME), Owner::Applies("kubernetes-service-cidr-controller"), &mut change)
        .await;
    super::ignore_absent(told.map(drop))
}

fn service(address: IpAddr, port: u16) -> Value {
    let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
    let text = address.to_string();
    value!({
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": {
            "name": NAME, "namespace": NAMESPACE,
            "labels": {"component": "apiserver", "provider": "kubernetes"}
        },
        "spec": {
            "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": port}],
            "clusterIP": text.as_str(),
            "clusterIPs": [text],
            "type": "ClusterIP",
            "sessionAffinity": "None",
            "ipFamilies": [family],
            "ipFamilyPolicy": "SingleStack",
            "internalTrafficPolicy": "Cluster"
        },
        "status": {"loadBalancer": {}}
    })
}

fn endpoints(addresses: &[IpAddr], port: u16) -> Value {
    let addresses: Vec<Value> = addresses.iter().map(|address| value!({"ip": address.to_string()})).collect();
    value!({
        "kind": "Endpoints",
        "apiVersion": "v1",
        "metadata": {
            "name": NAME, "namespace": NAMESPACE,
            "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}
        },
        "subsets": [{"addresses": addresses, "ports": [{"name": "https", "port": port, "protocol": "TCP"}]}]
    })
}

fn endpoint_slice(addresses: &[IpAddr], port: u16) -> Value {
    // One slice has one family: that of the first address.
    let four = addresses[0].is_ipv4();
    let endpoints: Vec<Value> = addresses
        .iter()
        .filter(|address| address.is_ipv4() == four)
        .map(|address| {
            let text = address.to_string();
            value!({"addresses": [text], "conditions": {"ready": true}})
        })
        .collect();
    value!({
        "kind": "EndpointSlice",
        "apiVersion": "discovery.k8s.io/v1",
        "metadata": {
            "name": NAME, "namespace": NAMESPACE, "generation": 1,
            "labels": {"kubernetes.io/service-name": NAME}
        },
        "addressType": if four { "IPv4" } else { "IPv6" },
        "endpoints": endpoints,
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}]
    })
}

/// Creates the object, or gives it this server's `field` and ports.
fn publish(
    view: &View,
    group: &str,
    resource: &str,
    object: Value,
    field: &'static str,
) -> Option<Companion> {
    ensure(view, group, resource, object, |before, object| {
        let mut updated = before.clone();
        updated.set(field, object[field].clone());
        if !object["ports"].is_null() {
            updated.set("ports", object["ports"].clone());
        }
        (updated != before).then_some(updated)
    })
}
