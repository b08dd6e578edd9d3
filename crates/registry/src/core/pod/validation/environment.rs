//! Environment variables, and the references that they and downward volumes share.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apimachinery::quantity::Quantity;
use apimachinery::validation::{
    config_map_key, dns1123_label, dns1123_subdomain, env_var_name, qualified_name,
};

/// Fields that a variable may show.
const ENV_FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// Fields that downward volumes may show.
pub(super) const VOLUME_FIELDS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

/// Fields that have a name in v1, beside those above.
const OTHER_FIELDS: [&str; 4] = ["spec.host", "spec.restartPolicy", "spec.schedulerName", "status.phase"];

const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

const ONE_OF: &str =
    "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`";

pub(super) fn variables(variables: &Value, path: &Path<'_>, errors: &mut Errors) {
    for (at, variable) in variables.items().iter().enumerate() {
        let here = path.index(at);
        let name = variable["name"].text();
        if name.is_empty() {
            errors.required(&here.child("name"), "");
        } else {
            errors.check(&here.child("name"), name, env_var_name(name));
        }
        if !variable["valueFrom"].is_null() {
            value_from(variable, &here.child("valueFrom"), errors);
        }
    }
}

fn value_from(variable: &Value, path: &Path<'_>, errors: &mut Errors) {
    let source = &variable["valueFrom"];
    let mut sources = 0;
    let mut given = |field: &str| {
        let there = !source[field].is_null();
        sources += usize::from(there);
        there
    };
    if given("fieldRef") {
        field_reference(&source["fieldRef"], &ENV_FIELDS, &path.child("fieldRef"), errors);
    }
    if given("resourceFieldRef") {
        resource_reference(&source["resourceFieldRef"], false, &path.child("resourceFieldRef"), errors);
    }
    for field in ["configMapKeyRef", "secretKeyRef"] {
        if given(field) {
            key_reference(&source[field], &path.child(field), errors);
        }
    }
    if given("fileKeyRef") {
        file_reference(&source["fileKeyRef"], &path.child("fileKeyRef"), errors);
    }
    if sources == 0 {
        errors.invalid(path, "", ONE_OF);
    }
    if !variable["value"].text().is_empty() {
        if sources > 0 {
            errors.invalid(path, "", "may not be specified when `value` is not empty");
        }
    } else if sources > 1 {
        errors.invalid(path, "", "may not have more than one field specified at a time");
    }
}

fn key_reference(reference: &Value, path: &Path<'_>, errors: &mut Errors) {
    let (name, key) = (reference["name"].text(), reference["key"].text());
    errors.check(&path.child("name"), name, dns1123_subdomain(name));
    if key.is_empty() {
        errors.required(&path.child("key"), "");
    } else {
        errors.check(&path.child("key"), key, config_map_key(key));
    }
}

fn file_reference(reference: &Value, path: &Path<'_>, errors: &mut Errors) {
    let key = reference["key"].text();
    if key.is_empty() {
        errors.required(&path.child("key"), "");
    } else {
        errors.check(&path.child("key"), key, env_var_name(key));
    }
    let volume = reference["volumeName"].text();
    if volume.is_empty() {
        errors.required(&path.child("volumeName"), "");
    } else {
        errors.check(&path.child("volumeName"), volume, dns1123_label(volume));
    }
    match reference["path"].text() {
        "" => errors.required(&path.child("path"), ""),
        file => crate::rules::paths::descending(&path.child("path"), file, errors),
    }
}

/// Files with variables lie in volumes of the pod that begin empty.
pub(super) fn file_volumes(spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        let containers = path.child(list);
        for (at, container) in spec[list].items().iter().enumerate() {
            let container_path = containers.index(at);
            let variables = container_path.child("env");
            for (at, variable) in container["env"].items().iter().enumerate() {
                let reference = &variable["valueFrom"]["fileKeyRef"];
                if reference.is_null() {
                    continue;
                }
                let variable = variables.index(at);
                let (value_from, name) = (variable.child("valueFrom"), reference["volumeName"].text());
                let reference = value_from.child("fileKeyRef");
                let place = reference.child("volumeName");
                // Of two volumes with one name the last counts.
                match spec["volumes"].items().iter().rev().find(|volume| volume["name"].text() == name) {
                    None => errors.not_found(&place, name),
                    Some(volume) if volume["emptyDir"].is_null() => {
                        errors.invalid(&place, name, "referenced volume must be of type emptyDir");
                    }
                    Some(_) => {}
                }
            }
        }
    }
}

