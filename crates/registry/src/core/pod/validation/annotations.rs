//! Annotations of pods and templates that Kubernetes gives a meaning: mirror
//! pods, the cost of deletion, and the profiles that are fields today.

use apimachinery::Value;
use apimachinery::field::{Errors, Path, quote};

use super::scheduling;
use super::windows::each_container;
use crate::rules::paths::descending;

/// The pod is a static one's image in the API.
pub const MIRROR: &str = "kubernetes.io/config.mirror";
const TOLERATIONS: &str = "scheduler.alpha.kubernetes.io/tolerations";
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
pub const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
pub const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
pub const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";
const LOCALHOST: &str = "localhost/";

/// `annotations` of a pod or template with `spec`; `path` is theirs.
pub(super) fn validate(annotations: &Value, spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    if annotations.is_null() {
        return;
    }
    if let Some(mirrored) = annotations[MIRROR].as_str()
        && spec["nodeName"].text().is_empty()
    {
        let why = "must set spec.nodeName if mirror pod annotation is set";
        errors.invalid(&path.key(MIRROR), mirrored, why);
    }
    if !annotations[TOLERATIONS].text().is_empty() {
        match apimachinery::json::parse(annotations[TOLERATIONS].text().as_bytes()) {
            Ok(list) => scheduling::tolerations(&list, &path.child(TOLERATIONS), errors),
            Err(why) => errors.invalid(path, TOLERATIONS, &why.to_string()),
        }
    }
    if let Some(cost) = annotations[DELETION_COST].as_str()
        && !is_cost(cost)
    {
        errors.invalid(&path.key(DELETION_COST), cost, "must be a 32bit integer");
    }
    if let Some(profile) = annotations[SECCOMP_POD].as_str() {
        seccomp(profile, &path.child(SECCOMP_POD), errors);
    }
    for (key, profile) in annotations.members().filter(|(key, _)| key.starts_with(SECCOMP_CONTAINER)) {
        seccomp(profile.text(), &path.child(key), errors);
    }
    for (key, profile) in annotations.members() {
        let Some(container) = key.strip_prefix(APP_ARMOR) else { continue };
        let here = path.key(key);
        if !has_container(spec, container) {
            errors.invalid(&here, container, "container not found");
        }
        let profile = profile.text();
        let known =
            matches!(profile, "" | "runtime/default" | "unconfined") || profile.starts_with(LOCALHOST);
        if !known {
            errors.invalid(&here, profile, &format!("invalid AppArmor profile name: {}", quote(profile)));
        }
    }
}

/// A whole number of 32 bits, written without a plus or leading zeros.
fn is_cost(text: &str) -> bool {
    let first = text.bytes().next();
    let begins = text == "0" || first.is_some_and(|byte| matches!(byte, b'-' | b'1'..=b'9'));
    begins && text.parse::<i32>().is_ok()
}

fn seccomp(profile: &str, path: &Path<'_>, errors: &mut Errors) {
    if matches!(profile, "runtime/default" | "docker/default" | "unconfined") {
        return;
    }
    match profile.strip_prefix(LOCALHOST) {
        Some(file) => descending(path, file, errors),
        None => errors.invalid(path, profile, "must be a valid seccomp profile"),
    }
}

fn has_container(spec: &Value, name: &str) -> bool {
    ["initContainers", "containers", "ephemeralContainers"]
        .into_iter()
        .any(|list| spec[list].items().iter().any(|container| container["name"].text() == name))
}

