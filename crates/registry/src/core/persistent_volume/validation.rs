//! What a persistent volume must say, and what of it may change.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apimachinery::validation::{dns1123_label, dns1123_subdomain};

use super::super::persistent_volume_claim::{ACCESS_MODES, VOLUME_MODES, access_modes};
use super::super::pod::validation::{node_selector, volume_sources as sources};
use super::MOUNT_OPTIONS;
use crate::rules::{diff, internal, paths, required, resources};

const RECLAIM_POLICIES: [&str; 3] = ["Delete", "Recycle", "Retain"];
const NOT_INLINE: &str = "may not be specified in the context of inline volumes";

/// Everything of a new volume but its metadata.
pub(super) fn create(volume: &Value) -> Errors {
    let mut errors = Errors::new();
    let name = volume["metadata"]["name"].text();
    validate_spec(&volume["spec"], name, false, &Path::Root.child("spec"), &mut errors);
    mount_options(volume, &mut errors);
    errors
}

/// Sources that are mounted with the options of the annotation.
const MOUNTED: [&str; 13] = [
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "gcePersistentDisk",
    "glusterfs",
    "iscsi",
    "nfs",
    "photonPersistentDisk",
    "quobyte",
    "rbd",
    "vsphereVolume",
];

fn mount_options(volume: &Value, errors: &mut Errors) {
    let options = &volume["metadata"]["annotations"][MOUNT_OPTIONS];
    if options.is_null() || MOUNTED.iter().any(|source| !volume["spec"][*source].is_null()) {
        return;
    }
    let metadata = Path::Root.child("metadata");
    let annotations = metadata.child("annotations");
    errors.forbidden(&annotations.child(MOUNT_OPTIONS), "may not specify mount options for this volume type");
}

/// A PersistentVolumeSpec at `path`; `inline` where it stands in an attachment.
pub fn validate_spec(spec: &Value, name: &str, inline: bool, path: &Path<'_>, errors: &mut Errors) {
    if inline {
        for field in ["claimRef", "capacity"] {
            if !crate::rules::is_empty(&spec[field]) {
                errors.forbidden(&path.child(field), NOT_INLINE);
            }
        }
        if spec["csi"].is_null() {
            errors.required(&path.child("csi"), "has to be specified in the context of inline volumes");
        }
    }
    let field = path.child("accessModes");
    if spec["accessModes"].items().is_empty() {
        errors.required(&field, "");
    }
    access_modes(&spec["accessModes"], &field, &ACCESS_MODES, errors);
    if !inline {
        capacity(&spec["capacity"], &path.child("capacity"), errors);
    }
    reclaim_policy(spec, inline, path, errors);
    let affinity = &spec["nodeAffinity"];
    if !affinity.is_null() {
        let here = path.child("nodeAffinity");
        let field = here.child("required");
        if inline {
            errors.forbidden(&here, NOT_INLINE);
        } else if affinity["required"].is_null() {
            errors.required(&field, "must specify required node constraints");
        } else {
            node_selector(&field, &affinity["required"], errors);
        }
    }
    source(spec, name, path, errors);
    if is_root(spec["hostPath"]["path"].text()) && spec["persistentVolumeReclaimPolicy"].text() == "Recycle" {
        let why = "may not be 'recycle' for a hostPath mount of '/'";
        errors.forbidden(&path.child("persistentVolumeReclaimPolicy"), why);
    }
    classes(spec, inline, path, errors);
}

/// Whether a path leads to `/`, however it is written.
fn is_root(path: &str) -> bool {
    let depth = path.split('/').fold(0_usize, |depth, part| match part {
        "" | "." => depth,
        ".." => depth.saturating_sub(1),
        _ => depth + 1,
    });
    path.starts_with('/') && depth == 0
}

fn capacity(capacity: &Value, path: &Path<'_>, errors: &mut Errors) {
    let members = capacity.members().count();
    if members == 0 {
        errors.required(path, "");
    }
    if capacity["storage"].is_null() || members > 1 {
        errors.not_supported(path, capacity.clone(), &["storage"]);
    }
    for (name, amount) in capacity.members() {
        resources::basic(&path.key(name), amount, errors);
        resources::positive(&path.key(name), amount, errors);
    }
}

fn reclaim_policy(spec: &Value, inline: bool, path: &Path<'_>, errors: &mut Errors) {
    let policy = spec["persistentVolumeReclaimPolicy"].text();
    let field = path.child("persistentVolumeReclaimPolicy");
    match policy {
        "" => {}
        "Retain" if inline => {}
        _ if inline => errors.forbidden(&field, "may only be Retain in the context of inline volumes"),
        policy => errors.one_of(&field, policy, &RECLAIM_POLICIES),
    }
}

