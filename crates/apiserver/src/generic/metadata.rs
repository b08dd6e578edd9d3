//! What the engine does to metadata and defaults of every kind.

use std::collections::HashMap;

use api::facts;
use apimachinery::field::{Errors, Path};
use apimachinery::status::GroupKind;
use apimachinery::{Status, Value, meta, table, time, validation};
use jiff::Timestamp;

use super::Target;
use crate::catalogue::Resource;
use crate::{Definition, Storage, Version};

/// How long ago the object was created, in the words of tables; `<unknown>`
/// without a creation time.
pub(crate) fn age(object: &Value, now: Timestamp) -> String {
    match object["metadata"]["creationTimestamp"].as_str().and_then(time::parse) {
        None => "<unknown>".to_owned(),
        Some(created) => table::human_duration(now.duration_since(created).as_secs()),
    }
}

/// Defaults of a served version: the strategy's, which depend on the object,
/// then those of the table, which find the rest.
pub(crate) fn default(resource: &Resource, version: &Version, object: &mut Value, now: Timestamp) {
    resource.strategy.default(&version.name, object);
    resource.strategy.default_times(&version.name, object, now);
    if let Some(schema) = version.schema
        && let Some(defaults) = facts::defaults(schema)
    {
        defaults.apply(facts::types(), object);
    }
}

/// Defaults of the stored version.
pub(crate) fn default_in_storage(resource: &Definition, object: &mut Value, now: Timestamp) {
    let Storage::Stored { api_version, schema, .. } = &resource.storage else { return };
    let version = api_version.rsplit('/').next().unwrap_or(api_version);
    resource.strategy.default(version, object);
    resource.strategy.default_times(version, object, now);
    if let Some(schema) = schema
        && let Some(defaults) = facts::defaults(*schema)
    {
        defaults.apply(facts::types(), object);
    }
}

/// The object's namespace becomes the request's, or is refused.
pub(crate) fn match_namespace(
    object: &mut Value,
    resource: &Resource,
    namespace: &str,
) -> Result<(), Status> {
    let own = meta::namespace(object);
    if !resource.is_namespaced() {
        if !own.is_empty()
            && let Some(metadata) = object.get_mut("metadata")
        {
            metadata.remove("namespace");
        }
        return Ok(());
    }
    if own.is_empty() {
        object.set_at(&["metadata", "namespace"], namespace);
    } else if own != namespace {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

/// What only the server sets, so that nobody comes to own it.
pub(crate) fn drop_system_fields(object: &mut Value) {
    let Some(metadata) = object.get_mut("metadata") else { return };
    for name in ["creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "uid", "selfLink"] {
        metadata.remove(name);
    }
}

/// Drops owner references that repeat others and warns of them: of what was
/// sent, or of what it became `after_mutation`.
pub(crate) fn deduplicate_owners(object: &mut Value, after_mutation: bool, warnings: &mut Vec<String>) {
    let owners = &object["metadata"]["ownerReferences"];
    if owners.items().len() < 2 {
        return;
    }
    let mut kept: Vec<&Value> = Vec::with_capacity(owners.items().len());
    let mut by_uid: HashMap<&str, Vec<&Value>> = HashMap::new();
    let mut repeated = Vec::new();
    for owner in owners.items() {
        let uid = owner["uid"].text();
        let same = by_uid.entry(uid).or_default();
        if same.contains(&owner) {
            repeated.push(uid.to_owned());
        } else {
            same.push(owner);
            kept.push(owner);
        }
    }
    if repeated.is_empty() {
        return;
    }
    let kept: Vec<Value> = kept.into_iter().cloned().collect();
    object.entry("metadata").set("ownerReferences", kept);
    let when = if after_mutation { " after mutating admission happens" } else { "" };
    warnings.push(format!(
        ".metadata.ownerReferences contains duplicate entries{when}; API server dedups owner references in 1.20+, and \
         may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {}",
        repeated.join(", ")
    ));
}

/// Whether an object is of the kind that the path names; otherwise nothing
/// else of it is checked. Built-in kinds are decoded as what they should be.
pub(crate) fn has_kind(target: &Target, object: &Value, errors: &mut Errors) -> bool {
    if !target.resource.is_custom() {
        return true;
    }
    for (name, wanted) in [("kind", &*target.resource.kind), ("apiVersion", &*target.api_version())] {
        let found = object[name].text();
        if found != wanted {
            errors.invalid(&Path::child(&Path::Root, name), found, &format!("must be {wanted}"));
        }
    }
    errors.is_empty()
}

/// The refusal of an object with these errors.
pub(crate) fn invalid(resource: &Resource, object: &Value, name: &str, errors: Errors) -> Status {
    let errors = if resource.strategy.repeats_errors() { errors } else { errors.distinct() };
    Status::invalid(kind_of(resource, object), name, &errors)
}

/// The kind that a refusal names: a custom object's own.
fn kind_of<'a>(resource: &'a Resource, object: &'a Value) -> GroupKind<'a> {
    match resource.is_custom() {
        true => GroupKind { group: &resource.group, kind: object["kind"].text() },
        false => resource.group_kind(),
    }
}

/// Object metadata of a new object.
pub(crate) fn validate_new(resource: &Resource, object: &Value, errors: &mut Errors) {
    let path = Path::child(&Path::Root, "metadata");
    validation::meta::validate(&object["metadata"], &rules(resource), &path, errors);
}

/// What holds of the metadata of every new object: names that a path can hold.
pub(crate) fn validate_any(resource: &Resource, object: &Value, errors: &mut Errors) {
    let path = Path::child(&Path::Root, "metadata");
    let rules = validation::meta::Rules {
        name: validation::path_segment_name,
        known_finalizers: false,
        ..rules(resource)
    };
    validation::meta::validate(&object["metadata"], &rules, &path, errors);
}

/// Object metadata of a changed object.
pub(crate) fn validate_changed(resource: &Resource, object: &Value, old: &Value, errors: &mut Errors) {
    let path = Path::child(&Path::Root, "metadata");
    validation::meta::validate_update(&object["metadata"], &old["metadata"], &rules(resource), &path, errors);
}

fn rules(resource: &Resource) -> validation::meta::Rules {
    validation::meta::Rules {
        namespaced: resource.is_namespaced(),
        name: resource.strategy.name_rule(),
        known_finalizers: matches!(resource.storage, Storage::Stored { schema: Some(_), .. })
            && resource.strategy.knows_finalizers(),
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn repeated_owners_are_told_by_when_they_are_seen() {
        for (mutated, told) in [(false, ""), (true, " after mutating admission happens")] {
            let owner = |name: &str, uid: &str| value!({"name": name, "uid": uid});
            let owners = vec![owner("a", "1"), owner("b", "2"), owner("a", "1"), owner("c", "1")];
            let mut object = value!({"metadata": {"ownerReferences": owners}});
            let mut warnings = Vec::new();
            deduplicate_owners(&mut object, mutated, &mut warnings);
            let kept = [owner("a", "1"), owner("b", "2"), owner("c", "1")];
            assert_eq!(object["metadata"]["ownerReferences"].items(), kept);
            let start =
                format!(".metadata.ownerReferences contains duplicate entries{told}; API server dedups");
            assert!(warnings[0].starts_with(&start) && warnings[0].ends_with("observed: 1"), "{warnings:?}");
        }
    }
}
