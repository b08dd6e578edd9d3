//! /etc/hosts of a pod.

use std::fmt::Write;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::HostAlias;

const HEADER: &str = "# Kubernetes-managed hosts file.\n";
const HEADER_HOST: &str = "# Kubernetes-managed hosts file (host network).\n";

/// The file of a pod with addresses of its own.
pub fn hosts(
    addresses: &[IpAddr],
    hostname: &str,
    domain_name: Option<&str>,
    aliases: &[HostAlias],
) -> String {
    let mut text = String::from(HEADER);
    text += "127.0.0.1\tlocalhost\n";
    text += "::1\tlocalhost ip6-localhost ip6-loopback\n";
    text += "fe00::0\tip6-localnet\n";
    text += "fe00::0\tip6-mcastprefix\n";
    text += "fe00::1\tip6-allnodes\n";
    text += "fe00::2\tip6-allrouters\n";
    for address in addresses {
        // Writing to a String cannot fail.
        let _ = match domain_name {
            Some(full) => writeln!(text, "{address}\t{full}\t{hostname}"),
            None => writeln!(text, "{address}\t{hostname}"),
        };
    }
    text + &aliases_text(aliases)
}

/// The file of a pod in the node's network: the node's, and the aliases.
pub fn hosts_of_node(node: &str, aliases: &[HostAlias]) -> String {
    format!("{HEADER_HOST}{node}{}", aliases_text(aliases))
}

fn aliases_text(aliases: &[HostAlias]) -> String {
    if aliases.is_empty() {
        return String::new();
    }
    let mut text = String::from("\n# Entries added by HostAliases.\n");
    for alias in aliases {
        let names = alias.hostnames.as_deref().unwrap_or_default().join("\t");
        let _ = writeln!(text, "{}\t{names}", alias.ip);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_a_pod() {
        let aliases =
            [HostAlias { ip: "10.1.2.3".into(), hostnames: Some(vec!["foo".into(), "bar".into()]) }];
        let text = hosts(&["10.0.0.7".parse().unwrap()], "web", Some("web.s.ns.svc.cluster.local"), &aliases);
        assert!(text.starts_with("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n"));
        assert!(text.ends_with(
            "10.0.0.7\tweb.s.ns.svc.cluster.local\tweb\n\n# Entries added by HostAliases.\n10.1.2.3\tfoo\tbar\n"
        ));
        assert_eq!(hosts_of_node("x\n", &[]), "# Kubernetes-managed hosts file (host network).\nx\n");
    }
}
