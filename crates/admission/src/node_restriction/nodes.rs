//! What a kubelet writes of its Node.

use apimachinery::{Status, Value};
use apiserver::Operation;

use super::Asked;

pub(super) fn node(asked: Asked<'_>) -> Result<(), Status> {
    let (node, name, object) = (asked.node, asked.name(), asked.object);
    asked.require(name == node, || format!("node {node:?} is not allowed to modify node {name:?}"))?;
    match (asked.admission.operation, asked.admission.old) {
        (Operation::Create, _) => {
            asked.require(object["spec"]["configSource"].is_null(), || {
                format!("node {node:?} is not allowed to create pods with a non-nil configSource")
            })?;
            let forbidden = forbidden_labels(&object["metadata"]["labels"], &Value::Null);
            asked.require(forbidden.is_empty(), || {
                format!("node {node:?} is not allowed to set the following labels: {}", forbidden.join(", "))
            })
        }
        (Operation::Update, Some(old)) => {
            let source = &object["spec"]["configSource"];
            // An old kubelet may drop it with its status.
            asked.require(source.is_null() || *source == old["spec"]["configSource"], || {
                format!("node {node:?} is not allowed to update configSource to a new non-nil configSource")
            })?;
            let same = |path: &[&str]| object.at(path).items() == old.at(path).items();
            asked.require(same(&["spec", "taints"]), || {
                format!("node {node:?} is not allowed to modify taints")
            })?;
            asked.require(same(&["metadata", "ownerReferences"]), || {
                format!("node {node:?} is not allowed to modify ownerReferences")
            })?;
            let forbidden = forbidden_labels(&object["metadata"]["labels"], &old["metadata"]["labels"]);
            asked.require(forbidden.is_empty(), || {
                format!("is not allowed to modify labels: {}", forbidden.join(", "))
            })
        }
        _ => Ok(()),
    }
}

/// Labels of Kubernetes' own domains that a kubelet may set.
const KUBELET_LABELS: [&str; 11] = [
    "kubernetes.io/hostname",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "beta.kubernetes.io/instance-type",
    "node.kubernetes.io/instance-type",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
];

/// The labels that differ and that a kubelet may not touch.
fn forbidden_labels<'a>(new: &'a Value, old: &'a Value) -> Vec<&'a str> {
    let mut names: Vec<&str> = new
        .members()
        .chain(old.members())
        .map(|(name, _)| name)
        .filter(|name| new[*name] != old[*name] && is_forbidden(name))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
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
            ("beta.kubernetes.io/fluentd-ds-ready", true),
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
