//! Volumes on disks and file systems elsewhere: clouds and storage systems.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apimachinery::validation::dns1123_label;

use super::{optional_label, secret_reference};
use crate::rules::required;

/// iSCSI names: how they begin.
const ISCSI_FORMS: [&str; 3] = ["iqn", "eui", "naa"];
const ISCSI_TOO_LONG: &str = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if \
                              iscsi.initiatorName is specified.";
const MOST_ISCSI: usize = 64;
const HOST_PORTS: &str = "must be a host:port pair or multiple pairs separated by commas";

fn partition(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    if let Some(number) = source["partition"].as_i64().filter(|number| !(0..=255).contains(number)) {
        errors.invalid(&path.child("partition"), number, "must be between 1 and 255, inclusive");
    }
}

fn lun(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    if let Some(lun) = source["lun"].as_i64().filter(|lun| !(0..=255).contains(lun)) {
        errors.invalid(&path.child("lun"), lun, "must be between 0 and 255, inclusive");
    }
}

fn all_required(source: &Value, fields: &[&str], path: &Path<'_>, errors: &mut Errors) {
    for field in fields {
        required(&path.child(field), &source[*field], errors);
    }
}

pub fn disk(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    required(&path.child("pdName"), &source["pdName"], errors);
    partition(source, path, errors);
}

pub fn block_store(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    required(&path.child("volumeID"), &source["volumeID"], errors);
    partition(source, path, errors);
}

