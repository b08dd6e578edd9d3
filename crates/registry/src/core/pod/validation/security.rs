//! Security contexts of pods and containers.

use std::collections::HashSet;

use apimachinery::Value;
use apimachinery::field::{Errors, Named, Path};
use apimachinery::validation::in_range;

use super::windows;
use crate::rules::internal;
use crate::rules::paths::descending;

const PROFILES: [&str; 3] = ["Localhost", "RuntimeDefault", "Unconfined"];
const APP_ARMOR_PATH_MAX: usize = 4095;
const SYSCTL_MAX: usize = 253;
const SYSCTL: &str = "must have at most 253 characters and match regex \
                      ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";

fn id(path: &Path<'_>, value: &Value, errors: &mut Errors) {
    let Some(number) = value.as_i64() else { return };
    for why in in_range(number, 0, i32::MAX.into()) {
        errors.invalid(path, number, &why);
    }
}

fn optional(path: &Path<'_>, value: &Value, known: &[&str], errors: &mut Errors) {
    if let Some(text) = value.as_str() {
        errors.one_of(path, text, known);
    }
}

/// `spec.securityContext`, and the namespaces that go with it.
pub(super) fn of_pod(spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    let context = &spec["securityContext"];
    let here = path.child("securityContext");
    for field in ["fsGroup", "runAsUser", "runAsGroup"] {
        id(&here.child(field), &context[field], errors);
    }
    let groups = here.child("supplementalGroups");
    for (at, group) in context["supplementalGroups"].items().iter().enumerate() {
        id(&groups.index(at), group, errors);
    }
    if spec["shareProcessNamespace"].is_true() && spec["hostPID"].is_true() {
        let why = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.invalid(&path.child("shareProcessNamespace"), true, why);
    }
    sysctls(spec, &here.child("sysctls"), errors);
    let field = "fsGroupChangePolicy";
    optional(&here.child(field), &context[field], &["Always", "OnRootMismatch"], errors);
    seccomp(&here.child("seccompProfile"), &context["seccompProfile"], errors);
    windows::options(&context["windowsOptions"], &here.child("windowsOptions"), errors);
    app_armor(&here.child("appArmorProfile"), &context["appArmorProfile"], errors);
    let field = "supplementalGroupsPolicy";
    optional(&here.child(field), &context[field], &["Merge", "Strict"], errors);
    let field = "seLinuxChangePolicy";
    optional(&here.child(field), &context[field], &["MountOption", "Recursive"], errors);
}

fn sysctls(spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    let mut names: HashSet<&str> = HashSet::new();
    for (at, sysctl) in spec["securityContext"]["sysctls"].items().iter().enumerate() {
        let here = path.index(at);
        let field = here.child("name");
        let name = sysctl["name"].text();
        if name.is_empty() {
            errors.required(&field, "");
        } else if !is_sysctl(name) {
            errors.invalid(&field, name, SYSCTL);
        } else if names.contains(&name) {
            errors.duplicate(&field, name);
        }
        names.insert(name);
        let dotted = name.replace('/', ".");
        if spec["hostNetwork"].is_true() && dotted.starts_with("net.") {
            errors.invalid(&field, name, "may not be specified when 'hostNetwork' is true");
        }
        let ipc = ["kernel.shm", "kernel.msg", "fs.mqueue."].iter().any(|prefix| dotted.starts_with(prefix))
            || dotted == "kernel.sem";
        if spec["hostIPC"].is_true() && ipc {
            errors.invalid(&field, name, "may not be specified when 'hostIPC' is true");
        }
    }
}

fn is_sysctl(name: &str) -> bool {
    let alnum = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= SYSCTL_MAX
        && name.split(['.', '/']).all(|part| {
            let bytes = part.as_bytes();
            bytes.first().is_some_and(|byte| alnum(*byte))
                && bytes.last().is_some_and(|byte| alnum(*byte))
                && bytes.iter().all(|byte| alnum(*byte) || matches!(byte, b'-' | b'_'))
        })
}

