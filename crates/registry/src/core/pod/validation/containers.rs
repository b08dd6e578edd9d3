//! Containers: regular, init and ephemeral.

use std::collections::HashSet;

use apimachinery::Value;
use apimachinery::field::{Errors, Named, Path};
use apimachinery::validation::dns1123_label;

use super::spec::{Around, enumerated};
use super::{environment, mounts, ports, probes, security};
use crate::rules::resources;

const RESTART_POLICIES: [&str; 3] = ["Always", "Never", "OnFailure"];
pub(super) const PULL_POLICIES: [&str; 3] = ["Always", "IfNotPresent", "Never"];
const RULES_NEED_A_POLICY: &str = "must specify restartPolicy when restart rules are used";
const SIDECARS_ONLY: &str = "may not be set for init containers without restartPolicy=Always";

/// The containers proper: at least one.
pub(super) fn regular(around: &Around<'_>, path: &Path<'_>, errors: &mut Errors) {
    let containers = around.spec["containers"].items();
    if containers.is_empty() {
        errors.required(path, "");
        return;
    }
    let mut names: HashSet<&str> = HashSet::new();
    for (at, container) in containers.iter().enumerate() {
        let here = path.index(at);
        any(around, container, &here, errors);
        let name = container["name"].text();
        if names.contains(&name) {
            errors.duplicate(&here.child("name"), name);
        } else {
            names.insert(name);
        }
        probes::of_container(container, around.grace, &here, errors);
        restart_policy(container, &here, errors);
    }
    ports::conflicts(containers, path, errors);
}

/// Init containers; those that restart always are sidecars and may have probes.
pub(super) fn init(around: &Around<'_>, path: &Path<'_>, errors: &mut Errors) {
    let mut names: Vec<&str> =
        around.spec["containers"].items().iter().map(|container| container["name"].text()).collect();
    for (at, container) in around.spec["initContainers"].items().iter().enumerate() {
        let here = path.index(at);
        any(around, container, &here, errors);
        if !container["restartPolicy"].is_null() {
            restart_policy(container, &here, errors);
        } else if !container["restartPolicyRules"].items().is_empty() {
            errors.required(&here.child("restartPolicy"), RULES_NEED_A_POLICY);
        }
        let name = container["name"].text();
        if names.contains(&name) {
            errors.duplicate(&here.child("name"), name);
        } else if !name.is_empty() {
            names.push(name);
        }
        ports::conflicts(std::slice::from_ref(container), path, errors);
        if container["restartPolicy"].text() == "Always" {
            probes::of_container(container, around.grace, &here, errors);
            continue;
        }
        for field in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            if !container[field].is_null() {
                errors.forbidden(&here.child(field), SIDECARS_ONLY);
            }
        }
        let policies = here.child("resizePolicy");
        for (at, policy) in container["resizePolicy"].items().iter().enumerate() {
            if policy["restartPolicy"].text() == "RestartContainer" {
                let field = policies.index(at);
                let why = "must not be set to 'RestartContainer' for non-sidecar initContainers";
                errors.invalid(&field.child("restartPolicy"), "RestartContainer", why);
            }
        }
    }
}

/// What holds of every container.
fn any(around: &Around<'_>, container: &Value, path: &Path<'_>, errors: &mut Errors) {
    let name = container["name"].text();
    if name.is_empty() {
        errors.required(&path.child("name"), "");
    } else {
        errors.check(&path.child("name"), name, dns1123_label(name));
    }
    if container["image"].text().is_empty() {
        errors.required(&path.child("image"), "");
    }
    let policies = ["File", "FallbackToLogsOnError"];
    enumerated(
        &path.child("terminationMessagePolicy"),
        &container["terminationMessagePolicy"],
        &policies,
        errors,
    );
    ports::validate(&container["ports"], &path.child("ports"), errors);
    environment::variables(&container["env"], &path.child("env"), errors);
    environment::sources(&container["envFrom"], &path.child("envFrom"), errors);
    mounts::mounts(around, container, &path.child("volumeMounts"), errors);
    mounts::devices(around, container, &path.child("volumeDevices"), errors);
    enumerated(&path.child("imagePullPolicy"), &container["imagePullPolicy"], &PULL_POLICIES, errors);
    resources::requirements(&path.child("resources"), &container["resources"], &around.claims, errors);
    resize_policy(around, container, &path.child("resizePolicy"), errors);
    security::of_container(
        &container["securityContext"],
        around.host_users(),
        &path.child("securityContext"),
        errors,
    );
}

