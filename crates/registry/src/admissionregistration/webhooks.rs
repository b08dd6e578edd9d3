//! ValidatingWebhookConfiguration and MutatingWebhookConfiguration.

use std::collections::BTreeSet;

use admission::policies::hook_conditions;
use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apimachinery::validation;
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

use super::matching::{conditions, rule, supported};
use crate::changes::{default_struct, items};
use crate::rules::selector;

/// Either kind of webhook configuration.
pub struct WebhookConfiguration;

const REVIEWS: [&str; 2] = ["v1", "v1beta1"];
const SIDE_EFFECTS: [&str; 2] = ["None", "NoneOnDryRun"];
const URL_FORM: &str = "; desired format: https://host[/path]";

impl Strategy for WebhookConfiguration {
    fn knows_finalizers(&self) -> bool {
        false
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    /// Selectors that are not said select everything.
    fn default(&self, _: &str, object: &mut Value) {
        for webhook in items(object, "webhooks") {
            default_struct(webhook, "namespaceSelector");
            default_struct(webhook, "objectSelector");
        }
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        let mut errors = validate(object, &Ratchet::default());
        super::not_reserved(object, &mut errors);
        errors
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        validate(object, &Ratchet::of(object, old))
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::cluster::webhooks(object, now)
    }
}

/// What an old object was allowed that a new one is not.
#[derive(Default)]
struct Ratchet {
    side_effects: bool,
    reviews: bool,
    names: bool,
    conditions: bool,
}

impl Ratchet {
    fn of(object: &Value, old: &Value) -> Self {
        let (new, old) = (object["webhooks"].items(), old["webhooks"].items());
        let mut seen = BTreeSet::new();
        Self {
            side_effects: old.iter().any(|hook| !SIDE_EFFECTS.contains(&hook["sideEffects"].text())),
            reviews: old.iter().any(|hook| {
                let versions = hook["admissionReviewVersions"].items();
                !versions.is_empty() && !versions.iter().any(|version| REVIEWS.contains(&version.text()))
            }),
            names: !old.iter().all(|hook| seen.insert(hook["name"].text())),
            conditions: new.len() == old.len()
                && new.iter().zip(old).all(|(new, old)| new["matchConditions"] == old["matchConditions"]),
        }
    }
}

fn validate(object: &Value, ratchet: &Ratchet) -> Errors {
    let mut errors = Errors::new();
    let list = Path::Root.child("webhooks");
    let mut seen = BTreeSet::new();
    for (at, hook) in object["webhooks"].items().iter().enumerate() {
        let path = list.index(at);
        webhook(&path, hook, ratchet, &mut errors);
        reviews(
            &path.child("admissionReviewVersions"),
            &hook["admissionReviewVersions"],
            ratchet,
            &mut errors,
        );
        let name = hook["name"].text();
        if !ratchet.names && !name.is_empty() && !seen.insert(name) {
            errors.duplicate(&path.child("name"), name);
        }
    }
    errors
}

fn webhook(path: &Path<'_>, hook: &Value, ratchet: &Ratchet, errors: &mut Errors) {
    let name = hook["name"].text();
    if name.is_empty() {
        errors.required(&path.child("name"), "");
    } else {
        errors.check(&path.child("name"), name, validation::fully_qualified_name(name));
    }
    for (at, one) in hook["rules"].items().iter().enumerate() {
        rule(&path.child("rules").index(at), one, errors);
    }
    supported(&path.child("failurePolicy"), &hook["failurePolicy"], &["Fail", "Ignore"], errors);
    supported(&path.child("matchPolicy"), &hook["matchPolicy"], &["Equivalent", "Exact"], errors);
    let allowed: &[&str] =
        if ratchet.side_effects { &["None", "NoneOnDryRun", "Some", "Unknown"] } else { &SIDE_EFFECTS };
    match hook["sideEffects"].as_str() {
        None => {
            let why = format!("must specify one of {}", allowed.join(", "));
            errors.required(&path.child("sideEffects"), &why);
        }
        Some(effects) => errors.one_of(&path.child("sideEffects"), effects, allowed),
    }
    if let Some(seconds) = hook["timeoutSeconds"].as_i64().filter(|seconds| !(1..=30).contains(seconds)) {
        let why = "the timeout value must be between 1 and 30 seconds";
        errors.invalid(&path.child("timeoutSeconds"), seconds, why);
    }
    selector::validate(&path.child("namespaceSelector"), &hook["namespaceSelector"], errors);
    selector::validate(&path.child("objectSelector"), &hook["objectSelector"], errors);
    supported(&path.child("reinvocationPolicy"), &hook["reinvocationPolicy"], &["IfNeeded", "Never"], errors);
    client(&path.child("clientConfig"), &hook["clientConfig"], errors);
    if !ratchet.conditions {
        conditions(&path.child("matchConditions"), &hook["matchConditions"], &hook_conditions(), errors);
    }
}

fn reviews(path: &Path<'_>, versions: &Value, ratchet: &Ratchet, errors: &mut Errors) {
    if versions.items().is_empty() {
        return errors.required(path, &format!("must specify one of {}", REVIEWS.join(", ")));
    }
    let mut seen = BTreeSet::new();
    for (at, version) in versions.items().iter().enumerate() {
        let version = version.text();
        if !seen.insert(version) {
            errors.invalid(&path.index(at), version, "duplicate version");
            continue;
        }
        errors.check(&path.index(at), version, validation::dns1035_label(version));
    }
    if !ratchet.reviews && !seen.iter().any(|version| REVIEWS.contains(version)) {
        errors.invalid(
            path,
            versions.clone(),
            &format!("must include at least one of {}", REVIEWS.join(", ")),
        );
    }
}

/// WebhookClientConfig: by URL or by service.
fn client(path: &Path<'_>, client: &Value, errors: &mut Errors) {
    match (client["url"].as_str(), client["service"].is_null()) {
        (Some(text), true) => url(&path.child("url"), text, errors),
        (None, false) => service(&path.child("service"), &client["service"], errors),
        _ => errors.required(path, "exactly one of url or service is required"),
    }
}

/// A webhook's address.
pub(crate) fn url(path: &Path<'_>, text: &str, errors: &mut Errors) {
    let url = match apimachinery::url::parse(text) {
        Ok(url) => url,
        Err(why) => return errors.required(path, &format!("url must be a valid URL: {why}{URL_FORM}")),
    };
    if url.scheme != "https" {
        errors.invalid(path, &*url.scheme, &format!("'https' is the only allowed URL scheme{URL_FORM}"));
    }
    if url.host.is_empty() {
        errors.invalid(path, "", &format!("host must be specified{URL_FORM}"));
    }
    if let Some(user) = &url.user {
        errors.invalid(path, &**user, "user information is not permitted in the URL");
    }
    if !url.fragment.is_empty() {
        errors.invalid(path, &*url.fragment, "fragments are not permitted in the URL");
    }
    if !url.query.is_empty() {
        errors.invalid(path, &*url.query, "query parameters are not permitted in the URL");
    }
}

/// The Service before a webhook.
pub(crate) fn service(path: &Path<'_>, service: &Value, errors: &mut Errors) {
    // Upstream hands the two over in the wrong order.
    for (told, field) in [("name", "namespace"), ("namespace", "name")] {
        if service[field].text().is_empty() {
            errors.required(&path.child(told), "");
        }
    }
    let port = service["port"].as_i64().unwrap_or(443);
    let wrong = validation::port_number(port);
    if !wrong.is_empty() {
        errors.invalid(&path.child("port"), port, &format!("port is not valid: {}", wrong.join(",")));
    }
    let below = path.child("path");
    let text = match service["path"].text() {
        "" | "/" => return,
        "//" => return errors.invalid(&below, "//", "segment[0] may not be empty"),
        text => text,
    };
    if !text.starts_with('/') {
        errors.invalid(&below, text, "must start with a '/'");
    }
    // Upstream leaves the first byte out whether it is a slash or not.
    let steps = text.get(1..).unwrap_or("");
    for (at, step) in steps.strip_suffix('/').unwrap_or(steps).split('/').enumerate() {
        if step.is_empty() {
            errors.invalid(&below, text, &format!("segment[{at}] may not be empty"));
            continue;
        }
        for why in validation::dns1123_subdomain(step) {
            errors.invalid(&below, text, &format!("segment[{at}]: {why}"));
        }
    }
}
