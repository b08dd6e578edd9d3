//! Who writes a policy or a binding can read what it takes its parameters from:
//! else a policy would tell its writer what stands in them. (Upstream does this
//! in the storage of these kinds, after validation.)

use std::sync::Arc;

use apimachinery::field::{Errors, Path};
use apimachinery::status::GroupKind;
use apimachinery::{Status, Value};
use apiserver::{Action, Admission, AdmissionPlugin, Authorizer, Notes, Operation, UserInfo, decide};

/// The group of policies and bindings.
const GROUP: &str = "admissionregistration.k8s.io";

/// See the module.
pub(crate) struct PolicyParameters {
    pub authorizers: Arc<[Arc<dyn Authorizer>]>,
}

impl AdmissionPlugin for PolicyParameters {
    fn name(&self) -> &'static str {
        "PolicyParameters"
    }

    fn handles(&self, admission: &Admission<'_>) -> bool {
        admission.definition.group == GROUP
            && admission.subresource.is_empty()
            && matches!(admission.operation, Operation::Create | Operation::Update)
            && !admission.user.is_in("system:masters")
    }

    fn validate(&self, admission: &Admission<'_>, object: &Value, _: &mut Notes) -> Result<(), Status> {
        let (field, why) = match &*admission.definition.resource {
            "validatingadmissionpolicies" | "mutatingadmissionpolicies" => {
                ("paramKind", self.refuse_kind(admission, object))
            }
            "validatingadmissionpolicybindings" => {
                ("paramRef", self.refuse_reference(admission, "validatingadmissionpolicies", object))
            }
            "mutatingadmissionpolicybindings" => {
                ("paramRef", self.refuse_reference(admission, "mutatingadmissionpolicies", object))
            }
            _ => return Ok(()),
        };
        let Some(why) = why else { return Ok(()) };
        let mut errors = Errors::new();
        errors.forbidden(&Path::Root.child("spec").child(field), &why);
        let kind = GroupKind { group: GROUP, kind: &admission.definition.kind };
        Err(Status::invalid(kind, apimachinery::meta::name(object), &errors))
    }
}

/// Group, version and resource of a `paramKind`, as far as they are known; what
/// is not known is every one.
struct Parameters<'a> {
    group: &'a str,
    version: &'a str,
    resource: String,
    /// Why less is known than the policy says.
    unknown: Option<&'static str>,
}

impl<'a> Parameters<'a> {
    const ALL: Parameters<'static> =
        Parameters { group: "*", version: "*", resource: String::new(), unknown: None };

    fn of(admission: &Admission<'_>, kind: &'a Value) -> Self {
        let (group, version) = match kind["apiVersion"].text().split('/').collect::<Vec<_>>()[..] {
            [version] => ("", version),
            [group, version] => (group, version),
            _ => return Parameters { unknown: Some("unable to parse"), ..Self::ALL },
        };
        match admission.view.catalogue().kind(group, version, kind["kind"].text()) {
            Some((resource, _)) => {
                Self { group, version, resource: resource.resource.to_string(), unknown: None }
            }
            None => Self { group, version, resource: String::new(), unknown: Some("unable to resolve") },
        }
    }
}

impl PolicyParameters {
    fn may(
        &self,
        admission: &Admission<'_>,
        verb: &str,
        of: &Parameters<'_>,
        namespace: &str,
        name: &str,
    ) -> bool {
        let action = Action {
            user: admission.user,
            verb,
            is_resource: true,
            group: of.group,
            version: of.version,
            resource: if of.resource.is_empty() { "*" } else { &of.resource },
            subresource: "",
            namespace,
            name,
            path: "",
            field_selector: "",
            label_selector: "",
        };
        decide(&self.authorizers, &action, admission.view).is_allowed()
    }

    /// Why a policy may not have its kind of parameters.
    fn refuse_kind(&self, admission: &Admission<'_>, policy: &Value) -> Option<String> {
        let kind = &policy["spec"]["paramKind"];
        if kind.is_null() || admission.old.is_some_and(|old| old["spec"]["paramKind"] == *kind) {
            return None;
        }
        if self.may(admission, "get", &Parameters::of(admission, kind), "*", "*") {
            return None;
        }
        Some(format!(
            "user {} must have \"get\" permission on all objects of the referenced paramKind (kind={}, apiVersion={})",
            as_go_prints(admission.user),
            kind["kind"].text(),
            kind["apiVersion"].text()
        ))
    }

    /// Why a binding may not name its parameters; `policies` has its policy.
    fn refuse_reference(&self, admission: &Admission<'_>, policies: &str, binding: &Value) -> Option<String> {
        let spec = &binding["spec"];
        let reference = &spec["paramRef"];
        let is_same = |old: &Value| {
            old["spec"]["paramRef"] == *reference && old["spec"]["policyName"] == spec["policyName"]
        };
        if reference.is_null() || admission.old.is_some_and(is_same) {
            return None;
        }
        let policy_name = spec["policyName"].text();
        let policy = admission.view.get(GROUP, policies, "", policy_name).map(|stored| stored.tree());
        let kind = policy.as_ref().map_or(&Value::Null, |policy| &policy["spec"]["paramKind"]);
        let known = if kind.is_null() { Parameters::ALL } else { Parameters::of(admission, kind) };
        let name = reference["name"].text();
        let verb = if name.is_empty() { "list" } else { "get" };
        if self.may(admission, verb, &known, reference["namespace"].text(), name) {
            return None;
        }
        let user = as_go_prints(admission.user);
        let everything = format!(
            "to determine minimum required permissions and user {user} does not have \"{verb}\" permission for all \
             groups, versions and resources"
        );
        Some(match (policy.is_some(), known.unknown) {
            (false, _) => format!("unable to get policy {policy_name} {everything}"),
            (true, Some(unable)) => {
                let kind = format!("&{{{} {}}}", kind["apiVersion"].text(), kind["kind"].text());
                format!("{unable} paramKind {kind} {everything}")
            }
            (true, None) => {
                // Upstream's words for the mutating kind have the two in the other order.
                let (who, what) =
                    if policies.starts_with('m') { (verb, user.as_str()) } else { (user.as_str(), verb) };
                format!("user {who} does not have \"{what}\" permission on the object referenced by paramRef")
            }
        })
    }
}

/// A user as Go's `%v` prints a pointer to user.DefaultInfo.
fn as_go_prints(user: &UserInfo) -> String {
    let extra: Vec<String> =
        user.extra.iter().map(|(key, values)| format!("{key}:[{}]", values.join(" "))).collect();
    format!("&{{{} {} [{}] map[{}]}}", user.name, user.uid, user.groups.join(" "), extra.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_printed_as_go_prints_them() {
        let mut ann = UserInfo::new("ann", &["dev", "ops"]);
        assert_eq!(as_go_prints(&ann), "&{ann  [dev ops] map[]}");
        ann.extra.insert("k".into(), vec!["a".into(), "b".into()]);
        assert_eq!(as_go_prints(&ann), "&{ann  [dev ops] map[k:[a b]]}");
    }
}
