//! The Node authorizer: a kubelet may do what its node needs and no more.
//! Secrets, config maps and claims only where one of its pods names them.

mod graph;

use std::sync::Arc;

use apiserver::{Action, Authorizer, Decision, UserInfo, View};

use crate::rbac::Rule;
pub use graph::{Graph, Kind};

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

fn is_read(verb: &str) -> bool {
    matches!(verb, "get" | "list" | "watch")
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
        if !action.is_resource {
            return self.by_rules(action);
        }
        match (action.group, action.resource) {
            ("", "secrets") => self.read_named(node, action, view, Kind::Secret, true),
            ("", "configmaps") => self.read_named(node, action, view, Kind::ConfigMap, true),
            ("", "persistentvolumeclaims") => match action.subresource {
                "status" => {
                    let mut named = *action;
                    named.verb = "get";
                    self.named(node, &named, view, Kind::Claim)
                }
                _ => self.read_named(node, action, view, Kind::Claim, false),
            },
            ("", "persistentvolumes") => self.read_named(node, action, view, Kind::Volume, false),
            ("", "serviceaccounts") => self.create_token(node, action, view),
            ("", "nodes") => nodes(node, action),
            ("", "pods") => self.pods(node, action, view),
            ("resource.k8s.io", "resourceclaims") => {
                self.read_named(node, action, view, Kind::ResourceClaim, false)
            }
            ("coordination.k8s.io", "leases") => leases(node, action),
            ("storage.k8s.io", "csinodes") => own_csi_node(node, action),
            _ => self.by_rules(action),
        }
    }
}

impl NodeAuthorizer {
    /// Reads of one object that a pod of the node names.
    fn read_named(&self, node: &str, action: &Action<'_>, view: &View, kind: Kind, lists: bool) -> Decision {
        let readable = if lists { is_read(action.verb) } else { action.verb == "get" };
        if !readable {
            let verbs = if lists { "get, list and watch" } else { "get" };
            return no_opinion(format!("can only {verbs} individual resources of this type"));
        }
        if !action.subresource.is_empty() {
            return no_opinion("cannot read subresource");
        }
        self.named(node, action, view, kind)
    }

    fn named(&self, node: &str, action: &Action<'_>, view: &View, kind: Kind) -> Decision {
        if action.name.is_empty() {
            return no_opinion("No Object name found");
        }
        if view.derived::<Graph>().names(node, kind, action.namespace, action.name) {
            Decision::allow("")
        } else {
            no_opinion(format!("no relationship found between node '{node}' and this object"))
        }
    }

    fn create_token(&self, node: &str, action: &Action<'_>, view: &View) -> Decision {
        if action.verb == "get" && action.subresource.is_empty() {
            return self.named(node, action, view, Kind::ServiceAccount);
        }
        if action.verb != "create" || action.subresource != "token" {
            return no_opinion("can only create tokens for individual service accounts");
        }
        self.named(node, action, view, Kind::ServiceAccount)
    }

    fn pods(&self, node: &str, action: &Action<'_>, view: &View) -> Decision {
        match (action.verb, action.subresource) {
            ("get", "") => self.named(node, action, view, Kind::Pod),
            ("list" | "watch", "") => {
                let own = action.field_selector.split(',').any(|term| {
                    term.strip_prefix("spec.nodeName=").map(|rest| rest.trim_start_matches('=')) == Some(node)
                });
                if own {
                    Decision::allow("")
                } else {
                    no_opinion("can only list/watch pods with spec.nodeName field selector")
                }
            }
            _ => self.by_rules(action),
        }
    }
}

fn nodes(node: &str, action: &Action<'_>) -> Decision {
    match (action.verb, action.subresource) {
        // Which node is written is seen by NodeRestriction.
        ("create" | "update" | "patch", "" | "status") => Decision::allow(""),
        ("get" | "list" | "watch", "") => {
            let named = match action.verb {
                "get" => action.name,
                _ => action
                    .field_selector
                    .split(',')
                    .find_map(|term| term.strip_prefix("metadata.name="))
                    .map_or(action.name, |rest| rest.trim_start_matches('=')),
            };
            if named == node {
                Decision::allow("")
            } else {
                let named = if named.is_empty() { "all nodes".to_owned() } else { format!("'{named}'") };
                no_opinion(format!("node '{node}' cannot read {named}, only its own Node object"))
            }
        }
        _ => Decision::no_opinion(""),
    }
}

fn leases(node: &str, action: &Action<'_>) -> Decision {
    if !matches!(action.verb, "get" | "create" | "update" | "patch" | "delete") {
        return no_opinion("can only get, create, update, patch, or delete a node lease");
    }
    if action.namespace != LEASES {
        return no_opinion(format!("can only access leases in the {LEASES:?} system namespace"));
    }
    // The name of a new lease is seen by NodeRestriction.
    if action.verb != "create" && action.name != node {
        return no_opinion("can only access node lease with the same name as the requesting node");
    }
    Decision::allow("")
}

fn own_csi_node(node: &str, action: &Action<'_>) -> Decision {
    if !matches!(action.verb, "get" | "create" | "update" | "patch" | "delete") {
        return no_opinion("can only get, create, update, patch, or delete a CSINode");
    }
    if !action.subresource.is_empty() {
        return no_opinion("cannot authorize CSINode subresources");
    }
    if action.verb != "create" && action.name != node {
        return no_opinion("can only access CSINode with the same name as the requesting node");
    }
    Decision::allow("")
}
