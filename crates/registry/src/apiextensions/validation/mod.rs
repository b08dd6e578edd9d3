//! Whether a definition can be taken, in the words and order of
//! kube-apiserver.

use std::collections::HashSet;

mod conversion;
mod schema;

use apimachinery::Value;
use apimachinery::field::{Errors, Path, quote};
use apimachinery::meta;
use apimachinery::structural::{self, Kind, Part as Step};
use apimachinery::validation::{dns1035_label, dns1123_subdomain};

use super::internal::{self, Spec};

pub(super) const APPROVAL: &str = "api-approved.kubernetes.io";
const COLUMN_TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS: [&str; 8] =
    ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];
/// The most selectable fields of a version.
const MOST_FIELDS: usize = 8;

/// Checks a new definition.
pub(super) fn validate_create(object: &Value) -> Errors {
    let mut errors = Errors::new();
    let plural = object["spec"]["names"]["plural"].text();
    let wanted = format!("{plural}.{}", object["spec"]["group"].text());
    let path = Path::child(&Path::Root, "metadata");
    for name in ["generateName", "name"] {
        let text = object["metadata"][name].text();
        if !text.is_empty() && text != wanted {
            errors.invalid(&path.child(name), text, "must be spec.names.plural+\".\"+spec.group");
        }
    }
    spec(&object["spec"], None, &mut errors);
    status(object, &mut errors);
    stored_versions(object, &mut errors);
    approval(object, None, &mut errors);
    unknown_fields(object, None, &mut errors);
    errors
}

/// Checks a changed definition.
pub(super) fn validate_update(object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    spec(&object["spec"], Some(old), &mut errors);
    let path = Path::child(&Path::Root, "spec");
    let (new_spec, old_spec) = (&object["spec"], &old["spec"]);
    let names = path.child("names");
    if crate::conditions::is_true(old, "Established") {
        errors.immutable(&path.child("scope"), &new_spec["scope"], &old_spec["scope"]);
        errors.immutable(&names.child("kind"), &new_spec["names"]["kind"], &old_spec["names"]["kind"]);
    }
    errors.immutable(&path.child("group"), &new_spec["group"], &old_spec["group"]);
    errors.immutable(&names.child("plural"), &new_spec["names"]["plural"], &old_spec["names"]["plural"]);
    status(object, &mut errors);
    stored_versions(object, &mut errors);
    approval(object, Some(old), &mut errors);
    unknown_fields(object, Some(old), &mut errors);
    errors
}

/// Checks a changed status.
pub(super) fn validate_status(object: &Value) -> Errors {
    let mut errors = Errors::new();
    status(object, &mut errors);
    errors
}

fn spec(source: &Value, old: Option<&Value>, errors: &mut Errors) {
    let path = Path::child(&Path::Root, "spec");
    let spec = Spec::of(source);
    let group = source["group"].text();
    let wrong = dns1123_subdomain(group);
    if group.is_empty() {
        errors.required(&path.child("group"), "");
    } else if !wrong.is_empty() {
        errors.invalid(&path.child("group"), group, &wrong.join(","));
    } else if !group.contains('.') {
        errors.invalid(&path.child("group"), group, "should be a domain with at least one dot");
    }
    match source["scope"].text() {
        "" => errors.required(&path.child("scope"), ""),
        scope => errors.one_of(&path.child("scope"), scope, &["Cluster", "Namespaced"]),
    }
    versions(&spec, old, &path, errors);
    names(&source["names"], true, &path.child("names"), errors);

    let is_first_unchanged =
        source["versions"].items().first().is_some_and(|version| is_unchanged(version, old));
    let any_status = source["versions"].items().iter().any(|version| has_status(&version["subresources"]));
    schema::validate(
        spec.validation.top(),
        any_status,
        is_first_unchanged,
        &path.child("validation"),
        errors,
    );
    subresources(spec.subresources.top(), &path.child("subresources"), errors);
    columns(spec.columns.top(), &path.child("additionalPrinterColumns"), errors);
    selectable_fields(spec.fields.top(), spec.validation.top(), &path, errors);
    conversion::validate(source, old, &path.child("conversion"), errors);
}

fn has_status(subresources: &Value) -> bool {
    !subresources["status"].is_null()
}

