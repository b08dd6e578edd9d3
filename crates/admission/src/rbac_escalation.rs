//! Nobody gives rights that they do not hold: roles and bindings are checked
//! against the writer's own rules, unless the verbs `escalate` or `bind` allow
//! it. (Upstream does this in the storage of RBAC, after mutation.)

use std::sync::Arc;

use apimachinery::status::GroupResource;
use apimachinery::{Status, Value};
use apiserver::{Action, Admission, AdmissionPlugin, Authorizer, Notes, Operation, UserInfo, View, decide};

/// The group of roles and bindings.
const GROUP: &str = "rbac.authorization.k8s.io";

/// What is said to a user who grants `rules` (a role's) in a namespace; nothing
/// where all of it is held. The crate `auth` knows.
pub type RefuseGranting = fn(&UserInfo, &str, &Value, &View) -> Option<String>;

/// See the module.
pub(crate) struct RbacEscalation {
    pub authorizers: Arc<[Arc<dyn Authorizer>]>,
    pub refuse_granting: RefuseGranting,
}

impl AdmissionPlugin for RbacEscalation {
    fn name(&self) -> &'static str {
        "RBACEscalation"
    }

    fn handles(&self, admission: &Admission<'_>) -> bool {
        admission.definition.group == GROUP
            && admission.subresource.is_empty()
            && matches!(admission.operation, Operation::Create | Operation::Update)
            && !admission.user.is_in("system:masters")
    }

    fn admit(&self, admission: &Admission<'_>, object: &mut Value, _: &mut Notes) -> Result<(), Status> {
        if admission.old.is_some_and(|old| ends_alone(old, object)) {
            return Ok(());
        }
        match &*admission.definition.resource {
            "roles" | "clusterroles" => self.check_role(admission, object),
            "rolebindings" | "clusterrolebindings" => self.check_binding(admission, object),
            _ => Ok(()),
        }
    }
}

impl RbacEscalation {
    fn refuse(&self, admission: &Admission<'_>, namespace: &str, rules: &Value) -> Option<String> {
        (self.refuse_granting)(admission.user, namespace, rules, admission.view)
    }

    fn may(
        &self,
        admission: &Admission<'_>,
        verb: &str,
        resource: &str,
        namespace: &str,
        name: &str,
    ) -> bool {
        let action = Action { namespace, name, ..Action::on(admission.user, verb, GROUP, resource) };
        decide(&self.authorizers, &action, admission.view).is_allowed()
    }

    fn check_role(&self, admission: &Admission<'_>, role: &Value) -> Result<(), Status> {
        let resource = &*admission.definition.resource;
        if self.may(admission, "escalate", resource, admission.namespace, admission.requested) {
            return Ok(());
        }
        if let Some(why) = self.refuse(admission, admission.namespace, &role["rules"]) {
            return Err(admission.forbid(role, why));
        }
        // What gathers any role, or did, is for who holds everything.
        let gathers = |role: &Value| !role["aggregationRule"]["clusterRoleSelectors"].items().is_empty();
        if gathers(role) || admission.old.is_some_and(gathers) {
            let everything = apimachinery::value!([
                {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
                {"verbs": ["*"], "nonResourceURLs": ["*"]}
            ]);
            if self.refuse(admission, "", &everything).is_some() {
                let why = "must have cluster-admin privileges to use the aggregationRule";
                return Err(admission.forbid(role, why));
            }
        }
        Ok(())
    }

    fn check_binding(&self, admission: &Admission<'_>, binding: &Value) -> Result<(), Status> {
        let (kind, name) = (binding["roleRef"]["kind"].text(), binding["roleRef"]["name"].text());
        let (plural, namespace) = match kind {
            "Role" => ("roles", admission.namespace),
            "ClusterRole" => ("clusterroles", ""),
            _ => {
                let kind = apimachinery::field::quote(kind);
                return Err(Status::unknown(format!("unsupported role reference kind: {kind}")));
            }
        };
        if self.may(admission, "bind", plural, admission.namespace, name) {
            return Ok(());
        }
        if kind == "Role" && namespace.is_empty() {
            return Err(Status::bad_request("Namespace parameter required."));
        }
        let Some(role) = admission.view.get(GROUP, plural, namespace, name) else {
            // Upstream names the binding's resource with the role's name.
            let resource = GroupResource { group: GROUP, resource: &admission.definition.resource };
            return Err(Status::not_stored(resource, name));
        };
        match self.refuse(admission, admission.namespace, &role.tree()["rules"]) {
            Some(why) => Err(admission.forbid(binding, why)),
            None => Ok(()),
        }
    }
}

/// Whether an update changes nothing but what leads to the object's end:
/// its owners and finalizers (and who owns which field).
fn ends_alone(old: &Value, new: &Value) -> bool {
    let rest = |tree: &Value| {
        let mut rest = tree.clone();
        for member in ["ownerReferences", "finalizers", "managedFields"] {
            rest.entry("metadata").remove(member);
        }
        rest
    };
    rest(old) == rest(new)
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn the_end_of_an_object_needs_no_rights() {
        let old =
            value!({"metadata": {"name": "a", "finalizers": ["x/y"], "labels": {"a": "b"}}, "rules": []});
        let cases = [
            (value!({"metadata": {"name": "a", "labels": {"a": "b"}}, "rules": []}), true),
            (value!({"metadata": {"name": "a", "labels": {"a": "c"}}, "rules": []}), false),
            (value!({"metadata": {"name": "a", "labels": {"a": "b"}}, "rules": [{"verbs": ["get"]}]}), false),
        ];
        for (new, expected) in cases {
            assert_eq!(ends_alone(&old, &new), expected, "{new:?}");
        }
    }
}