/// Classes and the mode.
fn classes(spec: &Value, inline: bool, path: &Path<'_>, errors: &mut Errors) {
    let (class, field) = (spec["storageClassName"].text(), path.child("storageClassName"));
    if !class.is_empty() {
        if inline {
            errors.forbidden(&field, NOT_INLINE);
        } else {
            errors.check(&field, class, dns1123_subdomain(class));
        }
    }
    if let Some(mode) = spec["volumeMode"].as_str() {
        let field = path.child("volumeMode");
        if !inline {
            errors.one_of(&field, mode, &VOLUME_MODES);
        } else if mode != "Filesystem" {
            let why = "may not specify volumeMode other than Filesystem in the context of inline volumes";
            errors.forbidden(&field, why);
        }
    }
    if let Some(class) = spec["volumeAttributesClassName"].as_str() {
        let field = path.child("volumeAttributesClassName");
        if class.is_empty() {
            errors.required(&field, "an empty string is disallowed");
        } else {
            errors.check(&field, class, dns1123_subdomain(class));
        }
        if spec["csi"].is_null() {
            let why = "has to be specified when using volumeAttributesClassName";
            errors.required(&path.child("csi"), why);
        }
    }
}

/// The sources there are, in the order in which they are looked at.
const SOURCES: [&str; 22] = [
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "local",
    "storageos",
    "csi",
];

fn source(spec: &Value, name: &str, path: &Path<'_>, errors: &mut Errors) {
    let mut one = false;
    for kind in SOURCES {
        let source = &spec[kind];
        if source.is_null() {
            continue;
        }
        let here = path.child(kind);
        // Upstream does not count a volume of this type.
        if std::mem::replace(&mut one, true) && kind != "flexVolume" {
            let told = path.child(if kind == "cephfs" { "cephFS" } else { kind });
            errors.forbidden(&told, "may not specify more than 1 volume type");
            continue;
        }
        match kind {
            "hostPath" => sources::host_path(source, &here, errors),
            "gcePersistentDisk" => sources::disk(source, &here, errors),
            "awsElasticBlockStore" => sources::block_store(source, &here, errors),
            "glusterfs" => persistent_glusterfs(source, &here, errors),
            "flocker" => sources::flocker(source, &here, errors),
            "nfs" => sources::nfs(source, &here, errors),
            "rbd" => sources::rbd(source, &here, errors),
            "quobyte" => sources::quobyte(source, &here, errors),
            "cephfs" => sources::cephfs(source, &here, errors),
            "iscsi" => sources::iscsi(source, name, true, &here, errors),
            "cinder" => sources::cinder(source, true, &here, errors),
            "fc" => sources::fc(source, &here, errors),
            "flexVolume" => sources::flex(source, &here, errors),
            "azureFile" => sources::azure_file(source, true, &here, errors),
            "vsphereVolume" => sources::vsphere(source, &here, errors),
            "photonPersistentDisk" => sources::photon(source, &here, errors),
            "portworxVolume" => sources::portworx(source, &here, errors),
            "azureDisk" => sources::azure_disk(source, &here, errors),
            "scaleIO" => sources::scale_io(source, &here, errors),
            "local" => {
                local(source, &here, errors);
                if spec["nodeAffinity"].is_null() {
                    errors.required(&path.child("nodeAffinity"), "Local volume requires node affinity");
                }
            }
            "storageos" => sources::storage_os(source, true, &here, errors),
            _ => csi(source, &here, errors),
        }
    }
    if !one {
        errors.required(path, "must specify a volume type");
    }
}

fn persistent_glusterfs(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    sources::glusterfs(source, path, errors);
    if let Some(namespace) = source["endpointsNamespace"].as_str() {
        let field = path.child("endpointsNamespace");
        let why = "if the endpointnamespace is set, it must be a valid namespace name";
        if namespace.is_empty() {
            errors.invalid(&field, namespace, why);
        } else {
            for wrong in dns1123_label(namespace) {
                errors.invalid(&field, namespace, &wrong);
            }
        }
    }
}

fn local(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    let field = path.child("path");
    if required(&field, &source["path"], errors) {
        paths::no_backtracking(&field, source["path"].text(), errors);
    }
}

fn csi(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    sources::csi_driver(source["driver"].text(), &path.child("driver"), errors);
    required(&path.child("volumeHandle"), &source["volumeHandle"], errors);
    for reference in [
        "controllerPublishSecretRef",
        "controllerExpandSecretRef",
        "nodePublishSecretRef",
        "nodeExpandSecretRef",
    ] {
        if source[reference].is_null() {
            continue;
        }
        let here = path.child(reference);
        for (field, rule) in [
            ("name", dns1123_subdomain as fn(&str) -> Vec<String>),
            ("namespace", dns1123_label as fn(&str) -> Vec<String>),
        ] {
            let text = source[reference][field].text();
            if required(&here.child(field), &source[reference][field], errors) {
                errors.check(&here.child(field), text, rule(text));
            }
        }
    }
}

