//! StorageVersionMigration: writes every object of a resource again, so that
//! it is stored in the newest version.

use apimachinery::field::{Errors, Path};
use apimachinery::validation::{dns1035_label, dns1123_subdomain};
use apimachinery::{Value, value};
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

use crate::conditions;

/// StorageVersionMigration.
pub struct StorageVersionMigration;

impl Strategy for StorageVersionMigration {
    fn reset_fields(&self, subresource: &str) -> &'static [&'static [&'static str]] {
        crate::changes::metadata_of_status(subresource)
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn prepare_status(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        crate::changes::keep_metadata(object, old);
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        let mut errors = Errors::new();
        let spec = Path::Root.child("spec");
        let resource = spec.child("resource");
        let (group, plural) =
            (object["spec"]["resource"]["group"].text(), object["spec"]["resource"]["resource"].text());
        let mut check = |field: &str, name: &str, wrong: Vec<String>| {
            if !wrong.is_empty() {
                errors.invalid(&resource.child(field), name, &wrong.join(","));
            }
        };
        if !plural.is_empty() {
            check("resource", plural, dns1035_label(plural));
        }
        if !group.is_empty() {
            check("group", group, dns1123_subdomain(group));
        }
        if plural.is_empty() {
            errors.required(&resource.child("resource"), "resource is required to be set");
        }
        errors
    }

    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = self.validate_create(context, object);
        let named = |object: &Value, field: &str| object["spec"]["resource"][field].text().to_owned();
        let of = |object: &Value| (named(object, "group"), named(object, "resource"));
        if of(object) != of(old) {
            let (group, resource) = of(object);
            let told = value!({"Resource": {"group": group, "resource": resource}});
            errors.invalid(&Path::Root.child("spec"), told, "field is immutable");
        }
        errors
    }

    fn validate_status(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        validate_status(object, old)
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::cluster::storage_migration(object, now)
    }
}

fn validate_status(object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    let (status, path) = (&object["status"], Path::Root.child("status"));
    let told = status["resourceVersion"].text();
    if !told.is_empty() && !is_well_formed(told) {
        let why = format!("resource version is not well formed: {told}");
        errors.invalid(&path.child("resourceVersion"), told, &why);
    }
    let place = path.child("conditions");
    conditions::validate(&place, &status["conditions"], &mut errors);
    let (new, before) = (status["resourceVersion"].text(), old["status"]["resourceVersion"].text());
    if !before.is_empty() && new != before {
        errors.invalid(&path.child("resourceVersion"), new, "field is immutable");
    }
    let is = |object: &Value, kind: &str| {
        object["status"]["conditions"]
            .items()
            .iter()
            .any(|condition| condition["type"].text() == kind && condition["status"].text() == "True")
    };
    let (succeeded, failed) = (is(object, "Succeeded"), is(object, "Failed"));
    for (wrong, why) in [
        (succeeded && failed, "Both success and failed conditions cannot be true at the same time"),
        (is(old, "Succeeded") && !succeeded, "Success condition cannot be set to false once it is true"),
        (is(old, "Failed") && !failed, "Failed condition cannot be set to false once it is true"),
    ] {
        if wrong {
            errors.invalid(&place, status["conditions"].clone(), why);
        }
    }
    errors
}

/// A positive number without leading zeros (KEP-5504).
fn is_well_formed(version: &str) -> bool {
    !version.starts_with('0') && !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn versions_are_numbers() {
        for (version, wrong) in [("7", 0), ("", 0), ("0", 1), ("07", 1), ("abc", 1), ("-7", 1)] {
            let object = value!({"status": {"resourceVersion": version}});
            assert_eq!(validate_status(&object, &Value::Null).len(), wrong, "{version}");
        }
    }

    #[test]
    fn a_migration_ends_one_way_for_ever() {
        let with = |kinds: &[&str]| {
            let condition = |kind: &&str| {
                value!({
                    "type": *kind, "status": "True", "reason": "R", "lastTransitionTime": "2026-01-01T00:00:00Z"
                })
            };
            value!({"status": {"conditions": kinds.iter().map(condition).collect::<Vec<_>>()}})
        };
        for (new, old, wrong) in [
            (&["Running"][..], &[][..], 0),
            (&["Succeeded"], &["Running"], 0),
            (&["Succeeded", "Failed"], &[], 1),
            (&["Running"], &["Failed"], 1),
            // It lets its resource go a moment later.
            (&["Succeeded", "Running"], &["Running"], 0),
            (&["Failed", "Running"], &["Running"], 0),
            (&["Running"], &["Succeeded"], 1),
        ] {
            assert_eq!(validate_status(&with(new), &with(old)).len(), wrong, "{new:?} {old:?}");
        }
    }
}