/// Whether an update leaves a version's schema as it was.
fn is_unchanged(version: &Value, old: Option<&Value>) -> bool {
    let mut before = old.map(|old| old["spec"]["versions"].items()).unwrap_or_default().iter();
    before.any(|old| old["name"] == version["name"] && old["schema"] == version["schema"])
}

fn versions(spec: &Spec<'_>, old: Option<&Value>, path: &Path<'_>, errors: &mut Errors) {
    let versions = spec.source["versions"].items();
    let place = path.child("versions");
    if spec.validation.top()["openAPIV3Schema"].is_null() {
        for (at, version) in versions.iter().enumerate() {
            if version["schema"]["openAPIV3Schema"].is_null() {
                errors.required(&place.index(at).child("schema").child("openAPIV3Schema"), "");
            }
        }
    }
    let mut seen: HashSet<&str> = HashSet::new();
    let mut stored = 0;
    let mut unique = true;
    for (at, version) in versions.iter().enumerate() {
        let here = place.index(at);
        let name = version["name"].text();
        stored += usize::from(version["storage"].is_true());
        unique &= !seen.contains(&name);
        seen.insert(name);
        let wrong = dns1035_label(name);
        if !wrong.is_empty() {
            errors.invalid(&here.child("name"), name, &wrong.join(","));
        }
        deprecation(version, &here.child("deprecationWarning"), errors);
        let schema = spec.validation.of_version(version);
        let with_status = has_status(&version["subresources"]);
        schema::validate(schema, with_status, is_unchanged(version, old), &here.child("schema"), errors);
        subresources(spec.subresources.of_version(version), &here.child("subresources"), errors);
        columns(spec.columns.of_version(version), &here.child("additionalPrinterColumns"), errors);
        selectable_fields(spec.fields.of_version(version), schema, &here, errors);
    }
    if !unique {
        errors.invalid(&place, spec.versions(), "must contain unique version names");
    }
    if stored != 1 {
        errors.invalid(&place, spec.versions(), "must have exactly one version marked as storage version");
    }
    let first = versions.first().map_or("", |version| version["name"].text());
    let wrong = dns1035_label(first);
    if !first.is_empty() && !wrong.is_empty() {
        errors.invalid(&path.child("version"), first, &wrong.join(","));
    }
}

fn deprecation(version: &Value, path: &Path<'_>, errors: &mut Errors) {
    let Some(text) = version["deprecationWarning"].as_str() else { return };
    let mut refuse = |why: &str| errors.invalid(path, text, why);
    if !version["deprecated"].is_true() {
        return refuse("can only be set for deprecated versions");
    }
    if text.len() > 256 {
        refuse("must be <= 256 characters long");
    }
    if text.is_empty() {
        refuse("must not be an empty string");
    }
    if let Some((at, _)) = text.char_indices().find(|(_, letter)| letter.is_control()) {
        refuse(&format!(
            "must only contain printable UTF-8 characters; non-printable character found at index {at}"
        ));
    }
}

/// Names of the spec, all of which are needed, or of the status.
fn names(names: &Value, needed: bool, path: &Path<'_>, errors: &mut Errors) {
    const MIXED: &str = "may have mixed case, but should otherwise match: ";
    let text = |name: &str| names[name].text();
    if needed {
        for name in ["plural", "singular", "kind", "listKind"] {
            if text(name).is_empty() {
                errors.required(&path.child(name), "");
            }
        }
    }
    for name in ["plural", "singular"] {
        let wrong = dns1035_label(text(name));
        if !text(name).is_empty() && !wrong.is_empty() {
            errors.invalid(&path.child(name), text(name), &wrong.join(","));
        }
    }
    for name in ["kind", "listKind"] {
        let wrong = dns1035_label(&text(name).to_lowercase());
        if !text(name).is_empty() && !wrong.is_empty() {
            errors.invalid(&path.child(name), text(name), &format!("{MIXED}{}", wrong.join(",")));
        }
    }
    let labels = |name: &'static str, errors: &mut Errors| {
        let list = path.child(name);
        for (at, label) in names[name].items().iter().enumerate() {
            let wrong = dns1035_label(label.text());
            if !wrong.is_empty() {
                errors.invalid(&list.index(at), label.text(), &wrong.join(","));
            }
        }
    };
    labels("shortNames", errors);
    if !text("kind").is_empty() && text("kind") == text("listKind") {
        errors.invalid(&path.child("listKind"), text("listKind"), "kind and listKind may not be the same");
    }
    labels("categories", errors);
}

