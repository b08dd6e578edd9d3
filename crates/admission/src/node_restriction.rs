//! NodeRestriction: a kubelet writes its own Node, its own pods, its own lease
//! and tokens of its own pods, and not the labels by which nodes are trusted.

use apimachinery::{Status, Value, meta};
use apiserver::{Admission, AdmissionPlugin, Notes, Operation};

use crate::service_account::MIRROR;

/// See the module.
pub(crate) struct NodeRestriction;

/// The node that a user is.
fn node_of<'a>(admission: &Admission<'a>) -> Option<&'a str> {
    let name = admission.user.name.strip_prefix("system:node:")?;
    admission.user.is_in("system:nodes").then_some(name)
}

impl AdmissionPlugin for NodeRestriction {
    fn name(&self) -> &'static str {
        "NodeRestriction"
    }

    fn handles(&self, admission: &Admission<'_>) -> bool {
        node_of(admission).is_some()
    }

    fn admit(&self, admission: &Admission<'_>, object: &mut Value, _: &mut Notes) -> Result<(), Status> {
        let Some(node) = node_of(admission) else { return Ok(()) };
        let refusal =
            match (&*admission.definition.group, &*admission.definition.resource, admission.subresource) {
                ("", "pods", "") => pod(admission, object, node),
                ("", "pods", "status") => pod_status(admission, object, node),
                ("", "pods", "eviction") => evicted(admission, node),
                ("", "nodes", "" | "status") => own_node(admission, object, node),
                ("", "serviceaccounts", "token") => token(admission, object, node),
                ("coordination.k8s.io", "leases", "") => lease(admission, object, node),
                ("storage.k8s.io", "csinodes", "") => csi_node(admission, object, node),
                _ => None,
            };
        refusal.map_or(Ok(()), |why| Err(admission.forbid(object, why)))
    }
}

fn pod(admission: &Admission<'_>, object: &Value, node: &str) -> Option<String> {
    match admission.operation {
        Operation::Create => {
            if object["metadata"]["annotations"][MIRROR].is_null() {
                return Some(format!(
                    "pod does not have {MIRROR:?} annotation, node {node:?} can only create mirror pods"
                ));
            }
            if object["spec"]["nodeName"].text() != node {
                return Some(format!("node {node:?} can only create pods with spec.nodeName set to itself"));
            }
            None
        }
        Operation::Delete => {
            let stored = admission.view.get("", "pods", admission.namespace, admission.name)?;
            (stored.field("spec.nodeName") != Some(node))
                .then(|| format!("node {node:?} can only delete pods with spec.nodeName set to itself"))
        }
        Operation::Update => Some(format!(
            "unexpected operation \"UPDATE\", node {node:?} can only create and delete mirror pods"
        )),
        Operation::Connect => None,
    }
}

fn pod_status(admission: &Admission<'_>, object: &Value, node: &str) -> Option<String> {
    let bound = admission.old.map_or("", |old| old["spec"]["nodeName"].text());
    if bound != node {
        return Some(format!(
            "node {node:?} can only update pod status for pods with spec.nodeName set to itself"
        ));
    }
    let labels = |pod: &Value| pod["metadata"]["labels"].clone();
    if admission.old.is_some_and(|old| labels(old) != labels(object)) {
        return Some(format!("node {node:?} cannot update labels through pod status"));
    }
    None
}

fn evicted(admission: &Admission<'_>, node: &str) -> Option<String> {
    let stored = admission.view.get("", "pods", admission.namespace, admission.name)?;
    (stored.field("spec.nodeName") != Some(node))
        .then(|| format!("node {node:?} can only evict pods with spec.nodeName set to itself"))
}

fn own_node(admission: &Admission<'_>, object: &Value, node: &str) -> Option<String> {
    let name = if admission.name.is_empty() { meta::name(object) } else { admission.name };
    if name != node {
        return Some(format!("node {node:?} is not allowed to modify node {name:?}"));
    }
    match admission.operation {
        Operation::Create => {
            let forbidden = forbidden_labels(object.at(&["metadata", "labels"]), &Value::Null);
            (!forbidden.is_empty())
                .then(|| format!("is not allowed to set the following labels: {}", forbidden.join(", ")))
        }
        Operation::Update => {
            let old = admission.old?;
            if object["spec"]["configSource"] != old["spec"]["configSource"] {
                return Some(format!(
                    "node {node:?} is not allowed to update configSource to a new non-nil configSource"
                ));
            }
            if admission.subresource.is_empty() && object["spec"]["taints"] != old["spec"]["taints"] {
                return Some(format!("node {node:?} is not allowed to modify taints"));
            }
            if object["metadata"]["ownerReferences"] != old["metadata"]["ownerReferences"] {
                return Some(format!("node {node:?} is not allowed to modify ownerReferences"));
            }
            let forbidden = forbidden_labels(&object["metadata"]["labels"], &old["metadata"]["labels"]);
            (!forbidden.is_empty())
                .then(|| format!("is not allowed to modify labels: {}", forbidden.join(", ")))
        }
        _ => None,
    }
}

