//! RoleBinding and ClusterRoleBinding.

use apimachinery::field::{Errors, Path};
use apimachinery::validation::{dns1123_subdomain, path_segment_name};
use apimachinery::{Value, value};
use apiserver::{Context, NameRule, Strategy, Version};
use jiff::Timestamp;

use crate::changes::items;
use crate::rules::required;

/// RoleBinding (of a namespace) or ClusterRoleBinding.
pub struct Binding;

impl Strategy for Binding {
    fn deletes_unreadable(&self) -> bool {
        false
    }

    /// Users and groups are of RBAC's group, service accounts of the core.
    fn default(&self, _: &str, object: &mut Value) {
        for subject in items(object, "subjects") {
            if subject["apiGroup"].text().is_empty() && matches!(subject["kind"].text(), "User" | "Group") {
                subject.set("apiGroup", auth::rbac::GROUP);
            }
        }
    }

    fn name_rule(&self) -> NameRule {
        path_segment_name
    }

    fn creates_on_update(&self) -> bool {
        true
    }

    fn validate_create(&self, context: &Context<'_>, object: &Value) -> Errors {
        let mut errors = written(object, context.definition.is_namespaced(), false);
        errors.append(declared(object, None));
        errors
    }

    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let reference = &object["roleRef"];
        let changed = *reference != old["roleRef"];
        let mut errors = written(object, context.definition.is_namespaced(), changed);
        if changed {
            // Go's field names, since upstream writes the internal type.
            let told = value!({
                "APIGroup": reference["apiGroup"].text(),
                "Kind": reference["kind"].text(),
                "Name": reference["name"].text()
            });
            errors.invalid(&Path::Root.child("roleRef"), told, "field is immutable");
        }
        errors.append(declared(object, Some(old)));
        errors
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::access::role_binding(object, now)
    }
}

/// The written rules; `asks_role` where no generated one asks for a role's name.
fn written(object: &Value, namespaced: bool, asks_role: bool) -> Errors {
    let mut errors = Errors::new();
    let (reference, path) = (&object["roleRef"], Path::Root.child("roleRef"));
    errors.one_of_texts(&path.child("apiGroup"), reference["apiGroup"].text(), &[auth::rbac::GROUP]);
    let kinds: &[&str] = if namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    errors.one_of_texts(&path.child("kind"), reference["kind"].text(), kinds);
    let name = reference["name"].text();
    if asks_role && name.is_empty() {
        errors.required(&path.child("name"), "");
    }
    errors.check(&path.child("name"), name, path_segment_name(name));
    let subjects = Path::Root.child("subjects");
    for (at, each) in object["subjects"].items().iter().enumerate() {
        subject(each, &subjects.index(at), namespaced, &mut errors);
    }
    errors
}

/// The generated rules: names are there, where they are new.
fn declared(object: &Value, old: Option<&Value>) -> Errors {
    let mut errors = Errors::new();
    let changed = |field: &str| old.is_none_or(|old| old[field] != object[field]);
    if changed("subjects") {
        let subjects = Path::Root.child("subjects");
        for (at, each) in object["subjects"].items().iter().enumerate() {
            required(&subjects.index(at).child("name"), &each["name"], &mut errors);
        }
    }
    // They stop at a change, which is none of theirs.
    if old.is_none() {
        required(&Path::Root.child("roleRef").child("name"), &object["roleRef"]["name"], &mut errors);
    }
    errors
}

fn subject(subject: &Value, path: &Path<'_>, namespaced: bool, errors: &mut Errors) {
    let (kind, name, group) = (subject["kind"].text(), subject["name"].text(), subject["apiGroup"].text());
    match kind {
        "ServiceAccount" => {
            if !name.is_empty() {
                errors.check(&path.child("name"), name, dns1123_subdomain(name));
            }
            if !group.is_empty() {
                errors.text_not_supported(&path.child("apiGroup"), group, &[""]);
            }
            if !namespaced && subject["namespace"].text().is_empty() {
                errors.required(&path.child("namespace"), "");
            }
        }
        "User" | "Group" => errors.one_of_texts(&path.child("apiGroup"), group, &[auth::rbac::GROUP]),
        _ => errors.text_not_supported(&path.child("kind"), kind, &["ServiceAccount", "User", "Group"]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_asked_for_last_and_where_they_are_new() {
        let binding = value!({
            "subjects": [{"kind": "User", "apiGroup": auth::rbac::GROUP}, {"kind": "Odd", "name": "x"}],
            "roleRef": {"apiGroup": auth::rbac::GROUP, "kind": "ClusterRole"}
        });
        let told = |old: Option<&Value>| {
            let mut errors = written(&binding, true, false);
            errors.append(declared(&binding, old));
            errors.iter().map(|error| error.field.clone()).collect::<Vec<_>>()
        };
        assert_eq!(told(None), ["subjects[1].kind", "subjects[0].name", "roleRef.name"]);
        assert_eq!(told(Some(&binding)), ["subjects[1].kind"]);
    }

    #[test]
    fn accounts_of_cluster_bindings_have_a_namespace() {
        let mut errors = Errors::new();
        subject(&value!({"kind": "ServiceAccount", "name": "a"}), &Path::Root, false, &mut errors);
        assert_eq!(errors.to_string(), "namespace: Required value");
    }
}
