//! windowsHostProcess: no container runs as a process of the node.

use apimachinery::Value;

use super::{Check, Level, PodView, Violation, setters};

pub(super) const CHECK: Check =
    Check { id: "windowsHostProcess", level: Level::Baseline, revisions: &[(0, check)], overrides: &[] };

fn check(pod: PodView<'_>) -> Option<Violation> {
    let is_bad = |context: &Value| context["windowsOptions"]["hostProcess"].is_true();
    let names = pod.containers_that(|container| is_bad(&container["securityContext"]));
    let who = setters(is_bad(pod.context()), &names);
    (!who.is_empty()).then(|| Violation {
        reason: "hostProcess",
        detail: format!("{} must not set securityContext.windowsOptions.hostProcess=true", who.join(" and ")),
    })
}