/// An ObjectFieldSelector that names one of `fields`.
pub(super) fn field_reference(reference: &Value, fields: &[&str], path: &Path<'_>, errors: &mut Errors) {
    let (version, field) = (reference["apiVersion"].text(), reference["fieldPath"].text());
    let place = path.child("fieldPath");
    if version.is_empty() {
        errors.required(&path.child("apiVersion"), "");
        return;
    }
    if field.is_empty() {
        errors.required(&place, "");
        return;
    }
    let refuse = |why: String, errors: &mut Errors| {
        errors.invalid(&place, field, &format!("error converting fieldPath: {why}"));
    };
    if version != "v1" {
        refuse(format!("unsupported pod version: {version}"), errors);
        return;
    }
    if let Some((map, key)) = subscript(field) {
        match map {
            "metadata.annotations" => {
                errors.check(path, &key.to_lowercase(), qualified_name(&key.to_lowercase()));
            }
            "metadata.labels" => errors.check(path, key, qualified_name(key)),
            _ => refuse(format!("field label does not support subscript: {field}"), errors),
        }
        return;
    }
    let known =
        ENV_FIELDS.contains(&field) || VOLUME_FIELDS.contains(&field) || OTHER_FIELDS.contains(&field);
    if !known {
        refuse(format!("field label not supported: {field}"), errors);
    } else if !fields.contains(&if field == "spec.host" { "spec.nodeName" } else { field }) {
        errors.text_not_supported(&place, field, fields);
    }
}

/// `metadata.labels['key']` as map and key.
fn subscript(field: &str) -> Option<(&str, &str)> {
    let (map, rest) = field.split_once("['")?;
    Some((map, rest.strip_suffix("']")?))
}

/// A ResourceFieldSelector; in volumes it names its container.
pub(super) fn resource_reference(reference: &Value, in_volume: bool, path: &Path<'_>, errors: &mut Errors) {
    let resource = reference["resource"].text();
    if in_volume && reference["containerName"].text().is_empty() {
        errors.required(&path.child("containerName"), "");
    } else if resource.is_empty() {
        errors.required(&path.child("resource"), "");
    } else if !RESOURCES.contains(&resource)
        && !resource.starts_with("requests.hugepages-")
        && !resource.starts_with("limits.hugepages-")
    {
        errors.text_not_supported(&path.child("resource"), resource, &RESOURCES);
    }
    divisor(resource, &reference["divisor"], &path.child("divisor"), errors);
}

const BYTES: [&str; 13] = ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];

fn is_huge_pages(resource: &str) -> bool {
    resource
        .split_once('.')
        .is_some_and(|(of, name)| matches!(of, "limits" | "requests") && name.starts_with("hugepages-"))
}

fn divisor(resource: &str, divisor: &Value, path: &Path<'_>, errors: &mut Errors) {
    let text = divisor.text();
    if text.is_empty() || Quantity::parse(text).is_ok_and(|amount| amount.is_zero()) {
        return;
    }
    let told = match resource {
        "limits.cpu" | "requests.cpu" if !matches!(text, "1m" | "1") => {
            "only divisor's values 1m and 1 are supported with the cpu resource".to_owned()
        }
        "limits.memory" | "requests.memory" if !BYTES.contains(&text) => {
            format!("only divisor's values {} are supported with the memory resource", BYTES.join(", "))
        }
        "limits.ephemeral-storage" | "requests.ephemeral-storage" if !BYTES.contains(&text) => format!(
            "only divisor's values {} are supported with the local ephemeral storage resource",
            BYTES.join(", ")
        ),
        huge if is_huge_pages(huge) && !BYTES.contains(&text) => {
            format!("only divisor's values {} are supported with the hugepages resource", BYTES.join(", "))
        }
        _ => return,
    };
    errors.invalid(path, resource, &told);
}

/// `envFrom`.
pub(super) fn sources(sources: &Value, path: &Path<'_>, errors: &mut Errors) {
    for (at, source) in sources.items().iter().enumerate() {
        let here = path.index(at);
        let prefix = source["prefix"].text();
        if !prefix.is_empty() {
            errors.check(&here.child("prefix"), prefix, env_var_name(prefix));
        }
        let mut given = 0;
        for field in ["configMapRef", "secretRef"] {
            if source[field].is_null() {
                continue;
            }
            given += 1;
            let place = here.child(field);
            let name = source[field]["name"].text();
            if name.is_empty() {
                errors.required(&place.child("name"), "");
            } else {
                errors.check(&place.child("name"), name, dns1123_subdomain(name));
            }
        }
        match given {
            0 => errors.invalid(path, "", "must specify one of: `configMapRef` or `secretRef`"),
            1 => {}
            _ => errors.invalid(path, "", "may not have more than one field specified at a time"),
        }
    }
}
