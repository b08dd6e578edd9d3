//! Who is bound to which role: the bindings of a cluster, compiled so that a
//! decision looks only at what names the user or one of the groups.
//!
//! Pure: built from roles and bindings, asked with strings.

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::{Value, meta};

use super::rule::Rule;

/// A role that a binding gives to a subject.
#[derive(Clone, Debug)]
pub struct Grant {
    pub rules: Arc<[Rule]>,
    /// `RoleBinding "b/ns" of Role "r" to User "u"`: what a reason says behind `allowed by`. Of a
    /// role that is not there, what is wrong.
    pub told: Arc<str>,
    /// The role is not there, and nothing is granted.
    pub is_dangling: bool,
}

/// The grants of one scope by subject.
#[derive(Clone, Debug, Default)]
struct Scope {
    users: BTreeMap<String, Vec<Grant>>,
    groups: BTreeMap<String, Vec<Grant>>,
}

/// All grants of a cluster.
#[derive(Clone, Debug, Default)]
pub struct Index {
    cluster: Scope,
    namespaces: BTreeMap<String, Scope>,
}

/// Reads the rules of roles, so that an unchanged role is compiled once for
/// all its bindings: `(namespace, name)`; "" is the cluster.
pub type Roles = BTreeMap<(String, String), Arc<[Rule]>>;

/// Compiles a Role or ClusterRole.
pub fn compile(role: &Value) -> Arc<[Rule]> {
    Rule::read_all(&role["rules"]).into()
}

impl Index {
    /// Adds a ClusterRoleBinding or RoleBinding. One whose role is missing grants nothing, and is told of.
    pub fn add(&mut self, binding: &Value, roles: &Roles) {
        let namespace = meta::namespace(binding);
        let (role_kind, role_name) = (binding["roleRef"]["kind"].text(), binding["roleRef"]["name"].text());
        let role_namespace = if role_kind == "Role" { namespace } else { "" };
        let rules = roles.get(&(role_namespace.to_owned(), role_name.to_owned()));
        let scope = if namespace.is_empty() {
            &mut self.cluster
        } else {
            self.namespaces.entry(namespace.to_owned()).or_default()
        };
        for subject in binding["subjects"].items() {
            let name = subject["name"].text();
            let of = subject["namespace"].text();
            let (key, shown, map) = match subject["kind"].text() {
                "User" => (name.to_owned(), format!("User \"{name}\""), &mut scope.users),
                "Group" => (name.to_owned(), format!("Group \"{name}\""), &mut scope.groups),
                "ServiceAccount" => {
                    // Without a namespace it is the binding's own.
                    let of = if of.is_empty() { namespace } else { of };
                    if of.is_empty() {
                        continue;
                    }
                    let user = format!("system:serviceaccount:{of}:{name}");
                    (user, format!("ServiceAccount \"{name}/{of}\""), &mut scope.users)
                }
                _ => continue,
            };
            let told = if rules.is_none() {
                format!("{}.{} \"{role_name}\" not found", role_kind.to_ascii_lowercase(), super::GROUP)
            } else if namespace.is_empty() {
                format!(
                    "ClusterRoleBinding \"{}\" of {role_kind} \"{role_name}\" to {shown}",
                    meta::name(binding)
                )
            } else {
                format!(
                    "RoleBinding \"{}/{namespace}\" of {role_kind} \"{role_name}\" to {shown}",
                    meta::name(binding)
                )
            };
            let (rules, is_dangling) = (rules.cloned().unwrap_or_default(), rules.is_none());
            map.entry(key).or_default().push(Grant { rules, told: told.into(), is_dangling });
        }
    }

    /// Why `verb` on a resource is granted; nothing where it is not.
    pub fn allows_resource(
        &self,
        who: (&str, &[String]),
        verb: &str,
        group: &str,
        (resource, subresource): (&str, &str),
        (namespace, name): (&str, &str),
    ) -> Option<&Grant> {
        let mut grants = self.grants(who, namespace).into_iter();
        grants.find(|grant| {
            grant.rules.iter().any(|rule| rule.allows_resource(verb, group, resource, subresource, name))
        })
    }

    /// Why `verb` on a path is granted; nothing where it is not.
    pub fn allows_path(&self, who: (&str, &[String]), verb: &str, path: &str) -> Option<&Grant> {
        let mut grants = self.grants(who, "").into_iter();
        grants.find(|grant| grant.rules.iter().any(|rule| rule.allows_path(verb, path)))
    }

