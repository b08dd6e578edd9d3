//! The Node authorizer: a kubelet may do what its node needs and no more.
//! Secrets, config maps and claims only where one of its pods names them.

mod relations;

use std::borrow::Cow;
use std::sync::Arc;

use apiserver::{Action, Authorizer, Decision, UserInfo, View};

use crate::rbac::Rule;
use relations::{Kind, is_related};

/// The group of kubelets.
pub const SYSTEM_NODES: &str = "system:nodes";
const USER_PREFIX: &str = "system:node:";
const LEASES: &str = "kube-node-lease";

/// The node that a user is, by name and group.
pub fn node_of(user: &UserInfo) -> Option<&str> {
    let name = user.name.strip_prefix(USER_PREFIX)?;
    user.is_in(SYSTEM_NODES).then_some(name)
}

/// See the module.
pub struct NodeAuthorizer {
    /// What every kubelet may do: the rules of the ClusterRole `system:node`
    /// as it is built in, not as it is stored.
    rules: Arc<[Rule]>,
}

impl NodeAuthorizer {
    /// `rules` are those of the built-in ClusterRole `system:node`.
    pub fn new(rules: Arc<[Rule]>) -> Self {
        Self { rules }
    }

    fn by_rules(&self, action: &Action<'_>) -> Decision {
        let allowed = self.rules.iter().any(|rule| {
            rule.allows_resource(action.verb, action.group, action.resource, action.subresource, action.name)
        });
        if allowed { Decision::allow("") } else { Decision::no_opinion("") }
    }
}

fn no_opinion(why: impl Into<String>) -> Decision {
    Decision::no_opinion(format!("node: {}", why.into()))
}

impl Authorizer for NodeAuthorizer {
    fn authorize(&self, action: &Action<'_>, view: &View) -> Decision {
        let Some(node) = node_of(action.user) else { return Decision::no_opinion("") };
        if node.is_empty() {
            return no_opinion(format!("unknown node for user {:?}", action.user.name));
        }
        let refused = match (action.is_resource, action.group, action.resource) {
            (true, "", "secrets") => read_named(node, action, view, Kind::Secret),
            (true, "", "configmaps") => read_named(node, action, view, Kind::ConfigMap),
            (true, "", "persistentvolumeclaims") if action.subresource == "status" => {
                write_status(node, action, view, Kind::Claim)
            }
            (true, "", "persistentvolumeclaims") => get_named(node, action, view, Kind::Claim),
            (true, "", "persistentvolumes") => get_named(node, action, view, Kind::Volume),
            (true, "", "serviceaccounts") => service_accounts(node, action, view),
            (true, "", "nodes") => nodes(node, action),
            (true, "", "pods") => pods(node, action, view),
            (true, "resource.k8s.io", "resourceclaims") => get_named(node, action, view, Kind::ResourceClaim),
            (true, "resource.k8s.io", "resourceslices") => resource_slices(node, action, view),
            (true, "coordination.k8s.io", "leases") => leases(node, action),
            (true, "storage.k8s.io", "csinodes") => csi_nodes(node, action),
            (true, "storage.k8s.io", "volumeattachments") => get_named(node, action, view, Kind::Attachment),
            (true, "certificates.k8s.io", "podcertificaterequests") => {
                pod_certificate_requests(node, action, view)
            }
            _ => return self.by_rules(action),
        };
        match refused {
            Ok(()) => Decision::allow(""),
            Err(why) if why.is_empty() => Decision::no_opinion(""),
            Err(why) => no_opinion(why),
        }
    }
}

/// Why a request is not allowed; "" where nothing is said of it.
type Allowed = Result<(), Cow<'static, str>>;

/// Whether a list or watch asks for what has this field equal to `node` alone.
fn selects(action: &Action<'_>, field: &str, node: &str) -> bool {
    action.field_selector.split(',').any(|term| {
        let value = term.strip_prefix(field).and_then(|rest| rest.strip_prefix('='));
        value.is_some_and(|value| value.strip_prefix('=').unwrap_or(value) == node)
    })
}

/// An object that belongs to the node, or that one of its pods names.
fn named(node: &str, action: &Action<'_>, view: &View, kind: Kind) -> Allowed {
    if action.name.is_empty() {
        return Err("No Object name found".into());
    }
    related(node, action, view, kind)
}

