//! seccompProfile_restricted: every container has a profile.

use super::seccomp_profile_baseline::{REASON, from_19 as none_is_forbidden};
use super::{Check, Level, PodView, Violation, containers};

pub(super) const CHECK: Check = Check {
    id: "seccompProfile_restricted",
    level: Level::Restricted,
    revisions: &[(19, from_19), (25, from_25)],
    overrides: &["seccompProfile_baseline"],
};

fn from_19(pod: PodView<'_>) -> Option<Violation> {
    if let Some(violation) = none_is_forbidden(pod) {
        return Some(violation);
    }
    if !pod.context()["seccompProfile"].is_null() {
        return None;
    }
    let silent = pod.containers_that(|container| container["securityContext"]["seccompProfile"].is_null());
    (!silent.is_empty()).then(|| Violation {
        reason: REASON,
        detail: format!(
            "pod or {} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"",
            containers(&silent)
        ),
    })
}

/// Windows knows no seccomp.
fn from_25(pod: PodView<'_>) -> Option<Violation> {
    if pod.is_windows() { None } else { from_19(pod) }
}
