//! What each source of a volume must say.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apimachinery::validation::dns1123_subdomain;

use super::environment::{VOLUME_FIELDS, field_reference, resource_reference};
use crate::rules::{paths, required, resources};

const HOST_PATH_TYPES: [&str; 8] =
    ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];

/// The least life of a projected token, in seconds.
const LEAST_TOKEN: i64 = 600;

pub(super) fn nothing(_: &Value, _: &Path<'_>, _: &mut Errors) {}

pub(super) fn empty_dir(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    if resources::amount(&source["sizeLimit"]).is_negative() {
        let why = "SizeLimit field must be a valid resource quantity";
        errors.forbidden(&path.child("sizeLimit"), why);
    }
}

pub fn host_path(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    let field = path.child("path");
    if required(&field, &source["path"], errors) {
        paths::no_backtracking(&field, source["path"].text(), errors);
    }
    if let Some(kind) = source["type"].as_str() {
        errors.one_of(&path.child("type"), kind, &HOST_PATH_TYPES);
    }
}

pub(super) fn git_repo(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    required(&path.child("repository"), &source["repository"], errors);
    paths::not_reserved(&path.child("directory"), source["directory"].text(), errors);
}

fn partition(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    if let Some(number) = source["partition"].as_i64().filter(|number| !(0..=255).contains(number)) {
        errors.invalid(&path.child("partition"), number, "must be between 0 and 255, inclusive");
    }
}

pub(super) fn disk(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    required(&path.child("pdName"), &source["pdName"], errors);
    partition(source, path, errors);
}

pub(super) fn block_store(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    required(&path.child("volumeID"), &source["volumeID"], errors);
    partition(source, path, errors);
}

pub(super) fn secret(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    required(&path.child("secretName"), &source["secretName"], errors);
    files(source, path, errors);
}

pub(super) fn config_map(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    required(&path.child("name"), &source["name"], errors);
    files(source, path, errors);
}

/// Modes, and keys with the files that they become.
fn files(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    paths::mode(&path.child("defaultMode"), &source["defaultMode"], errors);
    let items = path.child("items");
    for (at, item) in source["items"].items().iter().enumerate() {
        key_to_path(item, &items.index(at), errors);
    }
}

fn key_to_path(item: &Value, path: &Path<'_>, errors: &mut Errors) {
    required(&path.child("key"), &item["key"], errors);
    required(&path.child("path"), &item["path"], errors);
    paths::not_reserved(&path.child("path"), item["path"].text(), errors);
    paths::mode(&path.child("mode"), &item["mode"], errors);
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

pub(super) fn iscsi(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    required(&path.child("targetPortal"), &source["targetPortal"], errors);
    required(&path.child("iqn"), &source["iqn"], errors);
    if let Some(lun) = source["lun"].as_i64().filter(|lun| !(0..=255).contains(lun)) {
        errors.invalid(&path.child("lun"), lun, "must be between 0 and 255, inclusive");
    }
}

pub(super) fn glusterfs(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    required(&path.child("endpoints"), &source["endpoints"], errors);
    required(&path.child("path"), &source["path"], errors);
}

pub(super) fn claim(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    required(&path.child("claimName"), &source["claimName"], errors);
}

pub(super) fn rbd(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    if source["monitors"].items().is_empty() {
        errors.required(&path.child("monitors"), "");
    }
    required(&path.child("image"), &source["image"], errors);
}

pub(super) fn cinder(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    required(&path.child("volumeID"), &source["volumeID"], errors);
    let secret = &source["secretRef"];
    if !secret.is_null() {
        required(&path.child("secretRef").child("name"), &secret["name"], errors);
    }
}

pub(super) fn cephfs(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    if source["monitors"].items().is_empty() {
        errors.required(&path.child("monitors"), "");
    }
}

pub(super) fn azure_file(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    required(&path.child("secretName"), &source["secretName"], errors);
    required(&path.child("shareName"), &source["shareName"], errors);
}

pub(super) fn flex(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    required(&path.child("driver"), &source["driver"], errors);
}

pub(super) fn vsphere(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    required(&path.child("volumePath"), &source["volumePath"], errors);
}

pub(super) fn csi(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    let field = path.child("driver");
    if required(&field, &source["driver"], errors) {
        let name = source["driver"].text();
        errors.check(&field, name, dns1123_subdomain(name));
    }
    let secret = &source["nodePublishSecretRef"];
    if !secret.is_null() {
        required(&path.child("nodePublishSecretRef").child("name"), &secret["name"], errors);
    }
}

pub(super) fn ephemeral(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    let field = path.child("volumeClaimTemplate");
    if source["volumeClaimTemplate"].is_null() {
        errors.required(&field, "");
        return;
    }
    let spec = &source["volumeClaimTemplate"]["spec"];
    crate::core::persistent_volume_claim::validate_spec(spec, &field.child("spec"), errors);
}

pub(super) fn downward(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    paths::mode(&path.child("defaultMode"), &source["defaultMode"], errors);
    for file in source["items"].items() {
        downward_file(file, path, errors);
    }
}

/// Upstream names the fields of all items alike, without their index.
fn downward_file(file: &Value, path: &Path<'_>, errors: &mut Errors) {
    let field = path.child("path");
    required(&field, &file["path"], errors);
    paths::not_reserved(&field, file["path"].text(), errors);
    match (file["fieldRef"].is_null(), file["resourceFieldRef"].is_null()) {
        (false, other_missing) => {
            field_reference(&file["fieldRef"], &VOLUME_FIELDS, &path.child("fieldRef"), errors);
            if !other_missing {
                let why = "fieldRef and resourceFieldRef can not be specified simultaneously";
                errors.invalid(path, "resource", why);
            }
        }
        (true, false) => {
            resource_reference(&file["resourceFieldRef"], true, &path.child("resourceFieldRef"), errors);
        }
        (true, true) => errors.required(path, "one of fieldRef and resourceFieldRef is required"),
    }
    paths::mode(&path.child("mode"), &file["mode"], errors);
}

/// Several sources in one directory: no two files at one path.
pub(super) fn projected(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    paths::mode(&path.child("defaultMode"), &source["defaultMode"], errors);
    let sources = path.child("sources");
    let mut taken: Vec<&str> = Vec::new();
    for (at, source) in source["sources"].items().iter().enumerate() {
        let here = sources.index(at);
        let mut one = false;
        for field in ["secret", "configMap", "downwardAPI", "serviceAccountToken"] {
            let part = &source[field];
            if part.is_null() {
                continue;
            }
            let here = here.child(field);
            if one {
                errors.forbidden(&here, "may not specify more than 1 volume type");
                continue;
            }
            one = true;
            let name = part["name"].text();
            match field {
                "downwardAPI" => {
                    for file in part["items"].items() {
                        downward_file(file, &here, errors);
                        take(file["path"].text(), None, &mut taken, path, errors);
                    }
                }
                "serviceAccountToken" => token(part, &here, path, errors),
                _ => {
                    required(&here.child("name"), &part["name"], errors);
                    let items = here.child("items");
                    for (nth, item) in part["items"].items().iter().enumerate() {
                        key_to_path(item, &items.index(nth), errors);
                        take(item["path"].text(), Some(name), &mut taken, path, errors);
                    }
                }
            }
        }
    }
}

fn take<'a>(
    file: &'a str,
    name: Option<&str>,
    taken: &mut Vec<&'a str>,
    path: &Path<'_>,
    errors: &mut Errors,
) {
    if file.is_empty() {
        return;
    }
    if taken.contains(&file) {
        errors.invalid(path, name.unwrap_or(file), "conflicting duplicate paths");
    } else {
        taken.push(file);
    }
}

fn token(source: &Value, path: &Path<'_>, volume: &Path<'_>, errors: &mut Errors) {
    if let Some(seconds) = source["expirationSeconds"].as_i64() {
        let field = path.child("expirationSeconds");
        if seconds < LEAST_TOKEN {
            errors.invalid(&field, seconds, "may not specify a duration less than 10 minutes");
        } else if seconds > 1 << 32 {
            errors.invalid(&field, seconds, "may not specify a duration larger than 2^32 seconds");
        }
    }
    let field = volume.child("path");
    if required(&field, &source["path"], errors) {
        paths::not_reserved(&field, source["path"].text(), errors);
    }
}
