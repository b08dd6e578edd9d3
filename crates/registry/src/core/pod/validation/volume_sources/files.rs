//! Volumes whose files are the values of Secrets, ConfigMaps and the pod's own
//! fields.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};

use super::super::environment::{VOLUME_FIELDS, field_reference, resource_reference};
use crate::rules::{paths, required};

pub fn secret(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    required(&path.child("secretName"), &source["secretName"], errors);
    files(source, path, errors);
}

pub fn config_map(source: &Value, path: &Path<'_>, errors: &mut Errors) {
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

pub fn key_to_path(item: &Value, path: &Path<'_>, errors: &mut Errors) {
    required(&path.child("key"), &item["key"], errors);
    required(&path.child("path"), &item["path"], errors);
    paths::not_reserved(&path.child("path"), item["path"].text(), errors);
    paths::mode(&path.child("mode"), &item["mode"], errors);
}

pub fn downward(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    paths::mode(&path.child("defaultMode"), &source["defaultMode"], errors);
    for file in source["items"].items() {
        downward_file(file, path, errors);
    }
}

/// Upstream names the fields of all items alike, without their index.
pub fn downward_file(file: &Value, path: &Path<'_>, errors: &mut Errors) {
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
