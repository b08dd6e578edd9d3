//! RBAC: rights by roles and bindings.
//!
//! The bindings are compiled into an [`Index`] once for each state of the four
//! resources; a decision is a look-up in it.

mod index;
mod rule;

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::Value;
use apiserver::{Action, Authorizer, Decision, Derived, UserInfo, View};

pub use index::{Grant, Index, Roles, compile};
pub use rule::{Rule, escalation, uncovered};

/// The group of roles and bindings.
pub const GROUP: &str = "rbac.authorization.k8s.io";

impl Derived for Index {
    const SOURCES: &'static [(&'static str, &'static str)] =
        &[(GROUP, "clusterroles"), (GROUP, "clusterrolebindings"), (GROUP, "roles"), (GROUP, "rolebindings")];

    fn derive(view: &View) -> Self {
        let mut roles: Roles = BTreeMap::new();
        for plural in ["clusterroles", "roles"] {
            for role in view.list(GROUP, plural, "") {
                let key = (role.namespace().to_owned(), role.name().to_owned());
                roles.insert(key, compile(&role.tree()));
            }
        }
        let mut index = Index::default();
        for plural in ["clusterrolebindings", "rolebindings"] {
            for binding in view.list(GROUP, plural, "") {
                index.add(&binding.tree(), &roles);
            }
        }
        index
    }
}

/// The RBAC authorizer: allows or has no opinion, never denies.
pub struct Rbac;

impl Authorizer for Rbac {
    fn authorize(&self, action: &Action<'_>, view: &View) -> Decision {
        let index = view.derived::<Index>();
        let who = (action.user.name.as_str(), action.user.groups.as_slice());
        let granted = if action.is_resource {
            index.allows_resource(
                who,
                action.verb,
                action.group,
                (action.resource, action.subresource),
                (action.namespace, action.name),
            )
        } else {
            index.allows_path(who, action.verb, action.path)
        };
        match granted {
            Some(grant) => Decision::allow(format!("RBAC: allowed by {}", grant.told)),
            None => {
                let namespace = if action.is_resource { action.namespace } else { "" };
                let problems = index.problems(who, namespace);
                Decision::no_opinion(problems.map(|why| format!("rbac: RBAC: {why}")).unwrap_or_default())
            }
        }
    }
}

/// What is wrong with the bindings that give a user rights in `namespace`.
pub fn problems_of(user: &UserInfo, namespace: &str, view: &View) -> Option<String> {
    view.derived::<Index>().problems((&user.name, &user.groups), namespace)
}

/// The rules that a user holds in `namespace` ("" is the cluster alone), each grant's own.
pub fn rules_of(user: &UserInfo, namespace: &str, view: &View) -> Vec<Arc<[Rule]>> {
    let index = view.derived::<Index>();
    let grants = index.grants((&user.name, &user.groups), namespace);
    grants.into_iter().map(|grant| grant.rules.clone()).collect()
}

/// What is said to `user` who grants `rules` (a role's) in `namespace`; nothing
/// where all of it is held.
pub fn refuse_granting(user: &UserInfo, namespace: &str, rules: &Value, view: &View) -> Option<String> {
    let owned: Vec<Rule> =
        rules_of(user, namespace, view).iter().flat_map(|rules| rules.iter().cloned()).collect();
    escalation(&user.name, &user.groups, &owned, &Rule::read_all(rules))
}
