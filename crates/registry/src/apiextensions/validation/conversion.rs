//! How a definition's versions are converted into each other.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apimachinery::validation::{dns1035_label, port_number};

const REVIEW_VERSIONS: [&str; 2] = ["v1", "v1beta1"];

pub(super) fn validate(spec: &Value, old: Option<&Value>, path: &Path<'_>, errors: &mut Errors) {
    let conversion = &spec["conversion"];
    if conversion.is_null() {
        return;
    }
    let strategy = conversion["strategy"].text();
    if strategy != "None" && spec["preserveUnknownFields"].is_true() {
        errors.invalid(
            &path.child("strategy"),
            strategy,
            "must be None if spec.preserveUnknownFields is true",
        );
    }
    match strategy {
        "" => errors.required(&path.child("strategy"), ""),
        other => errors.one_of(&path.child("strategy"), other, &["None", "Webhook"]),
    }
    let webhook = &conversion["webhook"];
    let client = &webhook["clientConfig"];
    let versions = &webhook["conversionReviewVersions"];
    let client_path = path.child("webhookClientConfig");
    let versions_path = path.child("conversionReviewVersions");
    if strategy != "Webhook" {
        const WHY: &str = "should not be set when strategy is not set to Webhook";
        if !client.is_null() {
            errors.forbidden(&client_path, WHY);
        }
        if !versions.items().is_empty() {
            errors.forbidden(&versions_path, WHY);
        }
        return;
    }
    if client.is_null() {
        errors.required(&client_path, "required when strategy is set to Webhook");
    } else {
        match (client["url"].as_str(), &client["service"]) {
            (Some(address), Value::Null) => url(address, &client_path.child("url"), errors),
            (None, service @ Value::Object(_)) => {
                self::service(service, &client_path.child("service"), errors)
            }
            _ => errors.required(&client_path, "exactly one of url or service is required"),
        }
    }
    let recognized =
        |versions: &Value| versions.items().iter().any(|version| REVIEW_VERSIONS.contains(&version.text()));
    let requires = old.is_none_or(|old| {
        let before = &old["spec"]["conversion"]["webhook"]["conversionReviewVersions"];
        before.items().is_empty() || recognized(before)
    });
    if versions.items().is_empty() {
        errors.required(&versions_path, "");
        return;
    }
    for (at, version) in versions.items().iter().enumerate() {
        let here = versions_path.index(at);
        if versions.items()[..at].contains(version) {
            errors.invalid(&here, version.text(), "duplicate version");
            continue;
        }
        errors.check(&here, version.text(), dns1035_label(version.text()));
    }
    if requires && !recognized(versions) {
        let why = format!("must include at least one of {}", REVIEW_VERSIONS.join(", "));
        errors.invalid(&versions_path, versions.clone(), &why);
    }
}

fn url(address: &str, path: &Path<'_>, errors: &mut Errors) {
    const FORM: &str = "; desired format: https://host[/path]";
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    let (authority, _) = rest.split_once(['/', '?', '#']).unwrap_or((rest, ""));
    let host = authority.rsplit('@').next().unwrap_or("");
    let mut refuse = |value: &str, why: &str| errors.invalid(path, value, &format!("{why}{FORM}"));
    if scheme != "https" {
        refuse(scheme, "'https' is the only allowed URL scheme");
    }
    if scheme.is_empty() || host.is_empty() {
        refuse(if scheme.is_empty() { "" } else { host }, "host must be specified");
    }
    if let Some((user, _)) = authority.split_once('@') {
        refuse(user, "user information is not permitted in the URL");
    }
    let (before, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    if !fragment.is_empty() {
        refuse(fragment, "fragments are not permitted in the URL");
    }
    if let Some((_, query)) = before.split_once('?').filter(|(_, query)| !query.is_empty()) {
        refuse(query, "query parameters are not permitted in the URL");
    }
}

fn service(service: &Value, path: &Path<'_>, errors: &mut Errors) {
    if service["name"].text().is_empty() {
        errors.required(&path.child("name"), "service name is required");
    }
    if service["namespace"].text().is_empty() {
        errors.required(&path.child("namespace"), "service namespace is required");
    }
    let port = service["port"].as_i64().unwrap_or(443);
    for why in port_number(port) {
        errors.invalid(&path.child("port"), port, &format!("port is not valid: {why}"));
    }
    if let Some(text) = service["path"].as_str() {
        let here = path.child("path");
        if !text.starts_with('/') {
            errors.invalid(&here, text, "must start with a '/'");
        }
        let rest = text.strip_prefix('/').unwrap_or(text);
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if text.len() > 1 {
            for (at, segment) in rest.split('/').enumerate() {
                if segment.is_empty() {
                    errors.invalid(&here, text, &format!("segment[{at}] may not be empty"));
                }
            }
        }
    }
}
