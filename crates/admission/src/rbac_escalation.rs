//! Nobody gives rights that they do not hold: roles and bindings are checked
//! against the writer's own rules, unless the verbs `escalate` or `bind` allow
//! it. (Upstream does this in the storage of RBAC, after mutation.)

use std::sync::Arc;

use apimachinery::status::GroupResource;
use apimachinery::{Status, Value};
use apiserver::{Action, Admission, AdmissionPlugin, Authorizer, Notes, Operation, UserInfo, Verdict, View};

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
        let action = Action {
            user: admission.user,
            verb,
            is_resource: true,
            group: GROUP,
            version: "*",
            resource,
            subresource: "",
            namespace,
            name,
            path: "",
            field_selector: "",
            label_selector: "",
        };
        may(&self.authorizers, &action, admission)
    }

    fn check_role(&self, admission: &Admission<'_>, role: &Value) -> Result<(), Status> {
        if let Some(old) = admission.old
            && old["rules"] == role["rules"]
            && old["aggregationRule"] == role["aggregationRule"]
        {
            return Ok(());
        }
        let name = role["metadata"]["name"].text();
        if self.may(admission, "escalate", &admission.definition.resource, admission.namespace, name) {
            return Ok(());
        }
        if let Some(why) = self.refuse(admission, admission.namespace, &role["rules"]) {
            return Err(admission.forbid(role, why));
        }
        if !role["aggregationRule"].is_null() {
            let everything = apimachinery::value!([
                {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
                {"verbs": ["*"], "nonResourceURLs": ["*"]}
            ]);
            if self.refuse(admission, "", &everything).is_some() {
                let why = "must have cluster-admin privileges to use an aggregationRule";
                return Err(admission.forbid(role, why));
            }
        }
        Ok(())
    }

    fn check_binding(&self, admission: &Admission<'_>, binding: &Value) -> Result<(), Status> {
        if let Some(old) = admission.old
            && old["roleRef"] == binding["roleRef"]
            && old["subjects"] == binding["subjects"]
        {
            return Ok(());
        }
        let (kind, name) = (binding["roleRef"]["kind"].text(), binding["roleRef"]["name"].text());
        let (plural, namespace) = match kind {
            "Role" => ("roles", admission.namespace),
            "ClusterRole" => ("clusterroles", ""),
            // Validation says what is wrong with it.
            _ => return Ok(()),
        };
        if self.may(admission, "bind", plural, admission.namespace, name) {
            return Ok(());
        }
        let Some(role) = admission.view.get(GROUP, plural, namespace, name) else {
            // Upstream names the binding's resource with the role's name.
            let resource = GroupResource { group: GROUP, resource: &admission.definition.resource };
            return Err(Status::not_found(resource, name));
        };
        match self.refuse(admission, admission.namespace, &role.tree()["rules"]) {
            Some(why) => Err(admission.forbid(binding, why)),
            None => Ok(()),
        }
    }
}

/// Whether the authorizers, in their order, allow `action`.
pub(crate) fn may(
    authorizers: &[Arc<dyn Authorizer>],
    action: &Action<'_>,
    admission: &Admission<'_>,
) -> bool {
    for authorizer in authorizers {
        match authorizer.authorize(action, admission.view).verdict {
            Verdict::Allow => return true,
            Verdict::Deny => return false,
            Verdict::NoOpinion => {}
        }
    }
    false
}
