//! Volumes of a pod: names, and one source each.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apimachinery::validation::dns1123_label;

use super::volume_sources as sources;

/// Checks a source of one type, at its path.
type Check = fn(&Value, &Path<'_>, &mut Errors);

/// Sources in the order in which upstream looks for them.
const SOURCES: [(&str, Check); 29] = [
    ("emptyDir", sources::empty_dir),
    ("hostPath", sources::host_path),
    ("gitRepo", sources::git_repo),
    ("gcePersistentDisk", sources::disk),
    ("awsElasticBlockStore", sources::block_store),
    ("secret", sources::secret),
    ("nfs", sources::nfs),
    ("iscsi", sources::iscsi),
    ("glusterfs", sources::glusterfs),
    ("flocker", sources::nothing),
    ("persistentVolumeClaim", sources::claim),
    ("rbd", sources::rbd),
    ("cinder", sources::cinder),
    ("cephfs", sources::cephfs),
    ("quobyte", sources::nothing),
    ("downwardAPI", sources::downward),
    ("fc", sources::nothing),
    ("configMap", sources::config_map),
    ("azureFile", sources::azure_file),
    ("flexVolume", sources::flex),
    ("vsphereVolume", sources::vsphere),
    ("photonPersistentDisk", sources::nothing),
    ("portworxVolume", sources::nothing),
    ("azureDisk", sources::nothing),
    ("storageos", sources::nothing),
    ("projected", sources::projected),
    ("scaleIO", sources::nothing),
    ("csi", sources::csi),
    ("ephemeral", sources::ephemeral),
];

/// Checks the list; the volumes that are right, by name.
pub(super) fn validate<'a>(
    volumes: &'a Value,
    path: &Path<'_>,
    errors: &mut Errors,
) -> Vec<(&'a str, &'a Value)> {
    let mut right: Vec<(&str, &Value)> = Vec::new();
    for (at, volume) in volumes.items().iter().enumerate() {
        let here = path.index(at);
        let name = volume["name"].text();
        let mut found = Errors::new();
        source(volume, &here, &mut found);
        if name.is_empty() {
            found.required(&here.child("name"), "");
        } else {
            found.check(&here.child("name"), name, dns1123_label(name));
        }
        if right.iter().any(|(known, _)| *known == name) {
            found.duplicate(&here.child("name"), name);
        }
        if found.is_empty() {
            right.push((name, volume));
        }
        errors.append(found);
    }
    right
}

fn source(volume: &Value, path: &Path<'_>, errors: &mut Errors) {
    let mut one = false;
    for (field, check) in SOURCES {
        let source = &volume[field];
        if source.is_null() {
            continue;
        }
        let here = path.child(field);
        if one {
            errors.forbidden(&here, "may not specify more than 1 volume type");
        } else {
            one = true;
            check(source, &here, errors);
        }
    }
    if !volume["image"].is_null() {
        if one {
            errors.forbidden(&path.child("image"), "may not specify more than 1 volume type");
        }
        one = true;
    }
    if !one {
        errors.required(path, "must specify a volume type");
    }
}