fn subresources(subresources: &Value, path: &Path<'_>, errors: &mut Errors) {
    let scale = &subresources["scale"];
    if scale.is_null() {
        return;
    }
    let rules: [(&str, &[&str], &str, bool); 3] = [
        ("specReplicasPath", &[".spec."], "should be a json path under .spec", true),
        ("statusReplicasPath", &[".status."], "should be a json path under .status", true),
        (
            "labelSelectorPath",
            &[".spec.", ".status."],
            "should be a json path under either .spec or .status",
            false,
        ),
    ];
    let path = path.child("scale");
    for (name, prefixes, why, needed) in rules {
        let text = scale[name].text();
        let here = path.child(name);
        if text.is_empty() {
            if needed {
                errors.required(&here, "");
            }
        } else if !text.starts_with('.') {
            errors.invalid(&here, text, "must be a simple json path starting with .");
        } else if !prefixes.iter().any(|prefix| text.starts_with(prefix)) {
            errors.invalid(&here, text, why);
        }
    }
}

fn columns(columns: &Value, path: &Path<'_>, errors: &mut Errors) {
    for (at, column) in columns.items().iter().enumerate() {
        let here = path.index(at);
        if column["name"].text().is_empty() {
            errors.required(&here.child("name"), "");
        }
        let types = format!("must be one of {}", COLUMN_TYPES.join(","));
        match column["type"].text() {
            "" => errors.required(&here.child("type"), &types),
            kind if !COLUMN_TYPES.contains(&kind) => errors.invalid(&here.child("type"), kind, &types),
            _ => {}
        }
        let format = column["format"].text();
        if !format.is_empty() && !COLUMN_FORMATS.contains(&format) {
            let why = format!("must be one of {}", COLUMN_FORMATS.join(","));
            errors.invalid(&here.child("format"), format, &why);
        }
        match column["jsonPath"].text() {
            "" => errors.required(&here.child("JSONPath"), ""),
            text if !text.starts_with('.') => {
                errors.invalid(&here.child("JSONPath"), text, "must be a simple json path starting with .");
            }
            _ => {}
        }
    }
}

/// `parent` is the version's path or that of the spec.
fn selectable_fields(fields: &Value, schema: &Value, parent: &Path<'_>, errors: &mut Errors) {
    if fields.items().is_empty() {
        return;
    }
    let path = parent.child("selectableFields");
    let is_version = matches!(parent, Path::Index(..));
    if schema.is_null() || (is_version && schema["openAPIV3Schema"].is_null()) {
        // Of a version upstream says the opposite of what it means.
        let why = match is_version {
            true => "may only be set when `version.schema.openAPIV3Schema` is not included",
            false => "may only be set when validations.schema is included",
        };
        errors.invalid(&path, "", why);
        return;
    }
    let schema = structural::load(&schema["openAPIV3Schema"]);
    let mut seen: Vec<Vec<Step>> = Vec::new();
    for (at, field) in fields.items().iter().enumerate() {
        let item = path.index(at);
        let here = item.child("jsonPath");
        let text = field["jsonPath"].text();
        if text.is_empty() {
            errors.required(&here, "");
            continue;
        }
        let (steps, target) = match structural::field_path(text, &schema, false) {
            Ok(found) => found,
            Err(why) => {
                errors.invalid(&here, text, &format!("is an invalid path: {why}"));
                continue;
            }
        };
        if steps.first() == Some(&Step::Name("metadata".into())) {
            errors.invalid(&here, text, "must not point to fields in metadata");
        }
        if !matches!(target.kind, Kind::String | Kind::Boolean | Kind::Integer) {
            errors.invalid(
                &here,
                text,
                "must point to a field of type string, boolean or integer. Enum string fields and strings with \
                 formats are allowed.",
            );
        }
        if seen.contains(&steps) {
            errors.duplicate(&here, text);
        } else {
            seen.push(steps);
        }
    }
    if seen.len() > MOST_FIELDS {
        errors.too_many(&path, seen.len(), MOST_FIELDS);
    }
}

fn status(object: &Value, errors: &mut Errors) {
    let path = Path::child(&Path::Root, "status");
    names(&object["status"]["acceptedNames"], false, &path.child("acceptedNames"), errors);
}

