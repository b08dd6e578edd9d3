//! What is of one operating system only: fields that a pod for the other may
//! not have, and the options of Windows.

use apimachinery::Value;
use apimachinery::field::{Errors, Named, Path};
use apimachinery::validation::dns1123_subdomain;

const NOT_ON_LINUX: &str = "windows options cannot be set for a linux pod";
const NOT_ON_WINDOWS: &str = "cannot be set for a windows pod";

const CONTAINER_FIELDS: [&str; 10] = [
    "appArmorProfile",
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
    each_container(spec, path, |container, path| {
        if !container["securityContext"]["windowsOptions"].is_null() {
            let context = path.child("securityContext");
            errors.forbidden(&context.child("windowsOptions"), NOT_ON_LINUX);
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
    each_container(spec, path, |container, path| {
        let here = path.child("securityContext");
        for field in CONTAINER_FIELDS {
            if !container["securityContext"][field].is_null() {
                errors.forbidden(&here.child(field), NOT_ON_WINDOWS);
            }
        }
    });
}

/// Visits each container of a pod's spec with its path: init ones first.
pub(super) fn each_container(spec: &Value, path: &Path<'_>, mut visit: impl FnMut(&Value, &Path<'_>)) {
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        let field = path.child(list);
        for (at, container) in spec[list].items().iter().enumerate() {
            visit(container, &field.index(at));
        }
    }
}

const MOST_SPEC_BYTES: usize = 64 * 1024;
const MOST_USER_BYTES: usize = 104;
const MOST_DOMAIN_BYTES: usize = 256;
const NOT_IN_USERS: &str = "\"/\\:;|=,+*?<>@[]";

/// `windowsOptions` of a pod or container.
pub(super) fn options(options: &Value, path: &Path<'_>, errors: &mut Errors) {
    if let Some(name) = options["gmsaCredentialSpecName"].as_str() {
        errors.check_named(&path.child("gmsaCredentialSpecName"), name, dns1123_subdomain(name));
    }
    if let Some(spec) = options["gmsaCredentialSpec"].as_str() {
        let field = path.child("gmsaCredentialSpec");
        if spec.is_empty() {
            errors.invalid(&field, Named(spec), "gmsaCredentialSpec cannot be an empty string");
        } else if spec.len() > MOST_SPEC_BYTES {
            let why = format!("gmsaCredentialSpec size must be under {} KiB", MOST_SPEC_BYTES / 1024);
            errors.invalid(&field, Named(spec), &why);
        }
    }
    if let Some(name) = options["runAsUserName"].as_str() {
        user(&path.child("runAsUserName"), name, errors);
    }
}

/// A user of Windows, with or without a domain.
fn user(path: &Path<'_>, name: &str, errors: &mut Errors) {
    if name.is_empty() {
        errors.invalid(path, Named(name), "runAsUserName cannot be an empty string");
        return;
    }
    if name.chars().any(|letter| letter <= '\u{1f}' || letter == '\u{7f}') {
        errors.invalid(path, Named(name), "runAsUserName cannot contain control characters");
        return;
    }
    let parts: Vec<&str> = name.split('\\').collect();
    let (domain, user) = match parts[..] {
        [user] => (None, user),
        [domain, user] => (Some(domain), user),
        _ => {
            errors.invalid(path, Named(name), "runAsUserName cannot contain more than one backslash");
            return;
        }
    };
    if let Some(domain) = domain {
        if domain.is_empty() {
            errors.invalid(
                path,
                Named(name),
                "runAsUserName's Domain doesn't match the NetBIOS nor the DNS format",
            );
        } else if domain.len() >= MOST_DOMAIN_BYTES {
            let why = format!("runAsUserName's Domain length must be under {MOST_DOMAIN_BYTES} characters");
            errors.invalid(path, Named(name), &why);
        } else if !is_net_bios(domain) && !is_dns(domain) {
            errors.invalid(
                path,
                Named(name),
                "runAsUserName's Domain doesn't match the NetBIOS nor the DNS format",
            );
        }
    }
    if user.is_empty() {
        errors.invalid(path, Named(name), "runAsUserName's User cannot be empty");
    } else if user.len() > MOST_USER_BYTES {
        let why = format!("runAsUserName's User length must not be longer than {MOST_USER_BYTES} characters");
        errors.invalid(path, Named(name), &why);
    }
    if !user.is_empty() && user.chars().all(|letter| matches!(letter, '.' | ' ')) {
        errors.invalid(path, Named(name), "runAsUserName's User cannot contain only periods or spaces");
    }
    if user.chars().any(|letter| NOT_IN_USERS.contains(letter)) {
        let why = "runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]";
        errors.invalid(path, Named(name), why);
    }
}

fn is_net_bios(domain: &str) -> bool {
    let mut letters = domain.chars();
    letters
        .next()
        .is_some_and(|first| !matches!(first, '\\' | '/' | ':' | '*' | '?' | '"' | '<' | '>' | '|' | '.'))
        && domain.chars().count() <= 15
        && letters.all(|letter| !matches!(letter, '\\' | '/' | ':' | '*' | '?' | '"' | '<' | '>' | '|'))
}

fn is_dns(domain: &str) -> bool {
    domain.split('.').all(|label| {
        let bytes = label.as_bytes();
        bytes.first().is_some_and(u8::is_ascii_alphanumeric)
            && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
    })
}

/// A pod's containers run as processes of the host all or none, and then on
/// its network.
pub(super) fn host_processes(spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    let pod = spec["securityContext"]["windowsOptions"]["hostProcess"].as_bool();
    let own = |container: &Value| container["securityContext"]["windowsOptions"]["hostProcess"].as_bool();
    let (mut some, mut others) = (false, false);
    each_container(spec, path, |container, path| {
        let own = own(container);
        match own.or(pod) {
            Some(true) => some = true,
            _ => others = true,
        }
        if let (Some(pod), Some(own)) = (pod, own)
            && pod != own
        {
            let context = path.child("securityContext");
            let options = context.child("windowsOptions");
            let why = format!("pod hostProcess value must be identical if both are specified, was {pod}");
            errors.invalid(&options.child("hostProcess"), own, &why);
        }
    });
    if !some {
        return;
    }
    if others {
        let why =
            "If pod contains any hostProcess containers then all containers must be HostProcess containers";
        errors.invalid(path, "", why);
    }
    if !spec["hostNetwork"].is_true() {
        let why = "hostNetwork must be true if pod contains any hostProcess containers";
        errors.invalid(&path.child("hostNetwork"), false, why);
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn users_of_windows_have_rules_of_their_own() {
        for (name, fine) in [
            ("ContainerAdministrator", true),
            ("NT AUTHORITY\\SYSTEM", true),
            ("a.example.com\\user", true),
            ("", false),
            ("a\\b\\c", false),
            ("\\user", false),
            ("domain\\", false),
            ("us:er", false),
            ("...", false),
        ] {
            let mut errors = Errors::new();
            options(&value!({"runAsUserName": name}), &Path::Root.child("o"), &mut errors);
            assert_eq!(errors.is_empty(), fine, "{name}: {errors}");
        }
    }

    #[test]
    fn host_processes_are_all_or_none() {
        let container =
            |hosted: bool| value!({"securityContext": {"windowsOptions": {"hostProcess": hosted}}});
        for (spec, count) in [
            (value!({"hostNetwork": true, "containers": vec![container(true)]}), 0),
            (value!({"hostNetwork": true, "containers": vec![container(true), container(false)]}), 1),
            (value!({"containers": vec![container(true)]}), 1),
            (value!({"containers": vec![container(false)]}), 0),
        ] {
            let mut errors = Errors::new();
            host_processes(&spec, &Path::Root.child("spec"), &mut errors);
            assert_eq!(errors.len(), count, "{errors}");
        }
    }
}
