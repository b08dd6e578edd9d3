//! The pod's sandbox as the runtime wants it, and the files that belong to
//! the pod as a whole: /etc/hosts, /etc/resolv.conf, /etc/hostname. Pure.

mod hosts;
mod resolv;

use std::collections::BTreeMap;
use std::path::PathBuf;

use k8s_openapi::api::core::v1::Pod;
use runtime::SandboxConfig;

use crate::container::config::labels;
use crate::container::resources;
use crate::drivers::PortMapping;
use crate::pod::spec::{PodExt, Role};

pub use hosts::{hosts, hosts_of_node};
pub use resolv::{ResolvConf, resolv_conf};

/// Longest host name of the kernel.
const LONGEST_NAME: usize = 63;

/// The pod's short host name.
pub fn hostname(pod: &Pod) -> String {
    let spec = pod.spec();
    let name = spec
        .hostname_override
        .as_deref()
        .or(spec.hostname.as_deref())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| pod.name());
    let cut = &name[..name.floor_char_boundary(LONGEST_NAME)];
    cut.trim_end_matches(['-', '.']).to_owned()
}

/// `hostname.subdomain.namespace.svc.DOMAIN`, where there is a subdomain.
pub fn domain_name(pod: &Pod, cluster_domain: &str) -> Option<String> {
    let subdomain = pod.spec().subdomain.as_deref().filter(|name| !name.is_empty())?;
    Some(format!("{}.{subdomain}.{}.svc.{cluster_domain}", hostname(pod), pod.namespace()))
}

/// The name that the kernel has inside the pod.
pub fn kernel_hostname(pod: &Pod, cluster_domain: &str) -> String {
    let full = domain_name(pod, cluster_domain).filter(|_| pod.spec().set_hostname_as_fqdn == Some(true));
    full.unwrap_or_else(|| hostname(pod))
}

/// The sandbox of the pod. `logs` is the directory of all pods' logs.
pub fn config(
    pod: &Pod,
    attempt: u32,
    cgroup_root: &str,
    cluster_domain: &str,
    logs: PathBuf,
) -> SandboxConfig {
    let spec = pod.spec();
    let security = spec.security_context.as_ref();
    let sysctls = security.and_then(|one| one.sysctls.as_ref()).into_iter().flatten();
    let mut sysctls: BTreeMap<String, String> =
        sysctls.map(|one| (one.name.replace('/', "."), one.value.clone())).collect();
    if !pod.is_host_network() {
        // As container runtimes do, so that nobody needs a capability for it.
        sysctls.entry("net.ipv4.ip_unprivileged_port_start".into()).or_insert_with(|| "0".into());
        sysctls.entry("net.ipv4.ping_group_range".into()).or_insert_with(|| "0 2147483647".into());
    }
    SandboxConfig {
        uid: pod.uid().into(),
        name: pod.name().into(),
        namespace: pod.namespace().into(),
        attempt,
        hostname: kernel_hostname(pod, cluster_domain),
        host_network: pod.is_host_network(),
        host_pid: spec.host_pid == Some(true),
        host_ipc: spec.host_ipc == Some(true),
        share_process_namespace: spec.share_process_namespace == Some(true),
        sysctls,
        cgroup_parent: resources::cgroup(cgroup_root, pod),
        resources: resources::of_pod(pod),
        log_directory: logs.join(format!("{}_{}_{}", pod.namespace(), pod.name(), pod.uid())),
        labels: [
            (labels::POD_NAME.to_owned(), pod.name().to_owned()),
            (labels::POD_NAMESPACE.to_owned(), pod.namespace().to_owned()),
            (labels::POD_UID.to_owned(), pod.uid().to_owned()),
        ]
        .into(),
        annotations: BTreeMap::new(),
    }
}

/// The host ports that the network maps; a pod in the host's network has its
/// ports anyway.
pub fn port_mappings(pod: &Pod) -> Vec<PortMapping> {
    if pod.is_host_network() {
        return Vec::new();
    }
    let containers = pod.containers().filter(|(role, _)| *role != Role::Init);
    let ports = containers.flat_map(|(_, container)| container.ports.iter().flatten());
    ports
        .filter_map(|port| {
            Some(PortMapping {
                host_ip: port.host_ip.as_deref().and_then(|ip| ip.parse().ok()),
                host_port: u16::try_from(port.host_port?).ok().filter(|port| *port > 0)?,
                container_port: u16::try_from(port.container_port).ok()?,
                protocol: port.protocol.clone().unwrap_or_else(|| "TCP".into()),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(spec: serde_json::Value) -> Pod {
        serde_json::from_value(
            json!({"metadata": {"name": "p", "namespace": "ns", "uid": "u"}, "spec": spec}),
        )
        .unwrap()
    }

    #[test]
    fn names() {
        let long = "a".repeat(62) + "-b";
        let rows = [
            (json!({"containers": []}), "p", None),
            (json!({"containers": [], "hostname": "h"}), "h", None),
            (
                json!({"containers": [], "hostname": "h", "subdomain": "s"}),
                "h",
                Some("h.s.ns.svc.cluster.local"),
            ),
            (json!({"containers": [], "subdomain": "s"}), "p", Some("p.s.ns.svc.cluster.local")),
        ];
        for (spec, short, full) in rows {
            let pod = pod(spec.clone());
            assert_eq!(
                (hostname(&pod).as_str(), domain_name(&pod, "cluster.local").as_deref()),
                (short, full),
                "{spec}"
            );
        }
        assert_eq!(hostname(&pod(json!({"containers": [], "hostname": long}))), "a".repeat(62));
        let whole = pod(json!({"containers": [], "subdomain": "s", "setHostnameAsFQDN": true}));
        assert_eq!(kernel_hostname(&whole, "cluster.local"), "p.s.ns.svc.cluster.local");
    }

    #[test]
    fn only_host_ports_are_mapped() {
        let pod = pod(json!({"containers": [{"name": "c", "ports": [
            {"containerPort": 80, "hostPort": 8080, "protocol": "TCP"}, {"containerPort": 81},
        ]}]}));
        let expected =
            PortMapping { host_ip: None, host_port: 8080, container_port: 80, protocol: "TCP".into() };
        assert_eq!(port_mappings(&pod), [expected]);
    }
}
