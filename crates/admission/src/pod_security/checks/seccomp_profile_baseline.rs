//! seccompProfile_baseline: no profile is switched off. Before v1.19 profiles
//! were annotations.

use std::collections::BTreeSet;

use apimachinery::Value;

use super::{Check, Level, PodView, Violation, distinct, plural, quoted, setters};

pub(super) const CHECK: Check = Check {
    id: "seccompProfile_baseline",
    level: Level::Baseline,
    revisions: &[(0, from_0), (19, from_19)],
    overrides: &[],
};

pub(super) const REASON: &str = "seccompProfile";
const POD_ANNOTATION: &str = "seccomp.security.alpha.kubernetes.io/pod";
const CONTAINER_ANNOTATION: &str = "container.seccomp.security.alpha.kubernetes.io/";

fn from_0(pod: PodView<'_>) -> Option<Violation> {
    let of_containers =
        pod.containers().map(|container| format!("{CONTAINER_ANNOTATION}{}", container["name"].text()));
    let forbidden: BTreeSet<String> = std::iter::once(POD_ANNOTATION.to_owned())
        .chain(of_containers)
        .filter_map(|key| {
            let value = pod.annotations[key.as_str()].as_str()?;
            let allowed =
                matches!(value, "runtime/default" | "docker/default") || value.starts_with("localhost/");
            (!allowed).then(|| format!("{key}={value:?}"))
        })
        .collect();
    (!forbidden.is_empty()).then(|| Violation {
        reason: REASON,
        detail: format!(
            "forbidden {} {}",
            plural(forbidden.len(), "annotation", "annotations"),
            forbidden.into_iter().collect::<Vec<_>>().join(", ")
        ),
    })
}

/// Also the first half of the restricted check.
pub(super) fn from_19(pod: PodView<'_>) -> Option<Violation> {
    let of_pod = forbidden(pod.context());
    let names = pod.containers_that(|container| forbidden(&container["securityContext"]).is_some());
    let who = setters(of_pod.is_some(), &names);
    let of_containers = pod.containers().filter_map(|container| forbidden(&container["securityContext"]));
    let types = distinct(of_pod.into_iter().chain(of_containers));
    (!who.is_empty()).then(|| Violation {
        reason: REASON,
        detail: format!(
            "{} must not set securityContext.seccompProfile.type to {}",
            who.join(" and "),
            quoted(types)
        ),
    })
}

/// The type of a security context's profile, where it may not be.
fn forbidden(context: &Value) -> Option<&str> {
    let profile = &context["seccompProfile"];
    let ty = profile["type"].text();
    (!profile.is_null() && !matches!(ty, "RuntimeDefault" | "Localhost")).then_some(ty)
}
