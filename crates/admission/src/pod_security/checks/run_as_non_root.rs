//! runAsNonRoot: it is required that no process is root, unless the pod has
//! users of its own.

use super::{Check, Level, PodView, Violation, containers, setters};

pub(super) const CHECK: Check = Check {
    id: "runAsNonRoot",
    level: Level::Restricted,
    revisions: &[(0, from_0), (35, from_35)],
    overrides: &[],
};

const REASON: &str = "runAsNonRoot != true";

fn from_0(pod: PodView<'_>) -> Option<Violation> {
    let of_pod = pod.context()["runAsNonRoot"].as_bool();
    let refusing = pod
        .containers_that(|container| container["securityContext"]["runAsNonRoot"].as_bool() == Some(false));
    let who = setters(of_pod == Some(false), &refusing);
    if !who.is_empty() {
        let detail = format!("{} must not set securityContext.runAsNonRoot=false", who.join(" and "));
        return Some(Violation { reason: REASON, detail });
    }
    if of_pod == Some(true) {
        return None;
    }
    let silent =
        pod.containers_that(|container| container["securityContext"]["runAsNonRoot"].as_bool().is_none());
    (!silent.is_empty()).then(|| Violation {
        reason: REASON,
        detail: format!("pod or {} must set securityContext.runAsNonRoot=true", containers(&silent)),
    })
}

fn from_35(pod: PodView<'_>) -> Option<Violation> {
    if pod.has_user_namespace() { None } else { from_0(pod) }
}
