//! Pod.

mod app_armor;
pub mod binding;
pub mod defaults;
pub mod eviction;
pub mod gated;
mod image;
mod label_keys;
mod pod_level;
pub mod requests;
pub mod validation;

use apimachinery::field::Errors;
use apimachinery::{Value, meta, value};
use apiserver::{Context, DeleteOptions, Grace, Strategy, Version};
use jiff::Timestamp;

use crate::changes::{keep, keep_in};

/// Pod.
pub struct Pod;

/// The subresource `ephemeralcontainers`: only that list changes, and only grows.
pub struct EphemeralContainers;

/// The subresource `resize`: only cpu and memory of containers change.
pub struct Resize;

impl Strategy for Pod {
    fn reset_fields(&self, subresource: &str) -> &'static [&'static [&'static str]] {
        if subresource == "status" {
            &[&["metadata", "deletionTimestamp"], &["metadata", "ownerReferences"]]
        } else {
            &[]
        }
    }

    fn default(&self, _: &str, object: &mut Value) {
        defaults::pod(object);
        share_addresses(object);
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn changes_generation(&self, object: &Value, old: &Value) -> bool {
        object["spec"] != old["spec"]
    }

    fn warnings_of_preparation(&self, object: &Value) -> Vec<String> {
        app_armor::warnings(object)
    }

    fn prepare_create(&self, context: &Context<'_>, object: &mut Value) {
        if let Some(spec) = object.get_mut("spec") {
            gated::drop_from(spec, &Value::Null);
        }
        label_keys::merge(object);
        app_armor::from_annotations(object);
        if let Some(spec) = object.get_mut("spec") {
            pod_level::complete(spec);
        }
        let now = apimachinery::time::format(context.now);
        let status = defaults::first_status(&object["spec"], &now);
        object.set("status", status);
    }

    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        keep(object, old, "status");
        if let Some(spec) = object.get_mut("spec") {
            // Who does not know the resources of pods does not mean to drop them.
            if spec["resources"].is_null() {
                keep(spec, &old["spec"], "resources");
            }
            gated::drop_from(spec, &old["spec"]);
        }
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        validation::create(object)
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        validation::update(object, old)
    }

    /// Of a new pod, and of what a node says; other changes repeat nothing.
    fn warnings(&self, context: &Context<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        match (old, context.subresource) {
            (None, _) => validation::pod_warnings(object),
            (Some(_), "status") => validation::status_warnings(object),
            (Some(_), _) => Vec::new(),
        }
    }

    fn prepare_status(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        if let Some(metadata) = object.get_mut("metadata") {
            keep(metadata, &old["metadata"], "ownerReferences");
        }
        // The class follows from the spec; a client that leaves it out does not change it.
        if object["status"]["qosClass"].text().is_empty() {
            keep_in(object, old, "status", "qosClass");
        }
        share_addresses(object);
        keep_observed_generations(object, old);
        if let Some(status) = object.get_mut("status") {
            gated::drop_from_status(status, &old["status"]);
        }
    }

    fn validate_status(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        validation::status(object, old)
    }

    /// A pod on a node ends there, within its grace; any other ends at once.
    fn grace(&self, _: &Context<'_>, object: &Value, options: &DeleteOptions) -> Grace {
        let own = object["spec"]["terminationGracePeriodSeconds"].as_i64();
        let bound = !object["spec"]["nodeName"].text().is_empty();
        let ended = matches!(object["status"]["phase"].text(), "Succeeded" | "Failed");
        match options.grace_period_seconds.or(own).unwrap_or(0) {
            _ if !bound || ended => Grace::None,
            0 => Grace::None,
            // A negative grace means one second.
            negative if negative < 0 => Grace::Seconds(1),
            seconds => Grace::Seconds(seconds),
        }
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::pod::pod(object, now)
    }

    fn row_conditions(&self, object: &Value) -> Vec<Value> {
        crate::printers::pod::conditions(object)
    }

    fn returns_deleted(&self) -> bool {
        true
    }
}

/// `podIP` is the first of `podIPs`, whichever of them a client knows.
fn share_addresses(object: &mut Value) {
    let one = object["status"]["podIP"].text().to_owned();
    let first = object["status"]["podIPs"][0]["ip"].text().to_owned();
    if one == first {
        return;
    }
    let status = object.entry("status");
    if one.is_empty() {
        status.set("podIP", first);
    } else {
        status.set("podIPs", value!([{"ip": one}]));
    }
}

impl Strategy for EphemeralContainers {
    fn default(&self, version: &str, object: &mut Value) {
        Pod.default(version, object);
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn changes_generation(&self, object: &Value, old: &Value) -> bool {
        object["spec"] != old["spec"]
    }

    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        let containers = object["spec"]["ephemeralContainers"].clone();
        keep(object, old, "spec");
        keep(object, old, "status");
        if containers.is_null() {
            object.entry("spec").remove("ephemeralContainers");
        } else {
            object.entry("spec").set("ephemeralContainers", containers);
        }
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        validation::update_ephemeral_containers(object, old)
    }
}

