//! Objects that Corten brings along beside upstream's own: the name service's
//! Service and its rights, as CoreDNS's manifests have them, and the API
//! server's rights on nodes.

use std::net::IpAddr;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use apimachinery::{Value, meta, value};
use client::{Request, Resource, Transport, Verb, WriteOptions};

/// The name service's identity: `system:serviceaccount:kube-system:coredns`.
pub const DNS_ACCOUNT: &str = "coredns";

/// Writes what is missing; what is there stays as its administrator left it.
pub async fn install(transport: &Arc<dyn Transport>, dns: &[IpAddr]) -> Result<()> {
    for (resource, object) in objects(dns) {
        let namespace = Some(meta::namespace(&object).to_owned()).filter(|namespace| !namespace.is_empty());
        let name = meta::name(&object).to_owned();
        let request = |name, verb| Request {
            resource: resource.clone(),
            namespace: namespace.clone(),
            name,
            subresource: None,
            verb,
        };
        match transport.call(request(Some(name.clone()), Verb::Get)).await {
            Ok(_) => continue,
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(anyhow!("{resource} {name}: {error}")),
        }
        let create = Verb::Create { object, options: WriteOptions::default() };
        match transport.call(request(None, create)).await {
            Err(error) if !error.is_already_exists() => return Err(anyhow!("{resource} {name}: {error}")),
            _ => {}
        }
    }
    Ok(())
}

fn objects(dns: &[IpAddr]) -> Vec<(Resource, Value)> {
    const RBAC: &str = "rbac.authorization.k8s.io";
    let core = |plural| Resource::new("", "v1", plural);
    let rbac = |plural| Resource::new(RBAC, "v1", plural);
    let addresses: Vec<Value> = dns.iter().map(|address| Value::from(address.to_string())).collect();
    let first = addresses.first().cloned().unwrap_or_default();
    let policy = if addresses.len() > 1 { "PreferDualStack" } else { "SingleStack" };
    let read = value!(["list", "watch"]);
    vec![
        (
            core("serviceaccounts"),
            value!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": DNS_ACCOUNT, "namespace": "kube-system"}}),
        ),
        (
            rbac("clusterroles"),
            value!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
                "metadata": {"name": "system:coredns"},
                "rules": [
                    {"apiGroups": [""], "resources": ["endpoints", "services", "pods", "namespaces"], "verbs": (read.clone())},
                    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": read}
                ]
            }),
        ),
        (
            rbac("clusterrolebindings"),
            value!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
                "metadata": {"name": "system:coredns"},
                "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "system:coredns"},
                "subjects": [{"kind": "ServiceAccount", "name": DNS_ACCOUNT, "namespace": "kube-system"}]
            }),
        ),
        // What lets the API server ask nodes for logs and commands.
        (
            rbac("clusterrolebindings"),
            value!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
                "metadata": {"name": "system:kube-apiserver-to-kubelet"},
                "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "system:kubelet-api-admin"},
                "subjects": [{"kind": "User", "apiGroup": RBAC, "name": "kube-apiserver-kubelet-client"}]
            }),
        ),
        (
            core("services"),
            value!({
                "apiVersion": "v1", "kind": "Service",
                "metadata": {
                    "name": "kube-dns", "namespace": "kube-system",
                    "labels": {"k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"}
                },
                "spec": {
                    "clusterIP": first,
                    "clusterIPs": addresses,
                    "ipFamilyPolicy": policy,
                    "ports": [
                        {"name": "dns", "port": 53, "protocol": "UDP"},
                        {"name": "dns-tcp", "port": 53, "protocol": "TCP"}
                    ]
                }
            }),
        ),
    ]
}