fn related(node: &str, action: &Action<'_>, view: &View, kind: Kind) -> Allowed {
    if is_related(view, node, kind, action.namespace, action.name) {
        return Ok(());
    }
    Err(format!("no relationship found between node '{node}' and this object").into())
}

fn get_named(node: &str, action: &Action<'_>, view: &View, kind: Kind) -> Allowed {
    if action.verb != "get" {
        return Err("can only get individual resources of this type".into());
    }
    if !action.subresource.is_empty() {
        return Err("cannot get subresource".into());
    }
    named(node, action, view, kind)
}

fn read_named(node: &str, action: &Action<'_>, view: &View, kind: Kind) -> Allowed {
    if !matches!(action.verb, "get" | "list" | "watch") {
        return Err("can only read resources of this type".into());
    }
    if !action.subresource.is_empty() {
        return Err("cannot read subresource".into());
    }
    if action.namespace.is_empty() {
        return Err("can only read namespaced object of this type".into());
    }
    named(node, action, view, kind)
}

fn write_status(node: &str, action: &Action<'_>, view: &View, kind: Kind) -> Allowed {
    if !matches!(action.verb, "update" | "patch") {
        return Err("can only get/update/patch this type".into());
    }
    named(node, action, view, kind)
}

fn service_accounts(node: &str, action: &Action<'_>, view: &View) -> Allowed {
    if action.verb == "get" && action.subresource.is_empty() {
        return read_named(node, action, view, Kind::ServiceAccount);
    }
    if action.verb != "create" || action.name.is_empty() {
        return Err("can only create tokens for individual service accounts".into());
    }
    if action.subresource != "token" {
        return Err("can only create token subresource of serviceaccount".into());
    }
    related(node, action, view, Kind::ServiceAccount)
}

fn pods(node: &str, action: &Action<'_>, view: &View) -> Allowed {
    match (action.subresource, action.verb) {
        ("", "get") => get_named(node, action, view, Kind::Pod),
        ("", "list" | "watch") => {
            if selects(action, "spec.nodeName", node) {
                Ok(())
            } else if action.name.is_empty() {
                Err("can only list/watch pods with spec.nodeName field selector".into())
            } else {
                named(node, action, view, Kind::Pod)
            }
        }
        // NodeRestriction sees that they are mirror pods, and of this node.
        ("", "create" | "delete") | ("status", "update" | "patch") | ("eviction", "create") => Ok(()),
        _ => Err("".into()),
    }
}

fn nodes(node: &str, action: &Action<'_>) -> Allowed {
    match (action.subresource, action.verb) {
        // Which node is written is seen by NodeRestriction.
        ("", "create" | "update" | "patch") | ("status", "update" | "patch") => Ok(()),
        // By name, for a kubelet asks for its node before there is one.
        ("", "get" | "list" | "watch") => match action.name {
            name if name == node => Ok(()),
            "" => Err(format!("node '{node}' cannot read all nodes, only its own Node object").into()),
            other => Err(format!("node '{node}' cannot read '{other}', only its own Node object").into()),
        },
        _ => Err("".into()),
    }
}

fn leases(node: &str, action: &Action<'_>) -> Allowed {
    if !matches!(action.verb, "get" | "create" | "update" | "patch" | "delete") {
        return Err("can only get, create, update, patch, or delete a node lease".into());
    }
    if action.namespace != LEASES {
        return Err(format!("can only access leases in the {LEASES:?} system namespace").into());
    }
    // The name of a new lease is seen by NodeRestriction.
    if action.verb != "create" && action.name != node {
        return Err("can only access node lease with the same name as the requesting node".into());
    }
    Ok(())
}

fn csi_nodes(node: &str, action: &Action<'_>) -> Allowed {
    match action.subresource {
        "" if matches!(action.verb, "get" | "create" | "update" | "patch" | "delete") => {}
        "" => return Err("can only get, create, update, patch, or delete a CSINode".into()),
        // Behind a gate that v1.37 has off.
        "status" => return Err("CSINode status access requires CSIVolumeHealth feature".into()),
        _ => return Err("cannot authorize CSINode subresources".into()),
    }
    if action.verb != "create" && action.name != node {
        return Err("can only access CSINode with the same name as the requesting node".into());
    }
    Ok(())
}

