//! privileged: no container has the rights of the node.

use super::{Check, Level, PodView, Violation, containers};

pub(super) const CHECK: Check =
    Check { id: "privileged", level: Level::Baseline, revisions: &[(0, check)], overrides: &[] };

fn check(pod: PodView<'_>) -> Option<Violation> {
    let bad = pod.containers_that(|container| container["securityContext"]["privileged"].is_true());
    (!bad.is_empty()).then(|| Violation {
        reason: "privileged",
        detail: format!("{} must not set securityContext.privileged=true", containers(&bad)),
    })
}
