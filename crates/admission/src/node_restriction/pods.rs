//! What a kubelet does to pods: it makes mirror pods of those that it runs from
//! files, deletes and evicts its own, and tells how they are.

use apimachinery::status::GroupResource;
use apimachinery::{Status, Value, meta};
use apiserver::{Operation, Stored};

use super::Asked;
use crate::service_account::MIRROR;

/// What is said of an object that a cache of upstream's lacks.
pub(super) fn missing(kind: &str, name: &str) -> Status {
    Status::not_found(GroupResource { group: "", resource: kind }, name)
}

fn existing(asked: Asked<'_>) -> Result<Stored, Status> {
    let found = asked.admission.view.get("", "pods", asked.admission.namespace, asked.name());
    found.ok_or_else(|| missing("pod", asked.name()))
}

pub(super) fn pod(asked: Asked<'_>) -> Result<(), Status> {
    let node = asked.node;
    match asked.admission.operation {
        Operation::Create => mirror(asked),
        Operation::Delete => asked.require(existing(asked)?.field("spec.nodeName") == Some(node), || {
            format!("node {node:?} can only delete pods with spec.nodeName set to itself")
        }),
        operation => Err(asked.forbid(format!(
            "unexpected operation {:?}, node {node:?} can only create and delete mirror pods",
            operation.as_str()
        ))),
    }
}

fn mirror(asked: Asked<'_>) -> Result<(), Status> {
    let (node, pod) = (asked.node, asked.object);
    asked.require(!pod["metadata"]["annotations"][MIRROR].is_null(), || {
        format!("pod does not have {MIRROR:?} annotation, node {node:?} can only create mirror pods")
    })?;
    asked.require(pod["spec"]["nodeName"].text() == node, || {
        format!("node {node:?} can only create pods with spec.nodeName set to itself")
    })?;
    let owner = match pod["metadata"]["ownerReferences"].items() {
        [owner] => owner,
        owners => {
            let which = if owners.is_empty() { "an" } else { "a single" };
            return Err(asked.forbid(format!(
                "node {node:?} can only create pods with {which} owner reference set to itself"
            )));
        }
    };
    if let Some(why) = wrong_owner(owner, node) {
        return Err(asked.forbid(why));
    }
    let stored = asked.admission.view.get("", "nodes", "", node).ok_or_else(|| missing("node", node))?;
    let (said, uid) = (owner["uid"].text(), meta::uid(&stored.tree()).to_owned());
    asked.require(said == uid, || format!("node {node} UID mismatch: expected {said} got {uid}"))?;
    match reference(pod) {
        Some(what) => Err(asked.forbid(format!("node {node:?} can not create pods that reference {what}"))),
        None => Ok(()),
    }
}

/// Why a pod's only owner is not the node as it should be.
fn wrong_owner(owner: &Value, node: &str) -> Option<String> {
    let is_node = owner["apiVersion"].text() == "v1" && owner["kind"].text() == "Node";
    if !is_node || owner["name"].text() != node {
        return Some(format!("node {node:?} can only create pods with an owner reference set to itself"));
    }
    if owner["controller"].as_bool() != Some(true) {
        return Some(format!(
            "node {node:?} can only create pods with a controller owner reference set to itself"
        ));
    }
    (owner["blockOwnerDeletion"].as_bool() == Some(true))
        .then(|| format!("node {node:?} must not set blockOwnerDeletion on an owner reference"))
}

/// Volumes that need nothing of the API.
const PLAIN_VOLUMES: [&str; 22] = [
    "awsElasticBlockStore",
    "azureDisk",
    "cephfs",
    "cinder",
    "downwardAPI",
    "emptyDir",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "gitRepo",
    "hostPath",
    "image",
    "iscsi",
    "nfs",
    "photonPersistentDisk",
    "portworxVolume",
    "quobyte",
    "rbd",
    "scaleIO",
    "storageos",
    "vsphereVolume",
];

/// What of the API a volume needs.
const VOLUMES: [(&str, &str); 7] = [
    ("configMap", "configmaps (via configmap volumes)"),
    ("secret", "secrets (via secret volumes)"),
    ("csi", "csidrivers (via CSI volumes)"),
    ("glusterfs", "endpoints (via glusterFS volumes)"),
    ("persistentVolumeClaim", "persistentvolumeclaims"),
    ("ephemeral", "persistentvolumeclaims (via ephemeral volumes)"),
    ("azureFile", "secrets (via azureFile volumes)"),
];

/// What of the API a source of a projected volume needs.
const SOURCES: [(&str, &str); 5] = [
    ("configMap", "configmaps (via projected volumes)"),
    ("secret", "secrets (via projected volumes)"),
    ("serviceAccountToken", "serviceaccounts (via projected volumes)"),
    ("clusterTrustBundle", "clustertrustbundles"),
    ("podCertificate", "podcertificates"),
];

