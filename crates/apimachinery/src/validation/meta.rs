//! Rules of `metadata` (meta/v1 ObjectMeta), on creation and on update.

use super::{
    ANNOTATIONS_MAX, IMMUTABLE, dns1123_label, dns1123_subdomain, label_key, label_value, qualified_name,
};
use crate::Value;
use crate::field::{Errors, Path};

/// How objects of a kind may be called: what is wrong with a name.
pub type NameRule = fn(&str) -> Vec<String>;

/// What differs between kinds.
#[derive(Clone, Copy)]
pub struct Rules {
    /// Objects live in a namespace.
    pub namespaced: bool,
    pub name: NameRule,
    /// Finalizers have to be standard or qualified (the kinds of upstream's
    /// core validation; not custom resources and the generic server's kinds).
    pub known_finalizers: bool,
}

impl Default for Rules {
    /// A namespaced built-in kind with DNS subdomains as names.
    fn default() -> Self {
        Rules { namespaced: true, name: dns1123_subdomain, known_finalizers: true }
    }
}

/// Checks `metadata` of a new object. `path` is that of `metadata`.
pub fn validate(metadata: &Value, rules: &Rules, path: &Path<'_>, errors: &mut Errors) {
    let name = metadata["name"].text();
    let generate_name = metadata["generateName"].text();
    if !generate_name.is_empty() {
        errors.check(&path.child("generateName"), generate_name, generated(rules.name, generate_name));
    }
    if name.is_empty() {
        errors.required(&path.child("name"), "name or generateName is required");
    } else {
        errors.check(&path.child("name"), name, (rules.name)(name));
    }
    let namespace = metadata["namespace"].text();
    match (rules.namespaced, namespace) {
        (true, "") => errors.required(&path.child("namespace"), ""),
        (true, _) => errors.check(&path.child("namespace"), namespace, dns1123_label(namespace)),
        (false, "") => {}
        (false, _) => errors.forbidden(&path.child("namespace"), "not allowed on this type"),
    }
    common(metadata, path, errors);
    if rules.known_finalizers {
        known_finalizers(&metadata["finalizers"], &path.child("finalizers"), errors);
    }
}

/// What holds of new and of changed objects.
fn common(metadata: &Value, path: &Path<'_>, errors: &mut Errors) {
    if let Some(generation) = metadata["generation"].as_i64().filter(|generation| *generation < 0) {
        errors.invalid(&path.child("generation"), generation, "must be greater than or equal to 0");
    }
    labels(&metadata["labels"], &path.child("labels"), errors);
    annotations(&metadata["annotations"], &path.child("annotations"), errors);
    owner_references(&metadata["ownerReferences"], &path.child("ownerReferences"), errors);
    finalizers(&metadata["finalizers"], &path.child("finalizers"), errors);
    managed_fields(&metadata["managedFields"], &path.child("managedFields"), errors);
}

/// Checks `metadata` of a changed object against what it was.
pub fn validate_update(new: &Value, old: &Value, rules: &Rules, path: &Path<'_>, errors: &mut Errors) {
    common(new, path, errors);
    if !old["deletionTimestamp"].is_null() {
        let added: Vec<&str> = new["finalizers"]
            .items()
            .iter()
            .filter(|finalizer| !old["finalizers"].items().contains(finalizer))
            .map(Value::text)
            .collect();
        if !added.is_empty() {
            let mut quoted: Vec<String> = added.iter().map(|name| crate::field::quote(name)).collect();
            quoted.sort();
            quoted.dedup();
            let text = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                quoted.join(", ")
            );
            errors.forbidden(&path.child("finalizers"), &text);
        }
    }
    if new["resourceVersion"].text().is_empty() && !old["resourceVersion"].text().is_empty() {
        errors.invalid(&path.child("resourceVersion"), "", "must be specified for an update");
    }
    let generation = |metadata: &Value| metadata["generation"].as_i64().unwrap_or(0);
    if generation(new) < generation(old) {
        errors.invalid(&path.child("generation"), generation(new), "must not be decremented");
    }
    for field in ["name", "namespace", "uid"] {
        if new[field].text() != old[field].text() {
            errors.invalid(&path.child(field), new[field].text(), IMMUTABLE);
        }
    }
    for field in ["creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        errors.immutable(&path.child(field), &new[field], &old[field]);
    }
    if rules.known_finalizers {
        known_finalizers(&new["finalizers"], &path.child("finalizers"), errors);
    }
}

/// Checks a prefix of generated names: a dash at its end will have letters
/// behind it.
fn generated(rule: NameRule, prefix: &str) -> Vec<String> {
    match prefix.strip_suffix('-') {
        // Upstream puts a letter in place of the last two.
        Some(stem) if !stem.is_empty() => {
            let cut = stem.char_indices().next_back().map_or(0, |(at, _)| at);
            rule(&format!("{}a", &stem[..cut]))
        }
        _ => rule(prefix),
    }
}

