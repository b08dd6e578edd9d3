//! DeviceClass.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apimachinery::validation::{dns1123_subdomain, in_bytes};
use apiserver::{Context, NameRule, Strategy, Version};
use jiff::Timestamp;

use super::validation::{LISTS_MAX, configuration, declared, selectors};

/// DeviceClass.
pub struct DeviceClass;

impl Strategy for DeviceClass {
    fn has_generation(&self) -> bool {
        true
    }

    /// A generated rule says how classes are called, and its errors come last.
    fn name_rule(&self) -> NameRule {
        |_| Vec::new()
    }

    fn validate_create(&self, context: &Context<'_>, object: &Value) -> Errors {
        let mut errors = written(&object["spec"], &Value::Null);
        let metadata = Path::Root.child("metadata");
        if !context.name.is_empty() {
            let place = metadata.child("name");
            errors.check(&place, context.name, in_bytes(dns1123_subdomain(context.name)));
        }
        generated(&object["spec"], &mut errors);
        errors
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = written(&object["spec"], &old["spec"]);
        if object["spec"] != old["spec"] {
            generated(&object["spec"], &mut errors);
        }
        errors
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::config::name_and_age(object, now)
    }
}

fn written(spec: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    let path = Path::Root.child("spec");
    let are_stored = spec["selectors"] == old["selectors"];
    selectors(&spec["selectors"], are_stored, &path.child("selectors"), &mut errors);
    let list = path.child("config");
    let configs = spec["config"].items();
    if configs.len() <= LISTS_MAX {
        for (at, each) in configs.iter().enumerate() {
            configuration(each, &list.index(at), &mut errors);
        }
    }
    errors
}

fn generated(spec: &Value, errors: &mut Errors) {
    let path = Path::Root.child("spec");
    declared::list(&spec["selectors"], LISTS_MAX, &path.child("selectors"), errors);
    let list = path.child("config");
    if declared::list(&spec["config"], LISTS_MAX, &list, errors) {
        for (at, each) in spec["config"].items().iter().enumerate() {
            declared::configuration(each, &list.index(at), errors);
        }
    }
    if let Some(name) = spec["extendedResourceName"].as_str() {
        declared::extended_name(&path.child("extendedResourceName"), name, errors);
    }
}
