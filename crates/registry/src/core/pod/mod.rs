//! Pod.

pub mod binding;
pub mod defaults;
pub mod eviction;
mod image;
pub mod requests;
pub mod validation;

use apimachinery::field::{Errors, Path};
use apimachinery::{Value, meta, value};
use apiserver::{Context, DeleteOptions, Grace, Strategy, Version};
use jiff::Timestamp;

use crate::changes::{keep, keep_in};

/// The grace of a pod that says nothing, in seconds.
const DEFAULT_GRACE: i64 = 30;

/// Pod.
pub struct Pod;

/// The subresource `ephemeralcontainers`: only that list changes, and only grows.
pub struct EphemeralContainers;

/// The subresource `resize`: only cpu and memory of containers change.
pub struct Resize;

impl Strategy for Pod {
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

    fn prepare_create(&self, context: &Context<'_>, object: &mut Value) {
        let now = apimachinery::time::format(context.now);
        let status = defaults::first_status(&object["spec"], &now);
        object.set("status", status);
    }

    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        keep(object, old, "status");
        keep_in(object, old, "spec", "ephemeralContainers");
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        validation::create(object)
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        validation::update(object, old)
    }

    fn warnings(&self, _: &Context<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        // A change of metadata alone repeats no warning.
        if old.is_some_and(|old| old["spec"] == object["spec"]) {
            Vec::new()
        } else {
            validation::pod_warnings(object)
        }
    }

    fn prepare_status(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        // The class follows from the spec; a client that leaves it out does not change it.
        if object["status"]["qosClass"].text().is_empty() {
            keep_in(object, old, "status", "qosClass");
        }
        share_addresses(object);
    }

    fn validate_status(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = Errors::new();
        let status = Path::Root.child("status");
        let nominated = object["status"]["nominatedNodeName"].text();
        if !nominated.is_empty() {
            for why in apimachinery::validation::dns1123_subdomain(nominated) {
                errors.invalid(&status.child("nominatedNodeName"), nominated, &why);
            }
        }
        let class = &object["status"]["qosClass"];
        if !old["status"]["qosClass"].is_null() && *class != old["status"]["qosClass"] {
            errors.invalid(&status.child("qosClass"), class.clone(), "field is immutable");
        }
        errors
    }

    /// A pod on a node ends there, within its grace; any other ends at once.
    fn grace(&self, _: &Context<'_>, object: &Value, options: &DeleteOptions) -> Grace {
        let asked = options.grace_period_seconds;
        let own = object["spec"]["terminationGracePeriodSeconds"].as_i64();
        let seconds = match asked.or(own).unwrap_or(DEFAULT_GRACE) {
            // KEP: a negative grace means one second.
            negative if negative < 0 => 1,
            seconds => seconds,
        };
        let bound = !object["spec"]["nodeName"].text().is_empty();
        let ended = matches!(object["status"]["phase"].text(), "Succeeded" | "Failed");
        if seconds == 0 || !bound || ended { Grace::None } else { Grace::Seconds(seconds) }
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::pod::pod(object, now)
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
        let mut errors = Errors::new();
        let path = Path::Root.child("spec");
        let path = path.child("ephemeralContainers");
        validation::ephemeral(&object["spec"], &path, &mut errors);
        if !errors.is_empty() {
            return errors;
        }
        let now = object["spec"]["ephemeralContainers"].items();
        for before in old["spec"]["ephemeralContainers"].items() {
            let name = before["name"].text();
            match now.iter().find(|container| container["name"].text() == name) {
                None => errors.forbidden(
                    &path,
                    &format!("existing ephemeral containers {name:?} may not be removed\n"),
                ),
                Some(container) if container != before => errors.forbidden(
                    &path,
                    &format!("existing ephemeral containers {name:?} may not be changed\n"),
                ),
                Some(_) => {}
            }
        }
        errors
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

    /// Takes over resources and resize policies of containers that are there already.
    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        let mut spec = old["spec"].clone();
        for list in ["containers", "initContainers"] {
            for container in crate::changes::items(&mut spec, list) {
                let name = container["name"].text().to_owned();
                let wanted = object["spec"][list].items().iter().find(|other| other["name"].text() == name);
                for field in ["resources", "resizePolicy"] {
                    if let Some(value) = wanted.map(|wanted| &wanted[field]).filter(|value| !value.is_null())
                    {
                        container.set(field, value.clone());
                    }
                }
            }
        }
        object.set("spec", spec);
        keep(object, old, "status");
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = Errors::new();
        let spec = Path::Root.child("spec");
        let class = defaults::qos_class(&old["spec"]);
        if !only_cpu_and_memory(object, old) {
            errors.forbidden(&spec, "only cpu and memory resources are mutable");
        }
        if defaults::qos_class(&object["spec"]) != class {
            errors.invalid(&spec, class, "Pod QOS Class may not change as a result of resizing");
        }
        errors
    }
}

/// Whether nothing but cpu and memory of containers differs.
fn only_cpu_and_memory(object: &Value, old: &Value) -> bool {
    ["containers", "initContainers"].into_iter().all(|list| {
        object["spec"][list].items().iter().zip(old["spec"][list].items()).all(|(new, old)| {
            ["requests", "limits"].into_iter().all(|field| {
                let (new, old) = (&new["resources"][field], &old["resources"][field]);
                let names = new.members().chain(old.members()).map(|(name, _)| name);
                names.filter(|name| !matches!(*name, "cpu" | "memory")).all(|name| new[name] == old[name])
            })
        })
    })
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
    fn resizing_is_about_cpu_and_memory() {
        let pod = |requests: Value| value!({"spec": {"containers": [{"name": "c", "resources": {"requests": requests}}]}});
        let before = pod(value!({"cpu": "1"}));
        assert!(only_cpu_and_memory(&pod(value!({"cpu": "2", "memory": "1Gi"})), &before));
        assert!(!only_cpu_and_memory(&pod(value!({"cpu": "1", "ephemeral-storage": "1Gi"})), &before));
    }
}
