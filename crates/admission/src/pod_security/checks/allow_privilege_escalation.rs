//! allowPrivilegeEscalation: no process gains more rights than its parent.

use super::{Check, Level, PodView, Violation, containers};

pub(super) const CHECK: Check = Check {
    id: "allowPrivilegeEscalation",
    level: Level::Restricted,
    revisions: &[(8, from_8), (25, from_25)],
    overrides: &[],
};

fn from_8(pod: PodView<'_>) -> Option<Violation> {
    let bad = pod.containers_that(|container| {
        container["securityContext"]["allowPrivilegeEscalation"].as_bool() != Some(false)
    });
    (!bad.is_empty()).then(|| Violation {
        reason: "allowPrivilegeEscalation != false",
        detail: format!("{} must set securityContext.allowPrivilegeEscalation=false", containers(&bad)),
    })
}

/// Windows knows no such thing.
fn from_25(pod: PodView<'_>) -> Option<Violation> {
    if pod.is_windows() { None } else { from_8(pod) }
}