impl Strategy for Resize {
    fn default(&self, version: &str, object: &mut Value) {
        Pod.default(version, object);
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn changes_generation(&self, object: &Value, old: &Value) -> bool {
        object["spec"] != old["spec"]
    }

    /// Takes over resources and resize policies of containers, and the resources
    /// of the pod. Containers that are others than before are left to
    /// validation.
    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        let lists = ["containers", "initContainers"];
        let count = |pod: &Value, list: &str| pod["spec"][list].items().len();
        if lists.iter().any(|list| count(object, list) != count(old, list)) {
            return;
        }
        let mut spec = old["spec"].clone();
        for list in lists {
            let wanted = object["spec"][list].items();
            let containers = crate::changes::items(&mut spec, list);
            if containers.iter().zip(wanted).any(|(known, wanted)| known["name"] != wanted["name"]) {
                let wanted = object["spec"][list].clone();
                spec.set(list, wanted);
                continue;
            }
            for (container, wanted) in containers.iter_mut().zip(wanted) {
                for field in ["resources", "resizePolicy"] {
                    keep(container, wanted, field);
                }
            }
        }
        // Who does not know the resources of pods does not mean to drop them.
        if !object["spec"]["resources"].is_null() {
            keep(&mut spec, &object["spec"], "resources");
        }
        pod_level::complete(&mut spec);
        object.set("spec", spec);
        keep(object, old, "status");
        crate::changes::keep_metadata(object, old);
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        validation::resize(object, old)
    }
}

/// Who writes a status without generations does not take them back.
fn keep_observed_generations(object: &mut Value, old: &Value) {
    const FIELD: &str = "observedGeneration";
    let unset = |value: &Value| value[FIELD].as_i64().unwrap_or(0) == 0;
    if unset(&object["status"]) {
        keep_in(object, old, "status", FIELD);
    }
    let Some(status) = object.get_mut("status") else { return };
    let mut before: Vec<&Value> = old["status"]["conditions"].items().iter().collect();
    for condition in crate::changes::items(status, "conditions") {
        let Some(at) = before.iter().position(|known| known["type"] == condition["type"]) else { continue };
        let known = before.remove(at);
        if unset(condition) && !unset(known) {
            condition.set(FIELD, known[FIELD].clone());
        }
    }
}

/// Whether the pod waits for somebody to lift a gate.
pub fn is_gated(pod: &Value) -> bool {
    !pod["spec"]["schedulingGates"].items().is_empty()
}

/// Sets a condition of the pod, keeping its transition time where the status stays.
pub fn set_condition(pod: &mut Value, condition: Value) {
    let conditions = pod.entry("status").entry("conditions");
    match conditions {
        Value::Array(list) => match list.iter_mut().find(|known| known["type"] == condition["type"]) {
            Some(known) => *known = condition,
            None => list.push(condition),
        },
        other => *other = Value::Array(vec![condition]),
    }
}

/// The key of a pod in messages: `namespace/name`.
pub fn key(pod: &Value) -> String {
    format!("{}/{}", meta::namespace(pod), meta::name(pod))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_agree_with_the_one_that_changed() {
        for (status, one, list) in [
            (value!({"podIP": "10.0.0.1"}), "10.0.0.1", value!([{"ip": "10.0.0.1"}])),
            (
                value!({"podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]}),
                "10.0.0.1",
                value!([{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]),
            ),
            (
                value!({"podIP": "10.0.0.2", "podIPs": [{"ip": "10.0.0.1"}]}),
                "10.0.0.2",
                value!([{"ip": "10.0.0.2"}]),
            ),
        ] {
            let mut object = value!({"status": status});
            share_addresses(&mut object);
            assert_eq!(object["status"]["podIP"].text(), one);
            assert_eq!(object["status"]["podIPs"], list);
        }
        let mut none = value!({"status": {}});
        share_addresses(&mut none);
        assert_eq!(none, value!({"status": {}}));
    }

    #[test]
    fn generations_of_conditions_outlast_those_who_know_none() {
        let old = value!({"status": {"observedGeneration": 2, "conditions": [
            {"type": "A", "observedGeneration": 1}, {"type": "B"}
        ]}});
        let mut new = value!({"status": {"conditions": [{"type": "B"}, {"type": "A"}]}});
        keep_observed_generations(&mut new, &old);
        assert_eq!(new["status"]["observedGeneration"].as_i64(), Some(2));
        assert_eq!(
            new["status"]["conditions"],
            value!([{"type": "B"}, {"type": "A", "observedGeneration": 1}])
        );
    }
}