fn stored_versions(object: &Value, errors: &mut Errors) {
    let status = Path::child(&Path::Root, "status");
    let path = status.child("storedVersions");
    let stored = &object["status"]["storedVersions"];
    if stored.items().is_empty() {
        errors.invalid(&path, stored.clone(), "must have at least one stored version");
        return;
    }
    let versions = object["spec"]["versions"].items();
    let mut names = HashSet::new();
    for version in versions {
        // A version that comes twice is stored once.
        let again = !names.insert(version["name"].text());
        if version["storage"].is_true() && (again || !stored.items().contains(&version["name"])) {
            let why = format!("must have the storage version {}", version["name"].text());
            errors.invalid(&path, stored.clone(), &why);
        }
    }
    for (at, name) in stored.items().iter().enumerate() {
        if !names.contains(name.text()) {
            let name = name.text();
            let why = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in \
                 spec.versions until a storage migration ensures no data remains persisted in {name} and removes \
                 {name} from status.storedVersions"
            );
            errors.invalid(&path.index(at), name, &why);
        }
    }
}

/// How far a definition in a group of the community is approved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Approval {
    Missing,
    Bypassed,
    Approved,
    Invalid,
}

/// The groups that only the community defines.
pub(super) fn is_protected(group: &str) -> bool {
    ["k8s.io", "kubernetes.io"].iter().any(|domain| {
        group == *domain || group.strip_suffix(domain).is_some_and(|prefix| prefix.ends_with('.'))
    })
}

/// What the annotation says, with upstream's words.
pub(super) fn approval_of(object: &Value) -> (Approval, String) {
    let text = meta::annotation(object, APPROVAL).unwrap_or("");
    if text.is_empty() {
        let why = format!(
            "protected groups must have approval annotation {}, see \
             https://github.com/kubernetes/enhancements/pull/1111",
            quote(APPROVAL)
        );
        return (Approval::Missing, why);
    }
    if text.starts_with("unapproved") {
        return (Approval::Bypassed, format!("not approved: {}", quote(text)));
    }
    let is_url = text.split_once("://").is_some_and(|(scheme, rest)| {
        !scheme.is_empty()
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && !rest.split('/').next().unwrap_or("").is_empty()
    });
    if is_url {
        return (Approval::Approved, format!("approved in {text}"));
    }
    let why = format!(
        "protected groups must have approval annotation {} with either a URL or a reason starting with \
         \"unapproved\", see https://github.com/kubernetes/enhancements/pull/1111",
        quote(APPROVAL)
    );
    (Approval::Invalid, why)
}

fn approval(object: &Value, old: Option<&Value>, errors: &mut Errors) {
    if !is_protected(object["spec"]["group"].text()) {
        return;
    }
    let (state, why) = approval_of(object);
    if old.is_some_and(|old| approval_of(old).0 == state) {
        return;
    }
    let metadata = Path::child(&Path::Root, "metadata");
    let annotations = metadata.child("annotations");
    let path = annotations.key(APPROVAL);
    match state {
        Approval::Missing => errors.required(&path, &why),
        Approval::Invalid => errors.invalid(&path, meta::annotation(object, APPROVAL).unwrap_or(""), &why),
        Approval::Approved | Approval::Bypassed => {}
    }
}

fn unknown_fields(object: &Value, old: Option<&Value>, errors: &mut Errors) {
    let keeps = |object: &Value| object["spec"]["preserveUnknownFields"].is_true();
    if keeps(object) && !old.is_some_and(keeps) {
        let path = Path::child(&Path::Root, "spec");
        errors.invalid(
            &path.child("preserveUnknownFields"),
            true,
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead",
        );
    }
}

/// A schema's root that holds more than the status subresource can be taken
/// out of.
fn status_root(schema: &Value, path: &Path<'_>, errors: &mut Errors) {
    let kind = schema["type"].text();
    if !kind.is_empty() && kind != "object" {
        errors.invalid(
            &path.child("type"),
            kind,
            "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled",
        );
    } else if internal::forbidden_at_root(schema) {
        let why = format!(
            "only [{}] fields are allowed at the root of the schema if the status subresource is enabled",
            internal::ALLOWED_AT_ROOT.join(" ")
        );
        errors.invalid(path, internal::json_schema(schema), &why);
    }
}

#[cfg(test)]
mod tests;
