//! How a definition's versions are converted into each other.

use std::collections::HashSet;

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apimachinery::validation::dns1035_label;

use crate::admissionregistration::webhooks;

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
            (Some(address), Value::Null) => webhooks::url(&client_path.child("url"), address, errors),
            (None, service @ Value::Object(_)) => {
                webhooks::service(&client_path.child("service"), service, errors)
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
    let mut seen = HashSet::new();
    for (at, version) in versions.items().iter().enumerate() {
        let here = versions_path.index(at);
        if !seen.insert(version.text()) {
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
