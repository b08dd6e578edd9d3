//! Which objects belong to a node or are named by its pods: secrets, config
//! maps, claims, volumes, service accounts; attachments, slices and requests for
//! certificates. It reads the node's pods when asked, and keeps nothing: pods
//! change more often than a kubelet asks.

use apimachinery::Value;
use apiserver::View;

/// What a node can be related to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
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

/// Whether the object belongs to `node` or is named by a pod of it.
pub(super) fn is_related(view: &View, node: &str, kind: Kind, namespace: &str, name: &str) -> bool {
    let is_in_cluster = matches!(kind, Kind::Volume | Kind::Attachment | Kind::ResourceSlice);
    if is_in_cluster != namespace.is_empty() {
        return false;
    }
    let says_node = |group: &str, plural: &str| {
        let object = view.get(group, plural, namespace, name);
        object.is_some_and(|object| object.tree()["spec"]["nodeName"].text() == node)
    };
    let is_named = || pods_of(view, node, namespace).any(|pod| names(&pod, kind, name));
    match kind {
        Kind::Pod => says_node("", "pods"),
        Kind::Attachment => says_node("storage.k8s.io", "volumeattachments"),
        Kind::ResourceSlice => says_node("resource.k8s.io", "resourceslices"),
        Kind::CertificateRequest => says_node("certificates.k8s.io", "podcertificaterequests"),
        Kind::Volume => view
            .get("", "persistentvolumes", "", name)
            .is_some_and(|volume| is_claimed(view, node, &volume.tree()["spec"])),
        Kind::Secret => {
            is_named()
                || view.list("", "persistentvolumes", "").any(|volume| {
                    let spec = &volume.tree()["spec"];
                    secrets_of(spec).any(|secret| secret == (namespace, name)) && is_claimed(view, node, spec)
                })
        }
        Kind::ConfigMap | Kind::Claim | Kind::ServiceAccount | Kind::ResourceClaim => is_named(),
    }
}

/// The pods of a node in a namespace, without mirror pods: they prove nothing,
/// for the kubelet wrote them.
fn pods_of<'a>(view: &View, node: &'a str, namespace: &'a str) -> impl Iterator<Item = Value> + use<'a> {
    view.selected("", "pods", "spec.nodeName", node)
        .filter(move |pod| pod.namespace() == namespace)
        .map(|pod| pod.tree())
        .filter(|pod| pod["metadata"]["annotations"]["kubernetes.io/config.mirror"].is_null())
}

/// Whether a pod of the node names the claim that a volume is bound to.
fn is_claimed(view: &View, node: &str, volume: &Value) -> bool {
    let claim = &volume["claimRef"];
    let name = claim["name"].text();
    !name.is_empty()
        && pods_of(view, node, claim["namespace"].text()).any(|pod| names(&pod, Kind::Claim, name))
}

/// Whether a pod names an object of its namespace.
fn names(pod: &Value, kind: Kind, name: &str) -> bool {
    let (spec, status) = (&pod["spec"], &pod["status"]);
    match kind {
        Kind::Secret => api::pod::secret_names(pod).any(|secret| secret == name),
        Kind::ConfigMap => api::pod::config_map_names(pod).any(|map| map == name),
        Kind::ServiceAccount => spec["serviceAccountName"].text() == name,
        Kind::Claim => spec["volumes"].items().iter().any(|volume| {
            let generated = || {
                let rest = name.strip_prefix(pod["metadata"]["name"].text());
                rest.and_then(|rest| rest.strip_prefix('-')) == Some(volume["name"].text())
            };
            volume["persistentVolumeClaim"]["claimName"].text() == name
                || (!volume["ephemeral"].is_null() && generated())
        }),
        Kind::ResourceClaim => {
            let listed = spec["resourceClaims"].items().iter().chain(status["resourceClaimStatuses"].items());
            listed
                .chain([&status["extendedResourceClaimStatus"]])
                .any(|claim| claim["resourceClaimName"].text() == name)
        }
        _ => false,
    }
}

/// The secrets (namespace and name) of a volume that a kubelet reads; those
/// that say no namespace are in the claim's.
fn secrets_of(spec: &Value) -> impl Iterator<Item = (&str, &str)> {
    let azure = &spec["azureFile"];
    let referred = ["cephfs", "cinder", "flexVolume", "rbd", "scaleIO", "iscsi", "storageos"]
        .into_iter()
        .map(|source| &spec[source]["secretRef"])
        .chain(
            ["nodePublishSecretRef", "nodeStageSecretRef", "nodeExpandSecretRef"]
                .into_iter()
                .map(|reference| &spec["csi"][reference]),
        )
        .map(|reference| (reference["namespace"].text(), reference["name"].text()));
    std::iter::once((azure["secretNamespace"].text(), azure["secretName"].text()))
        .chain(referred)
        .filter(|(_, name)| !name.is_empty())
        .map(|(namespace, name)| {
            (if namespace.is_empty() { spec["claimRef"]["namespace"].text() } else { namespace }, name)
        })
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn a_pod_names_what_it_needs() {
        let pod = value!({
            "metadata": {"name": "p", "namespace": "shop"},
            "spec": {
                "nodeName": "n1", "serviceAccountName": "cart", "imagePullSecrets": [{"name": "reg"}],
                "containers": [{"envFrom": [{"configMapRef": {"name": "all"}}]}],
                "volumes": [{"secret": {"secretName": "vol"}}, {"persistentVolumeClaim": {"claimName": "data"}},
                    {"name": "scratch", "ephemeral": {}}, {"name": "plain", "emptyDir": {}}],
                "resourceClaims": [{"name": "a", "resourceClaimName": "gpu"}]
            },
            "status": {"resourceClaimStatuses": [{"name": "b", "resourceClaimName": "made"}],
                "extendedResourceClaimStatus": {"resourceClaimName": "extended"}}
        });
        for (kind, name, named) in [
            (Kind::Secret, "reg", true),
            (Kind::Secret, "vol", true),
            (Kind::Secret, "all", false),
            (Kind::ConfigMap, "all", true),
            (Kind::Claim, "data", true),
            (Kind::Claim, "p-scratch", true),
            (Kind::Claim, "p-plain", false),
            (Kind::ServiceAccount, "cart", true),
            (Kind::ResourceClaim, "gpu", true),
            (Kind::ResourceClaim, "made", true),
            (Kind::ResourceClaim, "extended", true),
            (Kind::ResourceClaim, "a", false),
        ] {
            assert_eq!(names(&pod, kind, name), named, "{kind:?} {name}");
        }
    }

    #[test]
    fn a_kubelet_reads_some_secrets_of_a_volume() {
        let volume = value!({
            "claimRef": {"namespace": "shop", "name": "data"},
            "azureFile": {"secretName": "azure"},
            "csi": {"nodePublishSecretRef": {"namespace": "system", "name": "csi"},
                "controllerPublishSecretRef": {"namespace": "system", "name": "attach"}}
        });
        let secrets: Vec<_> = secrets_of(&volume).collect();
        assert_eq!(secrets, [("shop", "azure"), ("system", "csi")]);
    }
}