const WITHOUT_HOST_USERS: &str = "when `hostUsers` is false";

/// A pod with a user namespace of its own shares none with the host.
pub(super) fn host_users(spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    if spec["hostUsers"].as_bool() != Some(false) {
        return;
    }
    for (field, name) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")] {
        if spec[field].is_true() {
            errors.forbidden(&path.child(name), WITHOUT_HOST_USERS);
        }
    }
    // Devices cannot be mapped to other users.
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        let here = path.child(list);
        for (at, container) in spec[list].items().iter().enumerate() {
            if !container["volumeDevices"].items().is_empty() {
                errors.forbidden(&here.index(at).child("volumeDevices"), WITHOUT_HOST_USERS);
            }
        }
    }
}

/// The security context of a container.
pub(super) fn of_container(context: &Value, host_users: bool, path: &Path<'_>, errors: &mut Errors) {
    if context.is_null() {
        return;
    }
    for field in ["runAsUser", "runAsGroup"] {
        id(&path.child(field), &context[field], errors);
    }
    let field = path.child("procMount");
    optional(&field, &context["procMount"], &["Default", "Unmasked"], errors);
    if host_users && context["procMount"].text() == "Unmasked" {
        errors.invalid(&field, "Unmasked", "`hostUsers` must be false to use `Unmasked`");
    }
    seccomp(&path.child("seccompProfile"), &context["seccompProfile"], errors);
    if context["allowPrivilegeEscalation"].as_bool() == Some(false) {
        let told = || internal::of("SecurityContext", context);
        if context["privileged"].is_true() {
            let why = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            errors.invalid(path, told(), why);
        }
        for _ in context["capabilities"]["add"].items().iter().filter(|name| name.text() == "CAP_SYS_ADMIN") {
            let why = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            errors.invalid(path, told(), why);
        }
    }
    windows::options(&context["windowsOptions"], &path.child("windowsOptions"), errors);
    app_armor(&path.child("appArmorProfile"), &context["appArmorProfile"], errors);
}

fn seccomp(path: &Path<'_>, profile: &Value, errors: &mut Errors) {
    if profile.is_null() {
        return;
    }
    let (kind, local) = (profile["type"].text(), &profile["localhostProfile"]);
    match kind {
        "" => errors.required(&path.child("type"), "type is required when seccompProfile is set"),
        kind => errors.one_of(&path.child("type"), kind, &PROFILES),
    }
    let field = path.child("localhostProfile");
    match (kind == "Localhost", local.as_str()) {
        (true, None) => errors.required(&field, "must be set when seccomp type is Localhost"),
        (true, Some(file)) => descending(&field, file, errors),
        (false, Some(_)) => errors.invalid(
            &field,
            internal::of("SeccompProfile", profile),
            "can only be set when seccomp type is Localhost",
        ),
        (false, None) => {}
    }
}

fn app_armor(path: &Path<'_>, profile: &Value, errors: &mut Errors) {
    if profile.is_null() {
        return;
    }
    let local = profile["localhostProfile"].as_str();
    let field = path.child("localhostProfile");
    match profile["type"].text() {
        "Localhost" => match local {
            None => errors.required(&field, "must be set when AppArmor type is Localhost"),
            Some(name) if name.trim() != name => {
                errors.invalid(&field, name, "must not be padded with whitespace");
            }
            Some("") => errors.required(&field, "must be set when AppArmor type is Localhost"),
            Some(name) if name.len() > APP_ARMOR_PATH_MAX => errors.too_long(&field, APP_ARMOR_PATH_MAX),
            Some(_) => {}
        },
        "RuntimeDefault" | "Unconfined" => {
            if let Some(name) = local {
                errors.invalid(&field, Named(name), "can only be set when AppArmor type is Localhost");
            }
        }
        "" => errors.required(&path.child("type"), "type is required when appArmorProfile is set"),
        other => errors.not_supported(&path.child("type"), other, &PROFILES),
    }
}
