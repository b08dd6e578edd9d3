//! Which objects the pods of each node name: secrets, config maps, claims,
//! volumes, service accounts.

use std::collections::{BTreeMap, BTreeSet};

use apimachinery::Value;
use apiserver::{Derived, View};

/// What a pod can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Pod,
    Secret,
    ConfigMap,
    Claim,
    Volume,
    ServiceAccount,
    ResourceClaim,
}

type Object = (Kind, String, String);

/// The objects that each node's pods name.
#[derive(Debug, Default)]
pub struct Graph {
    nodes: BTreeMap<String, BTreeSet<Object>>,
}

impl Derived for Graph {
    const SOURCES: &'static [(&'static str, &'static str)] = &[("", "pods"), ("", "persistentvolumes")];

    fn derive(view: &View) -> Self {
        let mut graph = Graph::default();
        for pod in view.list("", "pods", "") {
            match pod.field("spec.nodeName") {
                Some("") => continue,
                _ => graph.add_pod(&pod.tree()),
            }
        }
        for volume in view.list("", "persistentvolumes", "") {
            graph.add_volume(&volume.tree());
        }
        graph
    }
}

impl Graph {
    /// Whether a pod of `node` names the object.
    pub fn names(&self, node: &str, kind: Kind, namespace: &str, name: &str) -> bool {
        self.nodes
            .get(node)
            .is_some_and(|objects| objects.contains(&(kind, namespace.to_owned(), name.to_owned())))
    }

    fn add_pod(&mut self, pod: &Value) {
        let node = pod["spec"]["nodeName"].text();
        if node.is_empty() {
            return;
        }
        let namespace = pod["metadata"]["namespace"].text();
        let objects = self.nodes.entry(node.to_owned()).or_default();
        let mut name = |kind: Kind, name: &str| {
            if !name.is_empty() {
                objects.insert((kind, namespace.to_owned(), name.to_owned()));
            }
        };
        name(Kind::Pod, pod["metadata"]["name"].text());
        // A mirror pod proves nothing: the kubelet wrote it.
        if !pod["metadata"]["annotations"]["kubernetes.io/config.mirror"].is_null() {
            return;
        }
        let spec = &pod["spec"];
        name(Kind::ServiceAccount, spec["serviceAccountName"].text());
        for secret in spec["imagePullSecrets"].items() {
            name(Kind::Secret, secret["name"].text());
        }
        for list in ["initContainers", "containers", "ephemeralContainers"] {
            for container in spec[list].items() {
                for env in container["env"].items() {
                    name(Kind::Secret, env["valueFrom"]["secretKeyRef"]["name"].text());
                    name(Kind::ConfigMap, env["valueFrom"]["configMapKeyRef"]["name"].text());
                }
                for from in container["envFrom"].items() {
                    name(Kind::Secret, from["secretRef"]["name"].text());
                    name(Kind::ConfigMap, from["configMapRef"]["name"].text());
                }
            }
        }
        for volume in spec["volumes"].items() {
            name(Kind::Secret, volume["secret"]["secretName"].text());
            name(Kind::ConfigMap, volume["configMap"]["name"].text());
            name(Kind::Claim, volume["persistentVolumeClaim"]["claimName"].text());
            if !volume["ephemeral"].is_null() {
                let pod = pod["metadata"]["name"].text();
                name(Kind::Claim, &format!("{pod}-{}", volume["name"].text()));
            }
            for source in volume["projected"]["sources"].items() {
                name(Kind::Secret, source["secret"]["name"].text());
                name(Kind::ConfigMap, source["configMap"]["name"].text());
            }
            for (source, reference) in [
                ("cephfs", "secretRef"),
                ("rbd", "secretRef"),
                ("iscsi", "secretRef"),
                ("flexVolume", "secretRef"),
                ("scaleIO", "secretRef"),
                ("storageos", "secretRef"),
                ("csi", "nodePublishSecretRef"),
            ] {
                name(Kind::Secret, volume[source][reference]["name"].text());
            }
            name(Kind::Secret, volume["azureFile"]["secretName"].text());
        }
        for claim in pod["status"]["resourceClaimStatuses"].items() {
            name(Kind::ResourceClaim, claim["resourceClaimName"].text());
        }
        for claim in spec["resourceClaims"].items() {
            name(Kind::ResourceClaim, claim["resourceClaimName"].text());
        }
    }