fn resource_slices(node: &str, action: &Action<'_>, view: &View) -> Allowed {
    if !action.subresource.is_empty() {
        return Err("cannot authorize ResourceSlice subresources".into());
    }
    match action.verb {
        // Whose a new one is, is seen by NodeRestriction.
        "create" => Ok(()),
        "get" | "update" | "patch" | "delete" => named(node, action, view, Kind::ResourceSlice),
        "watch" | "list" | "deletecollection" if selects(action, "spec.nodeName", node) => Ok(()),
        "watch" | "list" | "deletecollection" => {
            Err("can only list/watch/deletecollection resourceslices with nodeName field selector".into())
        }
        _ => Err(
            "only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, \
                  patch, delete, deletecollection"
                .into(),
        ),
    }
}

fn pod_certificate_requests(node: &str, action: &Action<'_>, view: &View) -> Allowed {
    if !action.subresource.is_empty() {
        return Err("nodes may not access the status subresource of PodCertificateRequests".into());
    }
    match action.verb {
        // Which pods it may ask for is seen by NodeRestriction.
        "create" => Ok(()),
        "get" => named(node, action, view, Kind::CertificateRequest),
        "list" | "watch" if selects(action, "spec.nodeName", node) => Ok(()),
        "list" | "watch" => {
            Err("can only list/watch podcertificaterequests with nodeName field selector".into())
        }
        verb => Err(format!("nodes may not {verb} podcertificaterequests").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action<'a>(
        user: &'a UserInfo,
        verb: &'a str,
        subresource: &'a str,
        (namespace, name): (&'a str, &'a str),
        field_selector: &'a str,
    ) -> Action<'a> {
        Action { subresource, namespace, name, field_selector, ..Action::on(user, verb, "", "") }
    }

    #[test]
    fn a_node_does_what_is_its_own() {
        let user = UserInfo::default();
        let (here, other) = ((LEASES, "n1"), (LEASES, "n2"));
        type Decide = fn(&str, &Action<'_>) -> Allowed;
        let cases: [(Decide, _, _, _, _); 14] = [
            (nodes, "get", "", ("", "n1"), None),
            (nodes, "watch", "", ("", "n2"), Some("node 'n1' cannot read 'n2', only its own Node object")),
            (nodes, "list", "", ("", ""), Some("node 'n1' cannot read all nodes, only its own Node object")),
            (nodes, "create", "", ("", ""), None),
            (nodes, "create", "status", ("", "n1"), Some("")),
            (nodes, "delete", "", ("", "n1"), Some("")),
            (leases, "create", "", other, None),
            (leases, "update", "", here, None),
            (leases, "list", "", here, Some("can only get, create, update, patch, or delete a node lease")),
            (
                leases,
                "get",
                "",
                ("a", "n1"),
                Some("can only access leases in the \"kube-node-lease\" system namespace"),
            ),
            (
                leases,
                "patch",
                "",
                other,
                Some("can only access node lease with the same name as the requesting node"),
            ),
            (csi_nodes, "delete", "", ("", "n1"), None),
            (
                csi_nodes,
                "get",
                "status",
                ("", "n1"),
                Some("CSINode status access requires CSIVolumeHealth feature"),
            ),
            (csi_nodes, "get", "x", ("", "n1"), Some("cannot authorize CSINode subresources")),
        ];
        for (decide, verb, subresource, place, why) in cases {
            let said = decide("n1", &action(&user, verb, subresource, place, "")).err();
            assert_eq!(said.as_deref(), why, "{verb} {subresource} {place:?}");
        }
    }

    #[test]
    fn a_selector_keeps_to_the_node() {
        let user = UserInfo::default();
        for (selector, expected) in [
            ("spec.nodeName=n1", true),
            ("status.phase!=Failed,spec.nodeName==n1", true),
            ("spec.nodeName!=n1", false),
            ("spec.nodeName=n10", false),
            ("", false),
        ] {
            let asked = action(&user, "list", "", ("", ""), selector);
            assert_eq!(selects(&asked, "spec.nodeName", "n1"), expected, "{selector}");
        }
    }
}
