//! procMount: parts of /proc stay masked, unless the pod has users of its own.

use apimachinery::Value;

use super::{Check, Level, PodView, Violation, containers, distinct, quoted};

pub(super) const CHECK: Check = Check {
    id: "procMount",
    level: Level::Baseline,
    revisions: &[(0, from_0), (35, from_35)],
    overrides: &[],
};

pub(super) fn from_0(pod: PodView<'_>) -> Option<Violation> {
    let bad = pod.containers_that(|container| unmasked(container).is_some());
    let types = distinct(pod.containers().filter_map(unmasked));
    (!bad.is_empty()).then(|| Violation {
        reason: "procMount",
        detail: format!("{} must not set securityContext.procMount to {}", containers(&bad), quoted(types)),
    })
}

fn from_35(pod: PodView<'_>) -> Option<Violation> {
    if pod.has_user_namespace() { None } else { from_0(pod) }
}

fn unmasked(container: &Value) -> Option<&str> {
    container["securityContext"]["procMount"].as_str().filter(|mount| *mount != "Default")
}
