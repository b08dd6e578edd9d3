//! Who writes a policy or a binding can read what it takes its parameters from:
//! else a policy would tell its writer what stands in them. Asked of what is
//! right otherwise.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apiserver::{Action, Context, UserInfo, decide};

use super::GROUP;

/// An error where the user may not have this policy take its kind of parameters.
pub(super) fn kind(context: &Context<'_>, policy: &Value, old: &Value, errors: &mut Errors) {
    let kind = &policy["spec"]["paramKind"];
    if !errors.is_empty() || kind.is_null() || old["spec"]["paramKind"] == *kind {
        return;
    }
    if !may(context, "get", &Parameters::of(context, kind), "*", "*") {
        let why = format!(
            "user {} must have \"get\" permission on all objects of the referenced paramKind (kind={}, apiVersion={})",
            as_go_prints(context.user),
            kind["kind"].text(),
            kind["apiVersion"].text()
        );
        errors.forbidden(&Path::Root.child("spec").child("paramKind"), &why);
    }
}

/// An error where the user may not have this binding name its parameters.
pub(super) fn reference(context: &Context<'_>, binding: &Value, old: &Value, errors: &mut Errors) {
    let spec = &binding["spec"];
    let is_same =
        old["spec"]["paramRef"] == spec["paramRef"] && old["spec"]["policyName"] == spec["policyName"];
    if !errors.is_empty() || spec["paramRef"].is_null() || is_same {
        return;
    }
    if let Some(why) = refuse_reference(context, spec) {
        errors.forbidden(&Path::Root.child("spec").child("paramRef"), &why);
    }
}

/// Why the user may not name these parameters, if so; the binding's policy says
/// of what kind they are.
fn refuse_reference(context: &Context<'_>, spec: &Value) -> Option<String> {
    let is_mutating = context.definition.resource == "mutatingadmissionpolicybindings";
    let policies = if is_mutating { "mutatingadmissionpolicies" } else { "validatingadmissionpolicies" };
    let policy_name = spec["policyName"].text();
    let policy = context.view.get(GROUP, policies, "", policy_name).map(|stored| stored.tree());
    let kind = policy.as_ref().map_or(&Value::Null, |policy| &policy["spec"]["paramKind"]);
    let known = if kind.is_null() { Parameters::ALL } else { Parameters::of(context, kind) };
    let reference = &spec["paramRef"];
    let name = reference["name"].text();
    let verb = if name.is_empty() { "list" } else { "get" };
    if may(context, verb, &known, reference["namespace"].text(), name) {
        return None;
    }
    let user = as_go_prints(context.user);
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
            let (who, what) = if is_mutating { (verb, user.as_str()) } else { (user.as_str(), verb) };
            format!("user {who} does not have \"{what}\" permission on the object referenced by paramRef")
        }
    })
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

    fn of(context: &Context<'_>, kind: &'a Value) -> Self {
        let (group, version) = match kind["apiVersion"].text().split('/').collect::<Vec<_>>()[..] {
            [version] => ("", version),
            [group, version] => (group, version),
            _ => return Parameters { unknown: Some("unable to parse"), ..Self::ALL },
        };
        match context.view.catalogue().kind(group, version, kind["kind"].text()) {
            Some((resource, _)) => {
                Self { group, version, resource: resource.resource.to_string(), unknown: None }
            }
            None => Self { group, version, resource: String::new(), unknown: Some("unable to resolve") },
        }
    }
}

fn may(context: &Context<'_>, verb: &str, of: &Parameters<'_>, namespace: &str, name: &str) -> bool {
    let resource = if of.resource.is_empty() { "*" } else { &of.resource };
    let action =
        Action { version: of.version, namespace, name, ..Action::on(context.user, verb, of.group, resource) };
    decide(context.authorizers, &action, context.view).is_allowed()
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
