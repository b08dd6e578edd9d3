//! runAsUser: nobody runs as user 0, unless the pod has users of its own.

use super::{Check, Level, PodView, Violation, setters};

pub(super) const CHECK: Check = Check {
    id: "runAsUser",
    level: Level::Restricted,
    revisions: &[(23, from_23), (35, from_35)],
    overrides: &[],
};

fn from_23(pod: PodView<'_>) -> Option<Violation> {
    let of_pod = pod.context()["runAsUser"].as_i64() == Some(0);
    let bad = pod.containers_that(|container| container["securityContext"]["runAsUser"].as_i64() == Some(0));
    let who = setters(of_pod, &bad);
    (!who.is_empty()).then(|| Violation {
        reason: "runAsUser=0",
        detail: format!("{} must not set runAsUser=0", who.join(" and ")),
    })
}

fn from_35(pod: PodView<'_>) -> Option<Violation> {
    if pod.has_user_namespace() { None } else { from_23(pod) }
}
