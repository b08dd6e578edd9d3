//! Where containers mount volumes and devices.

use std::collections::HashSet;

use apimachinery::Value;
use apimachinery::field::{Errors, Path};

use super::spec::Around;
use crate::rules::paths::{descending, no_backtracking};

pub(super) fn mounts(around: &Around<'_>, container: &Value, path: &Path<'_>, errors: &mut Errors) {
    let devices = container["volumeDevices"].items();
    let mut places: HashSet<&str> = HashSet::new();
    for (at, mount) in container["volumeMounts"].items().iter().enumerate() {
        let here = path.index(at);
        let (name, place) = (mount["name"].text(), mount["mountPath"].text());
        if name.is_empty() {
            errors.required(&here.child("name"), "");
        }
        if !around.volumes.iter().any(|(known, _)| *known == name) {
            errors.not_found(&here.child("name"), name);
        }
        if place.is_empty() {
            errors.required(&here.child("mountPath"), "");
        }
        if places.contains(&place) {
            errors.invalid(&here.child("mountPath"), place, "must be unique");
        }
        places.insert(place);
        if devices.iter().any(|device| device["name"].text() == name) {
            errors.invalid(&here.child("name"), name, "must not already exist in volumeDevices");
        }
        if devices.iter().any(|device| device["devicePath"].text() == place) {
            errors.invalid(
                &here.child("mountPath"),
                place,
                "must not already exist as a path in volumeDevices",
            );
        }
        sub_paths(mount, path, &here, errors);
        propagation(mount, container, &path.child("mountPropagation"), errors);
        recursive_read_only(mount, &path.child("recursiveReadOnly"), errors);
    }
}

/// Upstream names the sub path without the mount's index.
fn sub_paths(mount: &Value, list: &Path<'_>, path: &Path<'_>, errors: &mut Errors) {
    let (sub, expression) = (mount["subPath"].text(), mount["subPathExpr"].text());
    if !sub.is_empty() {
        descending(&list.child("subPath"), sub, errors);
    }
    if !expression.is_empty() {
        if !sub.is_empty() {
            let why = "subPathExpr and subPath are mutually exclusive";
            errors.invalid(&path.child("subPathExpr"), expression, why);
        }
        descending(&list.child("subPathExpr"), expression, errors);
    }
}

fn propagation(mount: &Value, container: &Value, path: &Path<'_>, errors: &mut Errors) {
    let Some(mode) = mount["mountPropagation"].as_str() else { return };
    errors.one_of(path, mode, &["Bidirectional", "HostToContainer", "None"]);
    if mode == "Bidirectional" && !container["securityContext"]["privileged"].is_true() {
        errors.forbidden(path, "Bidirectional mount propagation is available only to privileged containers");
    }
}

fn recursive_read_only(mount: &Value, path: &Path<'_>, errors: &mut Errors) {
    match mount["recursiveReadOnly"].as_str() {
        None | Some("Disabled") => {}
        Some("Enabled" | "IfPossible") => {
            if !mount["readOnly"].is_true() {
                errors.forbidden(path, "may only be specified when readOnly is true");
            }
            if !matches!(mount["mountPropagation"].text(), "" | "None") {
                let why = "may only be specified when mountPropagation is None or not specified";
                errors.forbidden(path, why);
            }
        }
        Some(other) => errors.not_supported(path, other, &["Disabled", "Enabled", "IfPossible"]),
    }
}

pub(super) fn devices(around: &Around<'_>, container: &Value, path: &Path<'_>, errors: &mut Errors) {
    let mounts = container["volumeMounts"].items();
    let (mut names, mut places): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for (at, device) in container["volumeDevices"].items().iter().enumerate() {
        let here = path.index(at);
        let (name, place) = (device["name"].text(), device["devicePath"].text());
        if name.is_empty() {
            errors.required(&here.child("name"), "");
        }
        if names.contains(&name) {
            errors.invalid(&here.child("name"), name, "must be unique");
        }
        let volume = around.volumes.iter().find(|(known, _)| *known == name).map(|(_, volume)| *volume);
        match volume {
            None => errors.not_found(&here.child("name"), name),
            Some(volume) if volume["persistentVolumeClaim"].is_null() && volume["ephemeral"].is_null() => {
                let why =
                    "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                errors.invalid(&here.child("name"), name, why);
            }
            Some(_) => {}
        }
        if place.is_empty() {
            errors.required(&here.child("devicePath"), "");
        }
        if places.contains(&place) {
            errors.invalid(&here.child("devicePath"), place, "must be unique");
        }
        let mut steps = Errors::new();
        no_backtracking(&here, place, &mut steps);
        if !steps.is_empty() {
            errors.invalid(&here.child("devicePath"), place, "can not contain backsteps ('..')");
        } else {
            places.push(place);
        }
        if mounts.iter().any(|mount| mount["name"].text() == name) {
            errors.invalid(&here.child("name"), name, "must not already exist in volumeMounts");
        }
        if mounts.iter().any(|mount| mount["mountPath"].text() == place) {
            errors.invalid(
                &here.child("devicePath"),
                place,
                "must not already exist as a path in volumeMounts",
            );
        }
        if !name.is_empty() {
            names.push(name);
        }
    }
}
