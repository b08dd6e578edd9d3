//! Volumes of a pod: names, and one source each.

use apimachinery::Value;
use apimachinery::field::{Errors, Path, quote};
use apimachinery::validation::{dns1123_label, dns1123_subdomain};

use super::Owner;
use super::volume_sources as sources;

/// Checks a source of one type, at its path.
type Check = fn(&Value, &Path<'_>, &mut Errors);

/// A type of volume.
struct Source {
    field: &'static str,
    /// How messages name it: where it is one too many, and in itself.
    shown: (&'static str, &'static str),
    check: Check,
}

const fn source(field: &'static str, check: Check) -> Source {
    Source { field, shown: (field, field), check }
}

/// Sources in the order in which upstream looks for them. Three are misnamed
/// in its messages.
const SOURCES: [Source; 29] = [
    source("emptyDir", sources::empty_dir),
    source("hostPath", sources::host_path),
    source("gitRepo", sources::git_repo),
    Source {
        field: "gcePersistentDisk",
        shown: ("gcePersistentDisk", "persistentDisk"),
        check: sources::disk,
    },
    source("awsElasticBlockStore", sources::block_store),
    source("secret", sources::secret),
    source("nfs", sources::nfs),
    source("iscsi", |_, _, _| {}),
    source("glusterfs", sources::glusterfs),
    source("flocker", sources::flocker),
    source("persistentVolumeClaim", sources::claim),
    source("rbd", sources::rbd),
    source("cinder", |source, path, errors| sources::cinder(source, false, path, errors)),
    Source { field: "cephfs", shown: ("cephFS", "cephfs"), check: sources::cephfs },
    source("quobyte", sources::quobyte),
    Source { field: "downwardAPI", shown: ("downwarAPI", "downwardAPI"), check: sources::downward },
    source("fc", sources::fc),
    source("flexVolume", sources::flex),
    source("configMap", sources::config_map),
    source("azureFile", |source, path, errors| sources::azure_file(source, false, path, errors)),
    source("vsphereVolume", sources::vsphere),
    source("photonPersistentDisk", sources::photon),
    source("portworxVolume", sources::portworx),
    source("azureDisk", sources::azure_disk),
    source("storageos", |source, path, errors| sources::storage_os(source, false, path, errors)),
    source("projected", sources::projected),
    source("scaleIO", sources::scale_io),
    source("csi", sources::csi),
    source("ephemeral", sources::ephemeral),
];

/// Checks the list; the volumes that are right, by name.
pub(super) fn validate<'a>(
    volumes: &'a Value,
    owner: Owner<'_>,
    path: &Path<'_>,
    errors: &mut Errors,
) -> Vec<(&'a str, &'a Value)> {
    let mut right: Vec<(&str, &Value)> = Vec::new();
    for (at, volume) in volumes.items().iter().enumerate() {
        let here = path.index(at);
        let name = volume["name"].text();
        let mut found = Errors::new();
        of_one_type(volume, owner, &here, &mut found);
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
        let claim = volume["persistentVolumeClaim"]["claimName"].text();
        if is_made_for_pod(claim, volumes, owner) {
            let why = "must not reference a PVC that gets created for an ephemeral volume";
            errors.invalid(&here.child("persistentVolumeClaim").child("claimName"), claim, why);
        }
    }
    right
}

/// Whether the claim is one that the pod's own ephemeral volume will have.
fn is_made_for_pod(claim: &str, volumes: &Value, owner: Owner<'_>) -> bool {
    let Owner::Pod { name: pod, .. } = owner else { return false };
    let Some(volume) = claim.strip_prefix(pod).and_then(|rest| rest.strip_prefix('-')) else { return false };
    !pod.is_empty()
        && volumes.items().iter().any(|other| !other["ephemeral"].is_null() && other["name"].text() == volume)
}

fn of_one_type(volume: &Value, owner: Owner<'_>, path: &Path<'_>, errors: &mut Errors) {
    let mut one = false;
    for Source { field, shown: (surplus, own), check } in &SOURCES {
        let source = &volume[*field];
        if source.is_null() {
            continue;
        }
        if one {
            errors.forbidden(&path.child(surplus), "may not specify more than 1 volume type");
            continue;
        }
        one = true;
        let here = path.child(own);
        match *field {
            "iscsi" => sources::iscsi(source, volume["name"].text(), false, &here, errors),
            "ephemeral" => {
                check(source, &here, errors);
                claim_name(volume["name"].text(), owner, path, errors);
            }
            _ => check(source, &here, errors),
        }
    }
    if !volume["image"].is_null() {
        let here = path.child("image");
        if one {
            errors.forbidden(&here, "may not specify more than 1 volume type");
        } else {
            sources::image(&volume["image"], owner, &here, errors);
        }
        one = true;
    }
    if !one {
        errors.required(path, "must specify a volume type");
    }
}

/// The claim of an ephemeral volume is called by pod and volume.
fn claim_name(volume: &str, owner: Owner<'_>, path: &Path<'_>, errors: &mut Errors) {
    let Owner::Pod { name: pod, .. } = owner else { return };
    if pod.is_empty() || volume.is_empty() {
        return;
    }
    let claim = format!("{pod}-{volume}");
    for why in dns1123_subdomain(&claim) {
        errors.invalid(&path.child("name"), volume, &format!("PVC name {}: {why}", quote(&claim)));
    }
}
