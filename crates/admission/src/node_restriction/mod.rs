//! NodeRestriction: a kubelet writes its own Node, its own pods, its own lease
//! and what is made for its own pods, and not the labels by which nodes are
//! trusted. What a kubelet may ask for at all is the Node authorizer's.

mod credentials;
mod nodes;
mod pods;

use std::sync::Arc;

use apimachinery::{Status, Value, meta};
use apiserver::{Admission, AdmissionPlugin, Authorizer, Notes, Operation};

const USER_PREFIX: &str = "system:node:";
const LEASES: &str = "kube-node-lease";

/// See the module.
pub(crate) struct NodeRestriction {
    pub authorizers: Arc<[Arc<dyn Authorizer>]>,
}

/// The node that a user is.
fn node_of<'a>(admission: &Admission<'a>) -> Option<&'a str> {
    let name = admission.user.name.strip_prefix(USER_PREFIX)?;
    admission.user.is_in("system:nodes").then_some(name)
}

/// What a kubelet asks for.
#[derive(Clone, Copy)]
struct Asked<'a> {
    admission: &'a Admission<'a>,
    object: &'a Value,
    node: &'a str,
    authorizers: &'a [Arc<dyn Authorizer>],
}

impl Asked<'_> {
    fn forbid(&self, why: impl std::fmt::Display) -> Status {
        self.admission.forbid(self.object, why)
    }

    /// Forbids with `why` unless `allowed`.
    fn require(&self, allowed: bool, why: impl FnOnce() -> String) -> Result<(), Status> {
        if allowed { Ok(()) } else { Err(self.forbid(why())) }
    }

    /// The name that is asked for: of a new object its own.
    fn name(&self) -> &str {
        if self.admission.name.is_empty() { meta::name(self.object) } else { self.admission.name }
    }
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
        let asked = Asked { admission, object, node, authorizers: &self.authorizers };
        if node.is_empty() {
            return Err(asked.forbid(format!("could not determine node from user {:?}", admission.user.name)));
        }
        match (&*admission.definition.group, &*admission.definition.resource, admission.subresource) {
            ("", "pods", "") => pods::pod(asked),
            ("", "pods", "status") => pods::status(asked),
            ("", "pods", "eviction") => pods::eviction(asked),
            ("", "pods", subresource) => Err(asked.forbid(format!(
                "unexpected pod subresource {subresource:?}, only 'status' and 'eviction' are allowed"
            ))),
            ("", "nodes", _) => nodes::node(asked),
            ("", "persistentvolumeclaims", "status") => claim_status(asked),
            ("", "persistentvolumeclaims", _) => Err(asked.forbid("may only update PVC status")),
            ("", "serviceaccounts", "token") => credentials::token(asked),
            ("certificates.k8s.io", "podcertificaterequests", _) => {
                credentials::pod_certificate_request(asked)
            }
            ("certificates.k8s.io", "certificatesigningrequests", _) => credentials::signing_request(asked),
            ("coordination.k8s.io", "leases", _) => lease(asked),
            ("storage.k8s.io", "csinodes", _) => csi_node(asked),
            ("resource.k8s.io", "resourceslices", _) => resource_slice(asked),
            _ => Ok(()),
        }
    }
}

/// A claim as far as a kubelet may not change it.
fn unchangeable(claim: &Value) -> Value {
    let mut rest = claim.clone();
    for member in ["resourceVersion", "managedFields"] {
        rest.entry("metadata").remove(member);
    }
    for member in ["capacity", "conditions", "allocatedResources", "allocatedResourceStatuses"] {
        rest.entry("status").remove(member);
    }
    rest
}

fn claim_status(asked: Asked<'_>) -> Result<(), Status> {
    let Some(old) = asked.admission.old.filter(|_| asked.admission.operation == Operation::Update) else {
        let operation = asked.admission.operation.as_str();
        return Err(asked.forbid(format!("unexpected operation {operation:?}")));
    };
    // Upstream goes on with a difference of Go's structs.
    asked.require(unchangeable(old) == unchangeable(asked.object), || {
        format!(
            "node {:?} is not allowed to update fields other than status.quantity and status.conditions",
            asked.node
        )
    })
}

fn lease(asked: Asked<'_>) -> Result<(), Status> {
    asked.require(asked.admission.namespace == LEASES, || {
        format!("can only access leases in the {LEASES:?} system namespace")
    })?;
    asked.require(asked.name() == asked.node, || {
        "can only access node lease with the same name as the requesting node".into()
    })
}

fn csi_node(asked: Asked<'_>) -> Result<(), Status> {
    asked.require(asked.name() == asked.node, || {
        "can only access CSINode with the same name as the requesting node".into()
    })
}

/// Updates are the authorizer's: who may not see a slice may not change it.
fn resource_slice(asked: Asked<'_>) -> Result<(), Status> {
    let is_own = |slice: &Value| slice["spec"]["nodeName"].text() == asked.node;
    match asked.admission.operation {
        Operation::Create => asked.require(is_own(asked.object), || {
            "can only create ResourceSlice with the same NodeName as the requesting node".into()
        }),
        Operation::Delete => asked.require(asked.admission.old.is_some_and(is_own), || {
            "can only delete ResourceSlice with the same NodeName as the requesting node".into()
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn a_claims_size_is_a_kubelets_to_tell() {
        let old = value!({"metadata": {"name": "a", "resourceVersion": "1"}, "status": {"phase": "Bound"}});
        for (new, same) in [
            (
                value!({"metadata": {"name": "a"}, "status": {"phase": "Bound", "capacity": {"storage": "1"}}}),
                true,
            ),
            (value!({"metadata": {"name": "a"}, "status": {"phase": "Lost"}}), false),
            (value!({"metadata": {"name": "a", "labels": {"a": "b"}}, "status": {"phase": "Bound"}}), false),
        ] {
            assert_eq!(unchangeable(&new) == unchangeable(&old), same, "{new:?}");
        }
    }
}
