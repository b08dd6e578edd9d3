//! hostProbesAndHostLifecycle: probes and lifecycle handlers reach no other
//! host than the pod.

use apimachinery::Value;

use super::{Check, Level, PodView, Violation, containers, distinct, plural, quoted};

pub(super) const CHECK: Check = Check {
    id: "hostProbesAndHostLifecycle",
    level: Level::Baseline,
    revisions: &[(34, check)],
    overrides: &[],
};

const HANDLERS: [&[&str]; 5] = [
    &["livenessProbe"],
    &["readinessProbe"],
    &["startupProbe"],
    &["lifecycle", "postStart"],
    &["lifecycle", "preStop"],
];

fn check(pod: PodView<'_>) -> Option<Violation> {
    let bad = distinct(pod.containers_that(|container| hosts(container).next().is_some()));
    let bad: Vec<&str> = bad.into_iter().collect();
    let hosts = distinct(pod.containers().flat_map(hosts));
    (!bad.is_empty()).then(|| Violation {
        reason: "probe or lifecycle host",
        detail: format!(
            "{} {} {} {}",
            containers(&bad),
            plural(bad.len(), "uses", "use"),
            plural(hosts.len(), "probe or lifecycle host", "probe or lifecycle hosts"),
            quoted(hosts)
        ),
    })
}

fn hosts(container: &Value) -> impl Iterator<Item = &str> {
    HANDLERS
        .into_iter()
        .flat_map(move |path| ["httpGet", "tcpSocket"].map(|kind| container.at(path)[kind]["host"].text()))
        .filter(|host| !host.is_empty())
}
