//! restrictedVolumes: only volumes that cannot reach the node or a foreign
//! storage directly.

use apimachinery::Value;

use super::{Check, Level, PodView, Violation, distinct, plural, quoted};

pub(super) const CHECK: Check = Check {
    id: "restrictedVolumes",
    level: Level::Restricted,
    revisions: &[(0, check)],
    overrides: &["hostPathVolumes"],
};

const ALLOWED: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

fn check(pod: PodView<'_>) -> Option<Violation> {
    let bad = || pod.spec["volumes"].items().iter().filter_map(|volume| Some((volume, source(volume)?)));
    let names: Vec<&str> = bad().map(|(volume, _)| volume["name"].text()).collect();
    let types = distinct(bad().map(|(_, source)| source));
    (!names.is_empty()).then(|| Violation {
        reason: "restricted volume types",
        detail: format!(
            "{} {} {} {} {}",
            plural(names.len(), "volume", "volumes"),
            quoted(&names),
            plural(names.len(), "uses", "use"),
            plural(types.len(), "restricted volume type", "restricted volume types"),
            quoted(types)
        ),
    })
}

/// The source of a volume that is not allowed.
fn source(volume: &Value) -> Option<&str> {
    let sources = volume.members().filter(|(name, source)| *name != "name" && !source.is_null());
    let sources: Vec<&str> = sources.map(|(name, _)| name).collect();
    let allowed = sources.iter().any(|name| ALLOWED.contains(name));
    (!allowed).then(|| sources.first().copied().unwrap_or("unknown"))
}