    /// A bound volume and its secret follow the claim.
    fn add_volume(&mut self, volume: &Value) {
        let claim = &volume["spec"]["claimRef"];
        let wanted: Object =
            (Kind::Claim, claim["namespace"].text().to_owned(), claim["name"].text().to_owned());
        if wanted.2.is_empty() {
            return;
        }
        let secret = &volume["spec"]["csi"]["nodePublishSecretRef"];
        for objects in self.nodes.values_mut().filter(|objects| objects.contains(&wanted)) {
            objects.insert((Kind::Volume, String::new(), volume["metadata"]["name"].text().to_owned()));
            if !secret["name"].text().is_empty() {
                let namespace = secret["namespace"].text().to_owned();
                objects.insert((Kind::Secret, namespace, secret["name"].text().to_owned()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn a_node_reaches_what_its_pods_name() {
        let mut graph = Graph::default();
        graph.add_pod(&value!({
            "metadata": {"name": "p", "namespace": "shop"},
            "spec": {
                "nodeName": "n1", "serviceAccountName": "cart", "imagePullSecrets": [{"name": "reg"}],
                "containers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "env"}}}],
                    "envFrom": [{"configMapRef": {"name": "all"}}]}],
                "volumes": [{"secret": {"secretName": "vol"}}, {"persistentVolumeClaim": {"claimName": "data"}},
                    {"projected": {"sources": [{"configMap": {"name": "kube-root-ca.crt"}}]}},
                    {"name": "scratch", "ephemeral": {}}]
            }
        }));
        graph.add_volume(&value!({"metadata": {"name": "pv"}, "spec": {
            "claimRef": {"namespace": "shop", "name": "data"},
            "csi": {"nodePublishSecretRef": {"namespace": "system", "name": "csi"}}}}));
        for (node, kind, namespace, name, reached) in [
            ("n1", Kind::Pod, "shop", "p", true),
            ("n1", Kind::Secret, "shop", "reg", true),
            ("n1", Kind::Secret, "shop", "env", true),
            ("n1", Kind::Secret, "shop", "vol", true),
            ("n1", Kind::Secret, "other", "vol", false),
            ("n1", Kind::ConfigMap, "shop", "all", true),
            ("n1", Kind::ConfigMap, "shop", "kube-root-ca.crt", true),
            ("n1", Kind::Claim, "shop", "data", true),
            ("n1", Kind::Claim, "shop", "p-scratch", true),
            ("n1", Kind::Volume, "", "pv", true),
            ("n1", Kind::Secret, "system", "csi", true),
            ("n1", Kind::ServiceAccount, "shop", "cart", true),
            ("n2", Kind::Secret, "shop", "vol", false),
        ] {
            assert_eq!(
                graph.names(node, kind, namespace, name),
                reached,
                "{node} {kind:?} {namespace}/{name}"
            );
        }
    }

    #[test]
    fn mirror_pods_give_no_reach() {
        let mut graph = Graph::default();
        graph.add_pod(&value!({
            "metadata": {"name": "m", "namespace": "a", "annotations": {"kubernetes.io/config.mirror": "x"}},
            "spec": {"nodeName": "n1", "volumes": [{"secret": {"secretName": "s"}}]}
        }));
        assert!(graph.names("n1", Kind::Pod, "a", "m"));
        assert!(!graph.names("n1", Kind::Secret, "a", "s"));
    }
}