/// Keys and values of labels; `labels` is an object or null.
pub fn labels(labels: &Value, path: &Path<'_>, errors: &mut Errors) {
    for (key, value) in labels.members() {
        errors.check(path, key, label_key(key));
        errors.check(path, value.text(), label_value(value.text()));
    }
}

/// Keys and the total size of annotations; `annotations` is an object or null.
pub fn annotations(annotations: &Value, path: &Path<'_>, errors: &mut Errors) {
    let mut size = 0;
    for (key, value) in annotations.members() {
        size += key.len() + value.text().len();
        let lower = if key.bytes().any(|byte| byte.is_ascii_uppercase()) {
            qualified_name(&key.to_lowercase())
        } else {
            qualified_name(key)
        };
        errors.check(path, key, lower);
    }
    if size > ANNOTATIONS_MAX {
        errors.too_long(path, ANNOTATIONS_MAX);
    }
}

/// Each owner complete, one controller at most.
pub fn owner_references(owners: &Value, path: &Path<'_>, errors: &mut Errors) {
    let mut controller: Option<String> = None;
    for (at, owner) in owners.items().iter().enumerate() {
        let here = path.index(at);
        let version = owner["apiVersion"].text();
        let parts: Vec<&str> = version.split('/').collect();
        if !version.is_empty() && (parts.len() > 2 || parts.last().is_some_and(|part| part.is_empty())) {
            let why = "must be <group>/<version> or <version>";
            errors.invalid(&here.child("apiVersion"), version, why);
        }
        for field in ["apiVersion", "kind", "name", "uid"] {
            if owner[field].text().is_empty() {
                errors.required(&here.child(field), "must not be empty");
            }
        }
        if owner["apiVersion"].text() == "v1" && owner["kind"].text() == "Event" {
            errors.invalid(&here, owner.clone(), "/v1, Kind=Event is disallowed from being an owner");
        }
        if owner["controller"].is_true() {
            let name = format!("{}/{}", owner["kind"].text(), owner["name"].text());
            match &controller {
                Some(first) => {
                    let text = format!(
                        "Only one reference can have Controller set to true. Found \"true\" in references for \
                         {first} and {name}"
                    );
                    errors.invalid(path, owners.clone(), &text);
                }
                None => controller = Some(name),
            }
        }
    }
}

fn finalizers(finalizers: &Value, path: &Path<'_>, errors: &mut Errors) {
    let mut has = (false, false);
    for finalizer in finalizers.items() {
        let name = finalizer.text();
        errors.check(path, name, qualified_name(name));
        has.0 |= name == "orphan";
        has.1 |= name == "foregroundDeletion";
    }
    if has == (true, true) {
        errors.invalid(
            path,
            finalizers.clone(),
            "finalizer orphan and foregroundDeletion cannot be both set",
        );
    }
}

fn known_finalizers(finalizers: &Value, path: &Path<'_>, errors: &mut Errors) {
    for (at, finalizer) in finalizers.items().iter().enumerate() {
        let name = finalizer.text();
        let standard = matches!(name, "kubernetes" | "orphan" | "foregroundDeletion");
        if !name.contains('/') && !standard {
            let text = "name is neither a standard finalizer name nor is it fully qualified";
            errors.invalid(&path.index(at), name, text);
        }
    }
}

fn managed_fields(entries: &Value, path: &Path<'_>, errors: &mut Errors) {
    for (at, entry) in entries.items().iter().enumerate() {
        let here = path.index(at);
        if !matches!(entry["operation"].text(), "Apply" | "Update") {
            errors.invalid(
                &here.child("operation"),
                entry["operation"].text(),
                "must be `Apply` or `Update`",
            );
        }
        let kind = entry["fieldsType"].text();
        if !kind.is_empty() && kind != "FieldsV1" {
            errors.invalid(&here.child("fieldsType"), kind, "must be `FieldsV1`");
        }
        field_manager(entry["manager"].text(), &here.child("manager"), errors);
    }
}

/// A field manager's name: printable, at most 128 bytes. Also that of the
/// query parameter `fieldManager`.
pub fn field_manager(manager: &str, path: &Path<'_>, errors: &mut Errors) {
    if manager.len() > 128 {
        errors.too_long(path, 128);
    }
    for (at, letter) in manager.chars().enumerate() {
        if letter.is_control() || (letter.is_whitespace() && letter != ' ') {
            let text = format!("invalid character U+{:04X} (at position {at})", u32::from(letter));
            errors.invalid(path, manager, &text);
        }
    }
}