/// What of the API a pod refers to first; none of it is a kubelet's to give.
fn reference(pod: &Value) -> Option<&'static str> {
    let spec = &pod["spec"];
    if !spec["serviceAccountName"].text().is_empty() {
        return Some("serviceaccounts");
    }
    if api::pod::secret_names(pod).next().is_some() {
        return Some("secrets");
    }
    if api::pod::config_map_names(pod).next().is_some() {
        return Some("configmaps");
    }
    if !spec["resourceClaims"].items().is_empty() {
        return Some("resourceclaims");
    }
    let named = |table: &[(&str, &'static str)], of: &Value| {
        table.iter().find(|(member, _)| !of[*member].is_null()).map(|(_, what)| *what)
    };
    spec["volumes"].items().iter().find_map(|volume| {
        let is_plain = PLAIN_VOLUMES.iter().any(|source| !volume[*source].is_null());
        if is_plain {
            return None;
        }
        named(&VOLUMES, volume).or_else(|| {
            volume["projected"]["sources"].items().iter().find_map(|source| named(&SOURCES, source))
        })
    })
}

pub(super) fn status(asked: Asked<'_>) -> Result<(), Status> {
    let (node, pod) = (asked.node, asked.object);
    let Some(old) = asked.admission.old.filter(|_| asked.admission.operation == Operation::Update) else {
        let operation = asked.admission.operation.as_str();
        return Err(asked.forbid(format!("unexpected operation {operation:?}")));
    };
    asked.require(old["spec"]["nodeName"].text() == node, || {
        format!("node {node:?} can only update pod status for pods with spec.nodeName set to itself")
    })?;
    match changed(&pod["metadata"]["labels"], &old["metadata"]["labels"], &pod["status"], &old["status"]) {
        Some(what) => Err(asked.forbid(format!("node {node:?} cannot update {what}"))),
        None => Ok(()),
    }
}

/// What a kubelet changes of a pod that is not a kubelet's.
fn changed(labels: &Value, old_labels: &Value, status: &Value, old: &Value) -> Option<&'static str> {
    if !labels.members().eq(old_labels.members()) {
        return Some("labels through pod status");
    }
    if status["resourceClaimStatuses"].items() != old["resourceClaimStatuses"].items() {
        return Some("resource claim statues");
    }
    if status["extendedResourceClaimStatus"] != old["extendedResourceClaimStatus"] {
        return Some("extended resource claim status");
    }
    let allocatable = "nodeAllocatableResourceClaimStatuses";
    (status[allocatable].items() != old[allocatable].items())
        .then_some("node allocatable resource claim statuses")
}

pub(super) fn eviction(asked: Asked<'_>) -> Result<(), Status> {
    if asked.admission.operation != Operation::Create {
        return Err(asked.forbid(format!("unexpected operation {}", asked.admission.operation.as_str())));
    }
    asked.require(existing(asked)?.field("spec.nodeName") == Some(asked.node), || {
        format!("node {} can only evict pods with spec.nodeName set to itself", asked.node)
    })
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn a_mirror_pod_belongs_to_its_node() {
        let owner = value!({"apiVersion": "v1", "kind": "Node", "name": "n1", "controller": true});
        assert_eq!(wrong_owner(&owner, "n1"), None);
        for (member, other, why) in [
            ("name", Value::from("n2"), "an owner reference set to itself"),
            ("kind", Value::from("Pod"), "an owner reference set to itself"),
            ("controller", Value::from(false), "a controller owner reference set to itself"),
            ("blockOwnerDeletion", Value::from(true), "must not set blockOwnerDeletion"),
        ] {
            let mut owner = owner.clone();
            owner.set(member, other);
            assert!(wrong_owner(&owner, "n1").is_some_and(|said| said.contains(why)), "{member}");
        }
    }

    #[test]
    fn a_mirror_pod_refers_to_nothing_of_the_api() {
        for (spec, what) in [
            (value!({"serviceAccountName": "a"}), Some("serviceaccounts")),
            (value!({"imagePullSecrets": [{"name": "a"}]}), Some("secrets")),
            (value!({"volumes": [{"name": "v", "configMap": {"name": "a"}}]}), Some("configmaps")),
            (
                value!({"volumes": [{"name": "v", "configMap": {}}]}),
                Some("configmaps (via configmap volumes)"),
            ),
            (value!({"resourceClaims": [{"name": "a"}]}), Some("resourceclaims")),
            (
                value!({"volumes": [{"name": "v", "ephemeral": {}}]}),
                Some("persistentvolumeclaims (via ephemeral volumes)"),
            ),
            (
                value!({"volumes": [{"name": "v", "projected": {"sources": [{"downwardAPI": {}}, {"podCertificate": {}}]}}]}),
                Some("podcertificates"),
            ),
            (
                value!({"volumes": [{"name": "v", "hostPath": {"path": "/"}}, {"name": "w", "emptyDir": {}}]}),
                None,
            ),
        ] {
            assert_eq!(reference(&value!({"spec": spec.clone()})), what, "{spec:?}");
        }
    }

    #[test]
    fn a_kubelet_tells_how_a_pod_is_and_no_more() {
        let (none, some) = (Value::Null, value!({"a": "b"}));
        let claims = value!({"resourceClaimStatuses": [{"name": "a"}]});
        let extended = value!({"extendedResourceClaimStatus": {"resourceClaimName": "a"}});
        for (labels, status, what) in [
            (&none, &none, None),
            (&none, &value!({"phase": "Running"}), None),
            (&some, &none, Some("labels through pod status")),
            (&none, &claims, Some("resource claim statues")),
            (&none, &extended, Some("extended resource claim status")),
        ] {
            assert_eq!(changed(labels, &none, status, &none), what, "{status:?}");
        }
    }
}
