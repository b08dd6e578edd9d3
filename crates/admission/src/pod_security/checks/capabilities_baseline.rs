//! capabilities_baseline: nothing is added beyond what runtimes give by default.

use apimachinery::Value;

use super::{Check, Level, PodView, Violation, containers, distinct, quoted};

pub(super) const CHECK: Check =
    Check { id: "capabilities_baseline", level: Level::Baseline, revisions: &[(0, check)], overrides: &[] };

const ALLOWED: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

fn check(pod: PodView<'_>) -> Option<Violation> {
    added_beyond(pod, &ALLOWED).map(|detail| Violation { reason: "non-default capabilities", detail })
}

/// Which containers add capabilities that are not `allowed`, and which these are.
pub(super) fn added_beyond(pod: PodView<'_>, allowed: &[&str]) -> Option<String> {
    let is_bad = |capability: &&str| !allowed.contains(capability);
    let bad = pod.containers_that(|container| added(container).any(|capability| is_bad(&capability)));
    let capabilities = distinct(pod.containers().flat_map(added).filter(is_bad));
    (!bad.is_empty()).then(|| {
        format!(
            "{} must not include {} in securityContext.capabilities.add",
            containers(&bad),
            quoted(capabilities)
        )
    })
}

fn added(container: &Value) -> impl Iterator<Item = &str> {
    container["securityContext"]["capabilities"]["add"].items().iter().map(Value::text)
}
