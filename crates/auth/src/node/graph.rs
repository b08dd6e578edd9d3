//! Which objects belong to each node or are named by its pods: secrets, config
//! maps, claims, volumes, service accounts; attachments, slices and requests for
//! certificates.

use std::collections::{BTreeMap, BTreeSet};

use apimachinery::Value;
use apiserver::{Derived, View};

/// What a node can be related to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Pod,
    Secret,
    ConfigMap,
    Claim,
    Volume,
    ServiceAccount,
    ResourceClaim,
    Attachment,
    ResourceSlice,
    CertificateRequest,
}

type Object = (Kind, String, String);

/// The objects that each node may reach.
#[derive(Debug, Default)]
pub struct Graph {
    nodes: BTreeMap<String, BTreeSet<Object>>,
}

impl Derived for Graph {
    const SOURCES: &'static [(&'static str, &'static str)] = &[
        ("", "pods"),
        ("", "persistentvolumes"),
        ("storage.k8s.io", "volumeattachments"),
        ("resource.k8s.io", "resourceslices"),
        ("certificates.k8s.io", "podcertificaterequests"),
    ];

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
        for (kind, group, plural) in [
            (Kind::Attachment, "storage.k8s.io", "volumeattachments"),
            (Kind::ResourceSlice, "resource.k8s.io", "resourceslices"),
            (Kind::CertificateRequest, "certificates.k8s.io", "podcertificaterequests"),
        ] {
            for object in view.list(group, plural, "") {
                graph.add_own(kind, &object.tree());
            }
        }
        graph
    }
}

impl Graph {
    /// Whether the object belongs to `node` or is named by a pod of it.
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
        for secret in api::pod::secret_names(pod) {
            name(Kind::Secret, secret);
        }
        for map in api::pod::config_map_names(pod) {
            name(Kind::ConfigMap, map);
        }
        for volume in spec["volumes"].items() {
            name(Kind::Claim, volume["persistentVolumeClaim"]["claimName"].text());
            if !volume["ephemeral"].is_null() {
                let pod = pod["metadata"]["name"].text();
                name(Kind::Claim, &format!("{pod}-{}", volume["name"].text()));
            }
        }
        for claim in pod["status"]["resourceClaimStatuses"].items() {
            name(Kind::ResourceClaim, claim["resourceClaimName"].text());
        }
        for claim in spec["resourceClaims"].items() {
            name(Kind::ResourceClaim, claim["resourceClaimName"].text());
        }
        name(Kind::ResourceClaim, pod["status"]["extendedResourceClaimStatus"]["resourceClaimName"].text());
    }

    /// What says itself to which node it belongs.
    fn add_own(&mut self, kind: Kind, object: &Value) {
        let node = object["spec"]["nodeName"].text();
        if !node.is_empty() {
            let metadata = &object["metadata"];
            let place = (kind, metadata["namespace"].text().to_owned(), metadata["name"].text().to_owned());
            self.nodes.entry(node.to_owned()).or_default().insert(place);
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
        let secrets = secrets_of(&volume["spec"], &wanted.1);
        for objects in self.nodes.values_mut().filter(|objects| objects.contains(&wanted)) {
            objects.insert((Kind::Volume, String::new(), volume["metadata"]["name"].text().to_owned()));
            for (namespace, name) in &secrets {
                objects.insert((Kind::Secret, namespace.clone(), name.clone()));
            }
        }
    }
}

/// The secrets (namespace and name) of a volume that a kubelet reads; those
/// that say no namespace are in the claim's.
fn secrets_of(spec: &Value, claims: &str) -> Vec<(String, String)> {
    let azure = &spec["azureFile"];
    let mut named = vec![(azure["secretNamespace"].text(), azure["secretName"].text())];
    for source in ["cephfs", "cinder", "flexVolume", "rbd", "scaleIO", "iscsi", "storageos"] {
        let secret = &spec[source]["secretRef"];
        named.push((secret["namespace"].text(), secret["name"].text()));
    }
    for reference in ["nodePublishSecretRef", "nodeStageSecretRef", "nodeExpandSecretRef"] {
        let secret = &spec["csi"][reference];
        named.push((secret["namespace"].text(), secret["name"].text()));
    }
    named.retain(|(_, name)| !name.is_empty());
    let place = |(namespace, name): (&str, &str)| {
        let namespace = if namespace.is_empty() { claims } else { namespace };
        (namespace.to_owned(), name.to_owned())
    };
    named.into_iter().map(place).collect()
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
            "csi": {"nodePublishSecretRef": {"namespace": "system", "name": "csi"},
                "controllerPublishSecretRef": {"namespace": "system", "name": "attach"}}}}));
        graph.add_volume(&value!({"metadata": {"name": "share"}, "spec": {
            "claimRef": {"namespace": "shop", "name": "data"}, "azureFile": {"secretName": "azure"}}}));
        graph.add_own(Kind::Attachment, &value!({"metadata": {"name": "a"}, "spec": {"nodeName": "n1"}}));
        graph
            .add_own(Kind::ResourceSlice, &value!({"metadata": {"name": "all"}, "spec": {"allNodes": true}}));
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
            ("n1", Kind::Secret, "system", "attach", false),
            ("n1", Kind::Secret, "shop", "azure", true),
            ("n1", Kind::Attachment, "", "a", true),
            ("n2", Kind::Attachment, "", "a", false),
            ("n1", Kind::ResourceSlice, "", "all", false),
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
