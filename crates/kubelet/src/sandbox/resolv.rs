//! /etc/resolv.conf of a pod.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::Pod;

use crate::pod::spec::PodExt;

/// Limits of resolvers that Kubernetes keeps.
const MOST_NAMESERVERS: usize = 3;
const MOST_SEARCHES: usize = 32;
const LONGEST_SEARCH: usize = 2048;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvConf {
    pub nameservers: Vec<String>,
    pub searches: Vec<String>,
    pub options: Vec<String>,
}

impl ResolvConf {
    /// Reads resolv.conf(5) as far as pods inherit it.
    pub fn parse(text: &str) -> Self {
        let mut conf = Self::default();
        for line in text.lines() {
            let line = line.split(['#', ';']).next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let rest = |words: std::str::SplitWhitespace<'_>| words.map(str::to_owned).collect::<Vec<_>>();
            match words.next() {
                Some("nameserver") => conf.nameservers.extend(words.next().map(str::to_owned)),
                // The last one counts.
                Some("search") => conf.searches = rest(words),
                Some("options") => conf.options = rest(words),
                _ => {}
            }
        }
        conf
    }

    pub fn text(&self) -> String {
        let mut text = String::new();
        if !self.searches.is_empty() {
            text += &format!("search {}\n", self.searches.join(" "));
        }
        for server in &self.nameservers {
            text += &format!("nameserver {server}\n");
        }
        if !self.options.is_empty() {
            text += &format!("options {}\n", self.options.join(" "));
        }
        text
    }
}

/// By dnsPolicy and dnsConfig. `node` is the node's own configuration.
pub fn resolv_conf(pod: &Pod, node: &ResolvConf, cluster_dns: &[IpAddr], cluster_domain: &str) -> ResolvConf {
    let spec = pod.spec();
    let policy = spec.dns_policy.as_deref().unwrap_or("ClusterFirst");
    let cluster = match policy {
        "ClusterFirstWithHostNet" => true,
        "ClusterFirst" => !pod.is_host_network(),
        _ => false,
    };
    let mut conf = match policy {
        "None" => ResolvConf::default(),
        _ if cluster && !cluster_dns.is_empty() => {
            let namespace = pod.namespace();
            let mut searches = vec![
                format!("{namespace}.svc.{cluster_domain}"),
                format!("svc.{cluster_domain}"),
                cluster_domain.to_owned(),
            ];
            searches.extend(node.searches.iter().filter(|one| *one != ".").cloned());
            ResolvConf {
                nameservers: cluster_dns.iter().map(ToString::to_string).collect(),
                searches,
                options: vec!["ndots:5".into()],
            }
        }
        _ => node.clone(),
    };
    if let Some(own) = &spec.dns_config {
        conf.nameservers.extend(own.nameservers.iter().flatten().cloned());
        conf.searches.extend(own.searches.iter().flatten().cloned());
        for option in own.options.iter().flatten() {
            let Some(name) = &option.name else { continue };
            conf.options.retain(|one| one.split(':').next() != Some(name));
            conf.options.push(match option.value.as_deref().filter(|value| !value.is_empty()) {
                Some(value) => format!("{name}:{value}"),
                None => name.clone(),
            });
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    conf.searches.retain(|one| seen.insert(one.clone()));
    seen.clear();
    conf.nameservers.retain(|one| seen.insert(one.clone()));
    conf.nameservers.truncate(MOST_NAMESERVERS);
    conf.searches.truncate(MOST_SEARCHES);
    while conf.searches.iter().map(|one| one.len() + 1).sum::<usize>() > LONGEST_SEARCH + 1 {
        conf.searches.pop();
    }
    conf
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn policies() {
        let node = ResolvConf::parse(
            "# x\nnameserver 192.0.2.53\nsearch old\nsearch example.org .\noptions ndots:1\n",
        );
        let cluster = "search ns.svc.cluster.local svc.cluster.local cluster.local example.org\nnameserver 10.96.0.10\noptions ndots:5\n";
        let own = "search example.org .\nnameserver 192.0.2.53\noptions ndots:1\n";
        let rows = [
            (json!({}), cluster),
            (json!({"dnsPolicy": "ClusterFirst"}), cluster),
            (json!({"dnsPolicy": "Default"}), own),
            (json!({"hostNetwork": true, "dnsPolicy": "ClusterFirst"}), own),
            (json!({"hostNetwork": true, "dnsPolicy": "ClusterFirstWithHostNet"}), cluster),
            (
                json!({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["192.0.2.1"], "searches": ["a"],
                    "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}]}}),
                "search a\nnameserver 192.0.2.1\noptions ndots:2 edns0\n",
            ),
            (
                json!({"dnsConfig": {"options": [{"name": "ndots", "value": "2"}]}}),
                &cluster.replace("ndots:5", "ndots:2"),
            ),
        ];
        for (mut spec, expected) in rows {
            spec["containers"] = json!([]);
            let pod = serde_json::from_value(json!({"metadata": {"namespace": "ns"}, "spec": spec})).unwrap();
            let conf = resolv_conf(&pod, &node, &["10.96.0.10".parse().unwrap()], "cluster.local");
            assert_eq!(conf.text(), expected, "{spec}");
        }
    }
}
