//! appArmorProfile: the runtime's profile or one of the node, by field and by
//! the annotations that preceded it.

use std::collections::BTreeSet;

use apimachinery::Value;

use super::{Check, Level, PodView, Violation, plural, quoted, setters};

pub(super) const CHECK: Check =
    Check { id: "appArmorProfile", level: Level::Baseline, revisions: &[(0, check)], overrides: &[] };

const ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";

fn check(pod: PodView<'_>) -> Option<Violation> {
    let pod_sets = forbidden(pod.context());
    let names = pod.containers_that(|container| forbidden(&container["securityContext"]).is_some());
    let types: BTreeSet<&str> = pod_sets
        .into_iter()
        .chain(pod.containers().filter_map(|one| forbidden(&one["securityContext"])))
        .collect();
    let mut annotations: Vec<String> = pod
        .annotations
        .members()
        .filter(|(key, value)| key.starts_with(ANNOTATION) && !is_allowed_annotation(value.text()))
        .map(|(key, value)| format!("{key}={:?}", value.text()))
        .collect();
    annotations.sort();
    let mut who = setters(pod_sets.is_some(), &names);
    if !annotations.is_empty() {
        who.push(plural(annotations.len(), "annotation", "annotations").to_owned());
    }
    let count = types.len() + annotations.len();
    let values = types.into_iter().map(str::to_owned).chain(annotations);
    (!who.is_empty()).then(|| Violation {
        reason: plural(count, "forbidden AppArmor profile", "forbidden AppArmor profiles"),
        detail: format!("{} must not set AppArmor profile type to {}", who.join(" and "), quoted(values)),
    })
}

/// The type of a security context's profile, where it may not be.
fn forbidden(context: &Value) -> Option<&str> {
    let profile = &context["appArmorProfile"];
    let ty = profile["type"].text();
    (!profile.is_null() && !matches!(ty, "RuntimeDefault" | "Localhost")).then_some(ty)
}

fn is_allowed_annotation(value: &str) -> bool {
    value.is_empty() || value == "runtime/default" || value.starts_with("localhost/")
}
