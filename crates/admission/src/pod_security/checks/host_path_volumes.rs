//! hostPathVolumes: no volume is a path of the node.

use super::{Check, Level, PodView, Violation, plural, quoted};

pub(super) const CHECK: Check =
    Check { id: "hostPathVolumes", level: Level::Baseline, revisions: &[(0, check)], overrides: &[] };

fn check(pod: PodView<'_>) -> Option<Violation> {
    let volumes = pod.spec["volumes"].items().iter().filter(|volume| !volume["hostPath"].is_null());
    let names: Vec<&str> = volumes.map(|volume| volume["name"].text()).collect();
    (!names.is_empty()).then(|| Violation {
        reason: "hostPath volumes",
        detail: format!("{} {}", plural(names.len(), "volume", "volumes"), quoted(&names)),
    })
}
