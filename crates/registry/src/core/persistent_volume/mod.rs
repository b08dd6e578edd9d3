//! PersistentVolume.

pub mod validation;

use apimachinery::field::{Errors, Path, quote};
use apimachinery::{Value, value};
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

use super::pod::validation::node_terms_warnings;

pub use validation::validate_spec;

/// PersistentVolume.
pub struct PersistentVolume;

/// Where the class of storage was said before it was a field.
pub const BETA_STORAGE_CLASS: &str = "volume.beta.kubernetes.io/storage-class";
/// Options of the mount, from before they were a field.
pub const MOUNT_OPTIONS: &str = "volume.beta.kubernetes.io/mount-options";

impl Strategy for PersistentVolume {
    fn prepare_create(&self, context: &Context<'_>, object: &mut Value) {
        let now = apimachinery::time::format(context.now);
        object.set("status", value!({"phase": "Pending", "lastPhaseTransitionTime": now}));
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        validation::create(object)
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        validation::update(object, old)
    }

    fn warnings(&self, context: &Context<'_>, object: &Value, _: Option<&Value>) -> Vec<String> {
        if context.subresource.is_empty() { warnings(object) } else { Vec::new() }
    }

    /// The time of the last change of phase is written here unless the writer did;
    /// without a change it stays.
    fn prepare_status(&self, context: &Context<'_>, object: &mut Value, old: &Value) {
        let changed = object["status"]["phase"] != old["status"]["phase"];
        let told = &object["status"]["lastPhaseTransitionTime"];
        if changed && (told.is_null() || *told == old["status"]["lastPhaseTransitionTime"]) {
            let now = apimachinery::time::format(context.now);
            object.entry("status").set("lastPhaseTransitionTime", now);
        } else if !changed && told.is_null() {
            let kept = &old["status"]["lastPhaseTransitionTime"];
            if !kept.is_null() {
                object.entry("status").set("lastPhaseTransitionTime", kept.clone());
            }
        }
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::storage::volume(object, now)
    }
}

/// Sources of volumes that are no longer served, and what became of them.
const OLD_SOURCES: [(&str, &str); 8] = [
    ("photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

fn warnings(object: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    let metadata = Path::Root.child("metadata");
    let annotations = metadata.child("annotations");
    for (key, since, field) in
        [(BETA_STORAGE_CLASS, "v1.8", "storageClassName"), (MOUNT_OPTIONS, "v1.31", "mountOptions")]
    {
        if !object["metadata"]["annotations"][key].is_null() {
            warnings.push(format!(
                "{}: deprecated since {since}; use {} attribute instead",
                annotations.key(key),
                quote(field)
            ));
        }
    }
    let spec = Path::Root.child("spec");
    if object["spec"]["persistentVolumeReclaimPolicy"].text() == "Recycle" {
        warnings.push(format!(
            "{}: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic \
             provisioning.",
            spec.child("persistentVolumeReclaimPolicy")
        ));
    }
    let affinity = spec.child("nodeAffinity");
    let required = &object["spec"]["nodeAffinity"]["required"];
    node_terms_warnings(required, &affinity.child("required"), &mut warnings);
    for (source, told) in OLD_SOURCES {
        let field = if source == "storageOS" { "storageos" } else { source };
        if !object["spec"][field].is_null() {
            warnings.push(format!("{}: {told}", spec.child(source)));
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_ways_are_warned_of() {
        let told = warnings(&value!({
            "metadata": {"annotations": {"volume.beta.kubernetes.io/storage-class": "a"}},
            "spec": {"rbd": {}, "nodeAffinity": {"required": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "beta.kubernetes.io/os", "operator": "Exists"}]}
            ]}}}
        }));
        assert_eq!(
            told,
            [
                "metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; use \
                 \"storageClassName\" attribute instead",
                "spec.nodeAffinity.required.nodeSelectorTerms[0].matchExpressions[0].key: beta.kubernetes.io/os is \
                 deprecated since v1.14; use \"kubernetes.io/os\" instead",
                "spec.rbd: deprecated in v1.28, non-functional in v1.31+"
            ]
        );
    }
}
