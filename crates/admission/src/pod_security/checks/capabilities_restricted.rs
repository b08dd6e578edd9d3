//! capabilities_restricted: everything is dropped, and only the binding of low
//! ports is added.

use super::capabilities_baseline::added_beyond;
use super::{Check, Level, PodView, Violation, containers};

pub(super) const CHECK: Check = Check {
    id: "capabilities_restricted",
    level: Level::Restricted,
    revisions: &[(22, from_22), (25, from_25)],
    overrides: &["capabilities_baseline"],
};

fn from_22(pod: PodView<'_>) -> Option<Violation> {
    let keeping = pod.containers_that(|container| {
        let dropped = container["securityContext"]["capabilities"]["drop"].items();
        !dropped.iter().any(|capability| capability.text() == "ALL")
    });
    let mut details = Vec::new();
    if !keeping.is_empty() {
        details
            .push(format!("{} must set securityContext.capabilities.drop=[\"ALL\"]", containers(&keeping)));
    }
    details.extend(added_beyond(pod, &["NET_BIND_SERVICE"]));
    (!details.is_empty())
        .then(|| Violation { reason: "unrestricted capabilities", detail: details.join("; ") })
}

/// Windows knows no capabilities.
fn from_25(pod: PodView<'_>) -> Option<Violation> {
    if pod.is_windows() { None } else { from_22(pod) }
}
