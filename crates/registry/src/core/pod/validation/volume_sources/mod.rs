//! What each source of a volume must say. Sources that persistent volumes have
//! too are told apart where the rules differ (secrets in a namespace of theirs).

mod disks;
mod files;
mod projected;

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apimachinery::validation::{dns1123_label, dns1123_subdomain};

pub use disks::{
    azure_disk, azure_file, block_store, cephfs, cinder, disk, fc, flex, flocker, glusterfs, iscsi,
    iscsi_name, photon, portworx, quobyte, rbd, scale_io, storage_os, vsphere,
};
pub(super) use files::{config_map, downward, secret};
pub(super) use projected::projected;

use super::Owner;
use super::containers::PULL_POLICIES;
use super::spec::enumerated;
use crate::rules::{paths, required, resources, template_metadata};

const HOST_PATH_TYPES: [&str; 8] =
    ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];

/// Names of CSI drivers are labels of domains, in effect.
const LONGEST_DRIVER: usize = 63;

pub(super) fn empty_dir(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    if resources::amount(&source["sizeLimit"]).is_negative() {
        let why = "SizeLimit field must be a valid resource quantity";
        errors.forbidden(&path.child("sizeLimit"), why);
    }
}

pub fn host_path(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    let field = path.child("path");
    if !required(&field, &source["path"], errors) {
        return;
    }
    paths::no_backtracking(&field, source["path"].text(), errors);
    if let Some(kind) = source["type"].as_str() {
        errors.one_of(&path.child("type"), kind, &HOST_PATH_TYPES);
    }
}

pub(super) fn git_repo(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    required(&path.child("repository"), &source["repository"], errors);
    paths::descending(&path.child("directory"), source["directory"].text(), errors);
}

pub fn nfs(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    required(&path.child("server"), &source["server"], errors);
    let field = path.child("path");
    required(&field, &source["path"], errors);
    let place = source["path"].text();
    if !place.starts_with('/') {
        errors.invalid(&field, place, "must be an absolute path");
    }
}

pub(super) fn claim(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    required(&path.child("claimName"), &source["claimName"], errors);
}

/// The name of a CSI driver.
pub fn csi_driver(name: &str, path: &Path<'_>, errors: &mut Errors) {
    if name.is_empty() {
        errors.required(path, "");
        return;
    }
    if name.len() > LONGEST_DRIVER {
        errors.too_long(path, LONGEST_DRIVER);
    }
    errors.check(path, name, dns1123_subdomain(&name.to_lowercase()));
}

pub(super) fn csi(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    csi_driver(source["driver"].text(), &path.child("driver"), errors);
    let secret = &source["nodePublishSecretRef"];
    if secret.is_null() {
        return;
    }
    if required(&path.child("nodePublishSecretRef").child("name"), &secret["name"], errors) {
        // Upstream leaves the reference out of the path.
        errors.check(&path.child("name"), secret["name"].text(), dns1123_subdomain(secret["name"].text()));
    }
}

/// A claim is made of the template; it may say labels and annotations of it.
pub(super) fn ephemeral(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    let field = path.child("volumeClaimTemplate");
    let template = &source["volumeClaimTemplate"];
    if template.is_null() {
        errors.required(&field, "");
        return;
    }
    template_metadata(&field.child("metadata"), &template["metadata"], errors);
    crate::core::persistent_volume_claim::validate_spec(&template["spec"], &field.child("spec"), errors);
}

/// An image; a template may leave the reference open.
pub(super) fn image(source: &Value, owner: Owner<'_>, path: &Path<'_>, errors: &mut Errors) {
    if matches!(owner, Owner::Pod { .. }) {
        required(&path.child("reference"), &source["reference"], errors);
    }
    enumerated(&path.child("pullPolicy"), &source["pullPolicy"], &PULL_POLICIES, errors);
}

/// A name that, where it is there, is a label.
fn optional_label(path: &Path<'_>, name: &Value, errors: &mut Errors) {
    if !name.text().is_empty() {
        errors.check(path, name.text(), dns1123_label(name.text()));
    }
}

/// Who a secret reference of `source` must say: its name and, in a persistent
/// volume, its namespace.
fn secret_reference(source: &Value, persistent: bool, path: &Path<'_>, errors: &mut Errors) {
    let (secret, field) = (&source["secretRef"], path.child("secretRef"));
    if secret.is_null() {
        return;
    }
    required(&field.child("name"), &secret["name"], errors);
    if persistent {
        required(&field.child("namespace"), &secret["namespace"], errors);
    }
}