/// Labels of Kubernetes' own domains that a kubelet may set.
const KUBELET_LABELS: [&str; 14] = [
    "kubernetes.io/hostname",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "node.kubernetes.io/instance-type",
    "beta.kubernetes.io/instance-type",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "node.kubernetes.io/exclude-from-external-load-balancers",
    "node.kubernetes.io/exclude-disruption",
    "beta.kubernetes.io/fluentd-ds-ready",
];

/// The labels that differ and that a kubelet may not touch.
fn forbidden_labels(new: &Value, old: &Value) -> Vec<String> {
    let mut names: Vec<&str> = new
        .members()
        .chain(old.members())
        .map(|(name, _)| name)
        .filter(|name| new[*name] != old[*name] && is_forbidden(name))
        .collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(str::to_owned).collect()
}

fn is_forbidden(label: &str) -> bool {
    let domain = label.split_once('/').map_or("", |(domain, _)| domain);
    let within = |of: &str| domain == of || domain.strip_suffix(of).is_some_and(|rest| rest.ends_with('.'));
    if within("node-restriction.kubernetes.io") {
        return true;
    }
    if !within("kubernetes.io") && !within("k8s.io") {
        return false;
    }
    let own = within("kubelet.kubernetes.io") || within("node.kubernetes.io");
    !own && !KUBELET_LABELS.contains(&label)
}

fn token(admission: &Admission<'_>, object: &Value, node: &str) -> Option<String> {
    let reference = &object["spec"]["boundObjectRef"];
    let (kind, name, uid) = (reference["kind"].text(), reference["name"].text(), reference["uid"].text());
    if reference.is_null() || reference["apiVersion"].text() != "v1" || kind != "Pod" || name.is_empty() {
        return Some("node requested token not bound to a pod".into());
    }
    if uid.is_empty() {
        return Some("node requested token with a pod binding without a uid".into());
    }
    let Some(pod) = admission.view.get("", "pods", admission.namespace, name) else {
        return Some(format!("pod {name:?} not found"));
    };
    let pod = pod.tree();
    if uid != meta::uid(&pod) {
        return Some(format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record ({})",
            meta::uid(&pod)
        ));
    }
    if pod["spec"]["nodeName"].text() != node {
        return Some("node requested token bound to a pod scheduled on a different node".into());
    }
    None
}

fn lease(admission: &Admission<'_>, object: &Value, node: &str) -> Option<String> {
    if admission.namespace != "kube-node-lease" {
        return None;
    }
    let name = if admission.name.is_empty() { meta::name(object) } else { admission.name };
    (name != node).then(|| "can only access node lease with the same name as the requesting node".into())
}

fn csi_node(admission: &Admission<'_>, object: &Value, node: &str) -> Option<String> {
    let name = if admission.name.is_empty() { meta::name(object) } else { admission.name };
    (name != node).then(|| "can only access CSINode with the same name as the requesting node".into())
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn kubelets_keep_off_trusted_labels() {
        for (label, forbidden) in [
            ("node-restriction.kubernetes.io/pci", true),
            ("x.node-restriction.kubernetes.io/pci", true),
            ("kubernetes.io/anything", true),
            ("foo.k8s.io/anything", true),
            ("node-role.kubernetes.io/control-plane", true),
            ("kubernetes.io/hostname", false),
            ("kubelet.kubernetes.io/own", false),
            ("x.node.kubernetes.io/own", false),
            ("example.com/free", false),
            ("plain", false),
        ] {
            assert_eq!(is_forbidden(label), forbidden, "{label}");
        }
    }

    #[test]
    fn only_changes_count() {
        let old = value!({"kubernetes.io/set": "by-admin", "a": "b"});
        let mut new = old.clone();
        new.set("a", "c");
        assert!(forbidden_labels(&new, &old).is_empty());
        new.remove("kubernetes.io/set");
        assert_eq!(forbidden_labels(&new, &old), ["kubernetes.io/set"]);
    }
}
