//! Fields that a pod for one operating system may not have for the other.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};

const NOT_ON_LINUX: &str = "windows options cannot be set for a linux pod";
const NOT_ON_WINDOWS: &str = "cannot be set for a windows pod";

const CONTAINER_FIELDS: [&str; 9] = [
    "seLinuxOptions",
    "seccompProfile",
    "capabilities",
    "readOnlyRootFilesystem",
    "privileged",
    "allowPrivilegeEscalation",
    "procMount",
    "runAsUser",
    "runAsGroup",
];

/// A linux pod has no options for windows.
pub(super) fn not_on_linux(spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    if !spec["securityContext"]["windowsOptions"].is_null() {
        errors.forbidden(&path.child("securityContext").child("windowsOptions"), NOT_ON_LINUX);
    }
    each_container(spec, path, |context, path| {
        if !context["windowsOptions"].is_null() {
            errors.forbidden(&path.child("windowsOptions"), NOT_ON_LINUX);
        }
    });
}

/// A windows pod has none for linux.
pub(super) fn validate(spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    let context = &spec["securityContext"];
    let here = path.child("securityContext");
    let set = |value: &Value| !crate::rules::is_empty(value);
    for field in ["appArmorProfile", "seLinuxOptions"] {
        if set(&context[field]) {
            errors.forbidden(&here.child(field), NOT_ON_WINDOWS);
        }
    }
    if !spec["hostUsers"].is_null() {
        errors.forbidden(&path.child("hostUsers"), NOT_ON_WINDOWS);
    }
    for field in ["hostPID", "hostIPC"] {
        if spec[field].is_true() {
            errors.forbidden(&path.child(field), NOT_ON_WINDOWS);
        }
    }
    for field in ["seccompProfile", "fsGroup", "fsGroupChangePolicy", "sysctls"] {
        if set(&context[field]) {
            errors.forbidden(&here.child(field), NOT_ON_WINDOWS);
        }
    }
    if !spec["shareProcessNamespace"].is_null() {
        errors.forbidden(&path.child("shareProcessNamespace"), NOT_ON_WINDOWS);
    }
    for field in
        ["runAsUser", "runAsGroup", "supplementalGroups", "supplementalGroupsPolicy", "seLinuxChangePolicy"]
    {
        if set(&context[field]) || context[field].as_i64().is_some() {
            errors.forbidden(&here.child(field), NOT_ON_WINDOWS);
        }
    }
    each_container(spec, path, |context, path| {
        for field in CONTAINER_FIELDS {
            if !context[field].is_null() {
                errors.forbidden(&path.child(field), NOT_ON_WINDOWS);
            }
        }
    });
}

fn each_container(spec: &Value, path: &Path<'_>, mut visit: impl FnMut(&Value, &Path<'_>)) {
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        let field = path.child(list);
        for (at, container) in spec[list].items().iter().enumerate() {
            visit(&container["securityContext"], &field.index(at).child("securityContext"));
        }
    }
}
