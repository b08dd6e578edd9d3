//! RoleBinding and ClusterRoleBinding.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apiserver::{Context, NameRule, Strategy, Version};
use jiff::Timestamp;

use crate::changes::items;
use apimachinery::validation::path_segment_name as path_segment;

/// RoleBinding (of a namespace) or ClusterRoleBinding.
pub struct Binding;

impl Strategy for Binding {
    /// Users and groups are of RBAC's group, service accounts of the core.
    fn default(&self, _: &str, object: &mut Value) {
        for subject in items(object, "subjects") {
            if subject["apiGroup"].text().is_empty() && matches!(subject["kind"].text(), "User" | "Group") {
                subject.set("apiGroup", auth::rbac::GROUP);
            }
        }
    }

    fn name_rule(&self) -> NameRule {
        path_segment
    }

    fn creates_on_update(&self) -> bool {
        true
    }

    fn validate_create(&self, context: &Context<'_>, object: &Value) -> Errors {
        validate(object, context.definition.is_namespaced())
    }

    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = self.validate_create(context, object);
        if object["roleRef"] != old["roleRef"] {
            let reference = &object["roleRef"];
            // Go's field names, since upstream writes the internal type.
            let told = apimachinery::value!({
                "APIGroup": reference["apiGroup"].text(),
                "Kind": reference["kind"].text(),
                "Name": reference["name"].text()
            });
            errors.invalid(&Path::Root.child("roleRef"), told, "field is immutable");
        }
        errors
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::access::role_binding(object, now)
    }
}

fn validate(object: &Value, namespaced: bool) -> Errors {
    let mut errors = Errors::new();
    let reference = &object["roleRef"];
    let path = Path::Root.child("roleRef");
    let group = reference["apiGroup"].text();
    if !group.is_empty() && group != auth::rbac::GROUP {
        errors.not_supported(&path.child("apiGroup"), group, &[auth::rbac::GROUP]);
    }
    let kinds: &[&str] = if namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    let kind = reference["kind"].text();
    if !kinds.contains(&kind) {
        errors.not_supported(&path.child("kind"), kind, kinds);
    }
    let name = reference["name"].text();
    if name.is_empty() {
        errors.required(&path.child("name"), "");
    } else {
        for why in path_segment(name) {
            errors.invalid(&path.child("name"), name, &why);
        }
    }
    let subjects = Path::Root.child("subjects");
    let mut names = Errors::new();
    for (at, subject) in object["subjects"].items().iter().enumerate() {
        let path = subjects.index(at);
        validate_subject(subject, &path, namespaced, &mut errors, &mut names);
    }
    errors.append(names);
    errors
}

/// `names` takes the missing names: a declarative check, whose errors come last.
fn validate_subject(
    subject: &Value,
    path: &Path<'_>,
    namespaced: bool,
    errors: &mut Errors,
    names: &mut Errors,
) {
    let (kind, name, group) = (subject["kind"].text(), subject["name"].text(), subject["apiGroup"].text());
    if name.is_empty() {
        names.required(&path.child("name"), "");
    }
    match kind {
        "ServiceAccount" => {
            if !name.is_empty() {
                for why in apimachinery::validation::dns1123_subdomain(name) {
                    errors.invalid(&path.child("name"), name, &why);
                }
            }
            if !group.is_empty() {
                errors.not_supported(&path.child("apiGroup"), group, &[""]);
            }
            if !namespaced && subject["namespace"].text().is_empty() {
                errors.required(&path.child("namespace"), "");
            }
        }
        "User" | "Group" => {
            if group != auth::rbac::GROUP {
                errors.not_supported(&path.child("apiGroup"), group, &[auth::rbac::GROUP]);
            }
        }
        _ => errors.not_supported(&path.child("kind"), kind, &["ServiceAccount", "User", "Group"]),
    }
}
