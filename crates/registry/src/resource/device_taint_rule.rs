//! DeviceTaintRule: a taint for all devices that a selector finds.

use apimachinery::field::{Errors, Path};
use apimachinery::validation::dns1123_label;
use apimachinery::{Value, time};
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

use super::date_taint;
use super::validation::{declared, pool_name, taint};
use crate::{conditions, names};

const MOST_CONDITIONS: usize = 8;

/// DeviceTaintRule.
pub struct DeviceTaintRule;

impl Strategy for DeviceTaintRule {
    fn reset_fields(&self, subresource: &str) -> &'static [&'static [&'static str]] {
        crate::changes::metadata_of_status(subresource)
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn default_times(&self, _: &str, object: &mut Value, now: Timestamp) {
        date_taint(object.entry("spec").entry("taint"), now);
    }

    /// Another effect begins now, unless the client says when.
    fn prepare_update(&self, context: &Context<'_>, object: &mut Value, old: &Value) {
        let before = &old["spec"]["taint"];
        let taint = object.entry("spec").entry("taint");
        if taint["effect"] != before["effect"] && taint["timeAdded"] == before["timeAdded"] {
            taint.set("timeAdded", time::format(context.now));
        }
    }

    fn prepare_status(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        crate::changes::keep_metadata(object, old);
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        validate(&object["spec"], None)
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        validate(&object["spec"], Some(&old["spec"]))
    }

    fn validate_status(&self, _: &Context<'_>, object: &Value, _: &Value) -> Errors {
        let mut errors = Errors::new();
        let status = Path::Root.child("status");
        let (list, place) = (&object["status"]["conditions"], status.child("conditions"));
        conditions::validate(&place, list, &mut errors);
        if list.items().len() > MOST_CONDITIONS {
            errors.too_many(&place, list.items().len(), MOST_CONDITIONS);
        }
        errors
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::cluster::taint_rule(object, now)
    }
}

fn validate(spec: &Value, old: Option<&Value>) -> Errors {
    let mut errors = Errors::new();
    let path = Path::Root.child("spec");
    let (selector, place) = (&spec["deviceSelector"], path.child("deviceSelector"));
    if let Some(driver) = selector["driver"].as_str() {
        names::driver(&place.child("driver"), driver, &mut errors);
    }
    if let Some(pool) = selector["pool"].as_str() {
        pool_name(&place.child("pool"), pool, &mut errors);
    }
    if let Some(device) = selector["device"].as_str() {
        errors.check(&place.child("device"), device, dns1123_label(device));
    }
    taint(&spec["taint"], &path.child("taint"), &mut errors);
    if old.is_none_or(|old| old["taint"] != spec["taint"]) {
        declared::effect(&spec["taint"], true, &path.child("taint"), &mut errors);
    }
    errors
}