/// Everything of a changed volume but its metadata.
pub(super) fn update(volume: &Value, old: &Value) -> Errors {
    let mut errors = create(volume);
    let (spec, before) = (&volume["spec"], &old["spec"]);
    let mut munged = internal::of("PersistentVolumeSource", spec);
    let was = internal::of("PersistentVolumeSource", before);
    // The secret for growing may come later.
    if was["CSI"]["ControllerExpandSecretRef"].is_null() && !munged["CSI"].is_null() {
        munged.entry("CSI").set("ControllerExpandSecretRef", Value::Null);
    }
    if munged != was {
        let field = Path::Root.child("spec");
        let why = format!(
            "spec.persistentvolumesource is immutable after creation\n{}",
            diff::unified(&was, &munged)
        );
        errors.forbidden(&field.child("persistentvolumesource"), &why);
    }
    errors.immutable(&Path::Root.child("volumeMode"), &spec["volumeMode"], &before["volumeMode"]);
    let (affinity, earlier) = (&spec["nodeAffinity"], &before["nodeAffinity"]);
    if !earlier.is_null() && affinity != earlier && !only_newer_labels(affinity, earlier) {
        let told =
            if affinity.is_null() { Value::Null } else { internal::of("VolumeNodeAffinity", affinity) };
        let why = "field is immutable, except for updating from beta label to GA";
        errors.invalid(&Path::Root.child("nodeAffinity"), told, why);
    }
    let class = "volumeAttributesClassName";
    if !before[class].is_null() && spec[class].is_null() {
        let field = Path::Root.child("spec");
        errors.forbidden(&field.child(class), "update from non-nil value to nil is forbidden");
    }
    errors
}

/// Labels of nodes that were beta, and what they are today.
const GRADUATED: [(&str, &str); 5] = [
    ("beta.kubernetes.io/arch", "kubernetes.io/arch"),
    ("beta.kubernetes.io/os", "kubernetes.io/os"),
    ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"),
    ("failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"),
    ("beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type"),
];

/// Whether the two differ in the names of graduated labels alone.
fn only_newer_labels(new: &Value, old: &Value) -> bool {
    let (now, before) = (&new["required"]["nodeSelectorTerms"], &old["required"]["nodeSelectorTerms"]);
    if new["required"].is_null() || now.items().len() != before.items().len() {
        return false;
    }
    now.items().iter().zip(before.items()).all(|(now, before)| {
        let (new, old) = (now["matchExpressions"].items(), before["matchExpressions"].items());
        now["matchFields"] == before["matchFields"]
            && new.len() == old.len()
            && new.iter().zip(old).all(|(new, old)| {
                let renamed = GRADUATED
                    .iter()
                    .any(|(beta, today)| old["key"].text() == *beta && new["key"].text() == *today);
                (renamed || new["key"] == old["key"])
                    && new["operator"] == old["operator"]
                    && new["values"] == old["values"]
            })
    })
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    fn volume(spec: Value) -> Value {
        let mut all = value!({"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]});
        for (name, value) in spec.members() {
            all.set(name.to_owned(), value.clone());
        }
        value!({"metadata": {"name": "v"}, "spec": all})
    }

    #[test]
    fn each_source_is_looked_at() {
        for (spec, told) in [
            (value!({"hostPath": {"path": "/a"}}), ""),
            (value!({"csi": {"driver": "d", "volumeHandle": ""}}), "spec.csi.volumeHandle: Required value"),
            (
                value!({"local": {"path": "/a"}}),
                "spec.nodeAffinity: Required value: Local volume requires node affinity",
            ),
            (
                value!({"hostPath": {"path": "//."}, "persistentVolumeReclaimPolicy": "Recycle"}),
                "spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'",
            ),
            (
                value!({"hostPath": {"path": "/a"}, "nodeAffinity": {}}),
                "spec.nodeAffinity.required: Required value: must specify required node constraints",
            ),
            (
                value!({"hostPath": {"path": "/a"}, "volumeAttributesClassName": "a"}),
                "spec.csi: Required value: has to be specified when using volumeAttributesClassName",
            ),
        ] {
            let errors = create(&volume(spec));
            assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "), told);
        }
    }

    #[test]
    fn a_source_stays_and_labels_may_graduate() {
        let with = |key: &str| {
            volume(value!({"local": {"path": "/a"}, "nodeAffinity": {"required": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": key, "operator": "Exists"}]}
            ]}}}))
        };
        let old = with("beta.kubernetes.io/os");
        assert!(update(&with("kubernetes.io/os"), &old).is_empty());
        assert_eq!(update(&with("other"), &old).len(), 1);
        let (before, now) = (
            volume(value!({"nfs": {"server": "a", "path": "/a"}})),
            volume(value!({"nfs": {"server": "b", "path": "/a"}})),
        );
        assert_eq!(update(&now, &before).len(), 1);
    }
}