/// The most rules of a container, and the most exit codes of one.
const MOST_RULES: usize = 20;
const MOST_EXIT_CODES: usize = 255;

fn restart_policy(container: &Value, path: &Path<'_>, errors: &mut Errors) {
    let field = path.child("restartPolicy");
    let rules = container["restartPolicyRules"].items();
    if let Some(policy) = container["restartPolicy"].as_str() {
        errors.one_of(&field, policy, &RESTART_POLICIES);
    } else if !rules.is_empty() {
        errors.required(&field, RULES_NEED_A_POLICY);
    }
    let list = path.child("restartPolicyRules");
    if rules.len() > MOST_RULES {
        errors.too_many(&list, rules.len(), MOST_RULES);
    }
    for (at, rule) in rules.iter().enumerate() {
        let here = list.index(at);
        errors.one_of(&here.child("action"), rule["action"].text(), &["Restart", "RestartAllContainers"]);
        let (codes, place) = (&rule["exitCodes"], here.child("exitCodes"));
        if codes.is_null() {
            errors.required(&place, "must be specified");
            continue;
        }
        errors.one_of(&place.child("operator"), codes["operator"].text(), &["In", "NotIn"]);
        let values = codes["values"].items().len();
        if values > MOST_EXIT_CODES {
            errors.too_many(&place.child("values"), values, MOST_EXIT_CODES);
        }
    }
}

fn resize_policy(around: &Around<'_>, container: &Value, path: &Path<'_>, errors: &mut Errors) {
    let mut names: HashSet<&str> = HashSet::new();
    for (at, policy) in container["resizePolicy"].items().iter().enumerate() {
        let here = path.index(at);
        let name = policy["resourceName"].text();
        if names.contains(&name) {
            errors.duplicate(&here, Named(name));
        }
        names.insert(name);
        match name {
            "" => errors.required(path, ""),
            name => errors.one_of(path, name, &["cpu", "memory"]),
        }
        let restart = policy["restartPolicy"].text();
        match restart {
            "" => errors.required(path, ""),
            restart => errors.one_of(path, restart, &["NotRequired", "RestartContainer"]),
        }
        if around.spec["restartPolicy"].text() == "Never" && restart != "NotRequired" {
            errors.invalid(path, Named(restart), "must be 'NotRequired' when pod `restartPolicy` is 'Never'");
        }
    }
}

/// Fields that an ephemeral container may not have, in the order of the internal struct.
const FORBIDDEN_EPHEMERAL: [&str; 9] = [
    "ports",
    "resources",
    "resizePolicy",
    "restartPolicy",
    "restartPolicyRules",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
];

/// Ephemeral containers of a pod.
pub(super) fn ephemeral(around: &Around<'_>, path: &Path<'_>, errors: &mut Errors) {
    const WHY: &str = "cannot be set for an Ephemeral Container";
    let spec = around.spec;
    let others = || ["containers", "initContainers"].into_iter().flat_map(|list| spec[list].items());
    let mut names: Vec<&str> = others().map(|container| container["name"].text()).collect();
    for (at, container) in spec["ephemeralContainers"].items().iter().enumerate() {
        let here = path.index(at);
        any(around, container, &here, errors);
        image_without_spaces(container, &here, errors);
        let name = container["name"].text();
        if names.contains(&name) {
            errors.duplicate(&here.child("name"), name);
        } else {
            names.push(name);
        }
        let target = container["targetContainerName"].text();
        if !target.is_empty() && !others().any(|other| other["name"].text() == target) {
            errors.not_found(&here.child("targetContainerName"), target);
        }
        for field in FORBIDDEN_EPHEMERAL {
            let set = match field {
                "resources" => !crate::rules::is_empty(&container[field]),
                _ => !container[field].is_null(),
            };
            if set {
                errors.forbidden(&here.child(field), WHY);
            }
        }
        let mounts = here.child("volumeMounts");
        for (nth, mount) in container["volumeMounts"].items().iter().enumerate() {
            for field in ["subPath", "subPathExpr"] {
                if !mount[field].text().is_empty() {
                    errors.forbidden(&mounts.index(nth).child(field), WHY);
                }
            }
        }
    }
}

/// What templates may have had for ever and pods may not.
pub(super) fn image_without_spaces(container: &Value, path: &Path<'_>, errors: &mut Errors) {
    let image = container["image"].text();
    if image.trim() != image {
        let why = "must not have leading or trailing whitespace";
        errors.invalid(&path.child("image"), image, why);
    }
}