/// Where a profile is said in an annotation and in its field, both agree.
/// `path` is that of the spec.
pub(super) fn agree(annotations: &Value, spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    if annotations.is_null() {
        return;
    }
    let own = &spec["securityContext"]["seccompProfile"];
    let place = path.child("securityContext");
    matches_field(&annotations[SECCOMP_POD], own, "seccomp", &place.child("seccompProfile"), errors);
    each_container(spec, path, |container, path| {
        let key = format!("{SECCOMP_CONTAINER}{}", container["name"].text());
        let place = path.child("securityContext");
        let field = &container["securityContext"]["seccompProfile"];
        matches_field(&annotations[key.as_str()], field, "seccomp", &place.child("seccompProfile"), errors);
    });
    if spec["os"]["name"].text() == "windows" {
        return;
    }
    each_container(spec, path, |container, path| {
        let key = format!("{APP_ARMOR}{}", container["name"].text());
        let place = path.child("securityContext");
        let field = match &container["securityContext"]["appArmorProfile"] {
            Value::Null => &spec["securityContext"]["appArmorProfile"],
            own => own,
        };
        matches_field(&annotations[key.as_str()], field, "apparmor", &place.child("appArmorProfile"), errors);
    });
}

fn matches_field(annotation: &Value, field: &Value, what: &str, path: &Path<'_>, errors: &mut Errors) {
    let (Some(annotation), false) = (annotation.as_str(), field.is_null()) else { return };
    let types = format!("{what} type in annotation and field must match");
    let same = match field["type"].text() {
        "Unconfined" => annotation == "unconfined",
        "RuntimeDefault" => {
            annotation == "runtime/default" || (what == "seccomp" && annotation == "docker/default")
        }
        "Localhost" => {
            if let Some(file) = annotation.strip_prefix(LOCALHOST)
                && field["localhostProfile"].as_str() != Some(file)
            {
                let why = format!("{what} profile in annotation and field must match");
                errors.forbidden(&path.child("localhostProfile"), &why);
            }
            annotation.starts_with(LOCALHOST)
        }
        _ => true,
    };
    if !same {
        errors.forbidden(&path.child("type"), &types);
    }
}

/// Annotations that stay as they are from a pod's creation on.
pub(super) fn unchanged(new: &Value, old: &Value, path: &Path<'_>, errors: &mut Errors) {
    for (key, before) in old.members() {
        if new[key] == *before {
            continue;
        }
        if key.starts_with(APP_ARMOR) {
            errors.forbidden(&path.key(key), "may not remove or update AppArmor annotations");
        }
        if key == MIRROR {
            errors.forbidden(&path.key(key), "may not remove or update mirror pod annotation");
        }
    }
    for (key, _) in new.members().filter(|(key, _)| old[*key].is_null()) {
        if key.starts_with(APP_ARMOR) {
            errors.forbidden(&path.key(key), "may not add AppArmor annotations");
        }
        if key == MIRROR {
            errors.forbidden(&path.key(key), "may not add mirror pod annotation");
        }
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn annotations_with_a_meaning_are_checked() {
        let spec = value!({"containers": [{"name": "c", "securityContext": {"seccompProfile": {"type": "Unconfined"}}}]});
        let container = format!("{SECCOMP_CONTAINER}c");
        let stranger = format!("{APP_ARMOR}x");
        for (key, text, told) in [
            (MIRROR, "x", "Invalid value: \"x\": must set spec.nodeName if mirror pod annotation is set"),
            (DELETION_COST, "-5", ""),
            (DELETION_COST, "+5", "Invalid value: \"+5\": must be a 32bit integer"),
            (SECCOMP_POD, "runtime/default", ""),
            (SECCOMP_POD, "odd", "Invalid value: \"odd\": must be a valid seccomp profile"),
            (&container, "runtime/default", "Forbidden: seccomp type in annotation and field must match"),
            (&container, "unconfined", ""),
            (&stranger, "unconfined", "Invalid value: \"x\": container not found"),
        ] {
            let mut annotations = value!({});
            annotations.set(key.to_owned(), text);
            let mut errors = Errors::new();
            validate(&annotations, &spec, &Path::Root.child("a"), &mut errors);
            agree(&annotations, &spec, &Path::Root.child("spec"), &mut errors);
            assert_eq!(errors.iter().map(|error| error.body.as_str()).collect::<String>(), told, "{key}");
        }
    }
}
