//! hostNamespaces: the node's network, processes and IPC are not shared.

use super::{Check, Level, PodView, Violation};

pub(super) const CHECK: Check =
    Check { id: "hostNamespaces", level: Level::Baseline, revisions: &[(0, check)], overrides: &[] };

fn check(pod: PodView<'_>) -> Option<Violation> {
    let shared: Vec<String> = ["hostNetwork", "hostPID", "hostIPC"]
        .into_iter()
        .filter(|field| pod.spec[*field].is_true())
        .map(|field| format!("{field}=true"))
        .collect();
    (!shared.is_empty()).then(|| Violation { reason: "host namespaces", detail: shared.join(", ") })
}