/// An iSCSI target or initiator: whether it has one of the three forms.
pub fn iscsi_name(name: &str) -> bool {
    let alnum = |text: &str, count: usize| {
        text.len() == count && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    match name.get(..3) {
        Some("iqn") => is_qualified_name(name),
        Some("eui") => name.get(4..).is_some_and(|rest| alnum(rest, 16)),
        Some("naa") => name.get(4..).is_some_and(|rest| alnum(rest, 32)),
        _ => false,
    }
}

/// `iqn.YYYY-MM.authority:name`.
fn is_qualified_name(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("iqn.") else { return false };
    let bytes = rest.as_bytes();
    let dated = bytes.len() > 8
        && bytes[..4].iter().chain(&bytes[5..7]).all(u8::is_ascii_digit)
        && bytes[4] == b'-'
        && bytes[7] == b'.';
    let Some((authority, own)) = rest.get(8..).and_then(|rest| rest.split_once(':')) else { return false };
    dated
        && !authority.is_empty()
        && authority.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
        && !own.is_empty()
        && !own.contains(|letter: char| {
            matches!(letter, ',' | '^' | ';' | '*' | '&' | '$' | '|') || letter.is_whitespace()
        })
}

/// How a name that is wrong is told: persistent volumes say less.
fn check_iscsi(name: &str, persistent: bool, path: &Path<'_>, errors: &mut Errors) {
    let known = ISCSI_FORMS.iter().any(|form| name.starts_with(form));
    if !known && !persistent {
        errors.invalid(path, name, "must be valid format starting with iqn, eui, or naa");
    } else if !iscsi_name(name) {
        errors.invalid(path, name, "must be valid format");
    }
}

/// `name` is the volume's; `persistent` where it is one of its own.
pub fn iscsi(source: &Value, name: &str, persistent: bool, path: &Path<'_>, errors: &mut Errors) {
    let portal = source["targetPortal"].text();
    required(&path.child("targetPortal"), &source["targetPortal"], errors);
    let initiator = source["initiatorName"].as_str();
    let long = initiator.is_some() && name.len() + 1 + portal.len() > MOST_ISCSI;
    if persistent && long {
        errors.invalid(&path.child("targetportal"), portal, ISCSI_TOO_LONG);
    }
    if required(&path.child("iqn"), &source["iqn"], errors) {
        check_iscsi(source["iqn"].text(), persistent, &path.child("iqn"), errors);
    }
    lun(source, path, errors);
    let secret = path.child("secretRef");
    let authenticates = source["chapAuthDiscovery"].is_true() || source["chapAuthSession"].is_true();
    if authenticates && source["secretRef"].is_null() {
        errors.required(&secret, "");
    }
    if persistent && !source["secretRef"].is_null() {
        required(&secret.child("name"), &source["secretRef"]["name"], errors);
    }
    if let Some(initiator) = initiator {
        check_iscsi(initiator, persistent, &path.child("initiatorname"), errors);
    }
    if !persistent
        && long
        && let Path::Child(volume, _) = path
    {
        errors.invalid(&volume.child("name"), name, ISCSI_TOO_LONG);
    }
}

/// Names of targets, or identifiers, and not both.
pub fn fc(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    let (targets, identifiers) = (source["targetWWNs"].items(), source["wwids"].items());
    let field = path.child("targetWWNs");
    if targets.is_empty() && identifiers.is_empty() {
        errors.required(&field, "must specify either targetWWNs or wwids, but not both");
    }
    if !targets.is_empty() && !identifiers.is_empty() {
        let why = "targetWWNs and wwids can not be specified simultaneously";
        errors.invalid(&field, source["targetWWNs"].clone(), why);
    }
    if !targets.is_empty() {
        if source["lun"].is_null() {
            errors.required(&path.child("lun"), "lun is required if targetWWNs is specified");
        }
        lun(source, path, errors);
    }
}

pub fn glusterfs(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    all_required(source, &["endpoints", "path"], path, errors);
}

pub fn flocker(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    let (name, id) = (source["datasetName"].text(), source["datasetUUID"].text());
    if name.is_empty() && id.is_empty() {
        errors.required(path, "one of datasetName and datasetUUID is required");
    }
    if !name.is_empty() && !id.is_empty() {
        let why = "datasetName and datasetUUID can not be specified simultaneously";
        errors.invalid(path, "resource", why);
    }
    if name.contains('/') {
        errors.invalid(&path.child("datasetName"), name, "must not contain '/'");
    }
}

pub fn rbd(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    monitors(source, path, errors);
    required(&path.child("image"), &source["image"], errors);
}

pub fn cephfs(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    monitors(source, path, errors);
}

fn monitors(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    if source["monitors"].items().is_empty() {
        errors.required(&path.child("monitors"), "");
    }
}

pub fn cinder(source: &Value, persistent: bool, path: &Path<'_>, errors: &mut Errors) {
    required(&path.child("volumeID"), &source["volumeID"], errors);
    secret_reference(source, persistent, path, errors);
}

pub fn quobyte(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    let (registry, field) = (source["registry"].text(), path.child("registry"));
    if registry.is_empty() {
        errors.required(&field, HOST_PORTS);
    } else if source["tenant"].text().len() >= 65 {
        errors.required(&path.child("tenant"), "must be a UUID and may not exceed a length of 64 characters");
    } else {
        for _ in registry.split(',').filter(|pair| !is_host_port(pair)) {
            errors.invalid(&field, registry, HOST_PORTS);
        }
    }
    required(&path.child("volume"), &source["volume"], errors);
}

/// As Go's net.SplitHostPort sees it: one colon outside of brackets.
fn is_host_port(pair: &str) -> bool {
    match pair.strip_prefix('[') {
        Some(rest) => rest.split_once(']').is_some_and(|(host, port)| {
            !host.contains('[') && port.strip_prefix(':').is_some_and(|port| !port.contains([':', '[', ']']))
        }),
        None => pair.matches(':').count() == 1 && !pair.contains(['[', ']']),
    }
}

/// A driver, with options that are not Kubernetes' own.
pub fn flex(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    required(&path.child("driver"), &source["driver"], errors);
    let options = path.child("options");
    for (key, _) in source["options"].members() {
        let domain = format!(".{}", key.split_once('/').map_or(key, |(domain, _)| domain).to_lowercase());
        if domain.ends_with(".kubernetes.io") || domain.ends_with(".k8s.io") {
            errors.invalid(&options.key(key), key, "kubernetes.io and k8s.io namespaces are reserved");
        }
    }
}

pub fn azure_file(source: &Value, persistent: bool, path: &Path<'_>, errors: &mut Errors) {
    all_required(source, &["secretName", "shareName"], path, errors);
    if persistent && source["secretNamespace"].as_str() == Some("") {
        errors.required(&path.child("secretNamespace"), "");
    }
}

pub fn azure_disk(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    all_required(source, &["diskName", "diskURI"], path, errors);
    if let Some(mode) = source["cachingMode"].as_str() {
        errors.one_of(&path.child("cachingMode"), mode, &["None", "ReadOnly", "ReadWrite"]);
    }
    let Some(kind) = source["kind"].as_str() else { return };
    errors.one_of(&path.child("kind"), kind, &["Dedicated", "Managed", "Shared"]);
    let (uri, field) = (source["diskURI"].text(), path.child("diskURI"));
    if kind == "Managed" && !uri.starts_with("/subscriptions/") {
        let form =
            "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}";
        errors.text_not_supported(&field, uri, &[form]);
    }
    if kind != "Managed" && !uri.starts_with("https://") {
        let form = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd";
        errors.text_not_supported(&field, uri, &[form]);
    }
}

pub fn vsphere(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    required(&path.child("volumePath"), &source["volumePath"], errors);
}

pub fn photon(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    required(&path.child("pdID"), &source["pdID"], errors);
}

pub fn portworx(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    required(&path.child("volumeID"), &source["volumeID"], errors);
}

pub fn scale_io(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    all_required(source, &["gateway", "system", "volumeName"], path, errors);
}

pub fn storage_os(source: &Value, persistent: bool, path: &Path<'_>, errors: &mut Errors) {
    let field = path.child("volumeName");
    if required(&field, &source["volumeName"], errors) {
        let name = source["volumeName"].text();
        errors.check(&field, name, dns1123_label(name));
    }
    optional_label(&path.child("volumeNamespace"), &source["volumeNamespace"], errors);
    secret_reference(source, persistent, path, errors);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iscsi_names_have_three_forms() {
        for (name, right) in [
            ("iqn.2015-02.example.com:storage.kube.sys1.xyz", true),
            ("iqn.2015-02.example.com", false),
            ("iqn.15-02.example.com:a", false),
            ("eui.0123456789ABCDEF", true),
            ("eui.012345", false),
            ("naa.62004567BA64678D0123456789ABCDEF", true),
            ("other", false),
        ] {
            assert_eq!(iscsi_name(name), right, "{name}");
        }
    }

    #[test]
    fn registries_are_hosts_with_ports() {
        for (pair, right) in [
            ("a:1", true),
            ("[::1]:1", true),
            ("a", false),
            ("::1:1", false),
            ("[::1]", false),
            ("a:1:2", false),
        ] {
            assert_eq!(is_host_port(pair), right, "{pair}");
        }
    }
}