    /// What is wrong with the bindings of a user, each thing once; nothing where all is well.
    pub fn problems(&self, who: (&str, &[String]), namespace: &str) -> Option<String> {
        let mut told: Vec<&str> = Vec::new();
        for grant in self.grants(who, namespace).into_iter().filter(|grant| grant.is_dangling) {
            if !told.contains(&&*grant.told) {
                told.push(&grant.told);
            }
        }
        match told.as_slice() {
            [] => None,
            [one] => Some((*one).to_owned()),
            many => Some(format!("[{}]", many.join(", "))),
        }
    }

    /// Grants to a user and its groups: those of the cluster, then those of
    /// `namespace` ("" is none).
    pub fn grants(&self, (user, groups): (&str, &[String]), namespace: &str) -> Vec<&Grant> {
        let local = if namespace.is_empty() { None } else { self.namespaces.get(namespace) };
        let mut found = Vec::new();
        for scope in std::iter::once(&self.cluster).chain(local) {
            found.extend(scope.users.get(user).into_iter().flatten());
            for group in groups {
                found.extend(scope.groups.get(group).into_iter().flatten());
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    fn index() -> Index {
        let mut roles = Roles::new();
        let mut role = |namespace: &str, name: &str, rules: Value| {
            roles.insert((namespace.into(), name.into()), compile(&value!({"rules": rules})));
        };
        role("shop", "reader", value!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]));
        role("", "lister", value!([{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}]));
        role("", "public", value!([{"nonResourceURLs": ["/healthz"], "verbs": ["get"]}]));
        let mut index = Index::default();
        for binding in [
            value!({"metadata": {"name": "b", "namespace": "shop"},
                "roleRef": {"kind": "Role", "name": "reader"},
                "subjects": [{"kind": "User", "name": "ann"}, {"kind": "ServiceAccount", "name": "cart"}]}),
            value!({"metadata": {"name": "c"}, "roleRef": {"kind": "ClusterRole", "name": "lister"},
                "subjects": [{"kind": "Group", "name": "dev"}]}),
            value!({"metadata": {"name": "l", "namespace": "shop"},
                "roleRef": {"kind": "ClusterRole", "name": "lister"},
                "subjects": [{"kind": "User", "name": "bob"}]}),
            value!({"metadata": {"name": "gone"}, "roleRef": {"kind": "ClusterRole", "name": "missing"},
                "subjects": [{"kind": "User", "name": "ann"}]}),
            value!({"metadata": {"name": "p"}, "roleRef": {"kind": "ClusterRole", "name": "public"},
                "subjects": [{"kind": "Group", "name": "system:unauthenticated"}]}),
        ] {
            index.add(&binding, &roles);
        }
        index
    }

    #[test]
    fn grants_hold_for_their_subjects_in_their_scope() {
        let index = index();
        let dev = ["dev".to_owned()];
        for (user, groups, verb, resource, namespace, reason) in [
            (
                "ann",
                &[][..],
                "get",
                "pods",
                "shop",
                Some("RoleBinding \"b/shop\" of Role \"reader\" to User \"ann\""),
            ),
            ("ann", &[], "get", "pods", "other", None),
            ("ann", &[], "get", "pods", "", None),
            ("ann", &[], "list", "pods", "shop", None),
            (
                "system:serviceaccount:shop:cart",
                &[],
                "get",
                "pods",
                "shop",
                Some("RoleBinding \"b/shop\" of Role \"reader\" to ServiceAccount \"cart/shop\""),
            ),
            (
                "eve",
                &dev,
                "list",
                "nodes",
                "",
                Some("ClusterRoleBinding \"c\" of ClusterRole \"lister\" to Group \"dev\""),
            ),
            ("bob", &[], "list", "nodes", "", None),
        ] {
            let grant = index.allows_resource((user, groups), verb, "", (resource, ""), (namespace, ""));
            assert_eq!(grant.map(|grant| &*grant.told), reason, "{user} {verb} {resource}");
        }
    }

    #[test]
    fn paths_are_granted_by_the_cluster_only() {
        let index = index();
        let anonymous = ["system:unauthenticated".to_owned()];
        assert!(index.allows_path(("system:anonymous", &anonymous), "get", "/healthz").is_some());
        assert!(index.allows_path(("system:anonymous", &anonymous), "get", "/metrics").is_none());
    }
}
