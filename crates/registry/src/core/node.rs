//! Node.

use std::collections::HashSet;

use apimachinery::field::{Errors, Path, quote};
use apimachinery::{Value, validation, value};
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

use crate::changes::keep_in;
use crate::rules::addresses::{one_of_each_family, valid_cidr, warn_of_cidr};
use crate::rules::{internal, resources};

const TAINTS: &str = "scheduler.alpha.kubernetes.io/taints";
const AVOIDED: &str = "scheduler.alpha.kubernetes.io/preferAvoidPods";

/// The longest name of a declared feature, in bytes.
const LONGEST_FEATURE: usize = 253;

/// Node.
pub struct Node;

impl Strategy for Node {
    /// Kubelets register with their capacity.
    fn keeps_sent_status(&self) -> bool {
        true
    }

    /// `podCIDR` is the first of `podCIDRs`; what is not reserved can be allocated.
    fn default(&self, _: &str, object: &mut Value) {
        let spec = object.entry("spec");
        let first = spec["podCIDRs"][0].text().to_owned();
        match (spec["podCIDR"].text().to_owned(), first) {
            (one, list) if !one.is_empty() && list != one => spec.set("podCIDRs", value!([one])),
            (one, list) if one.is_empty() && !list.is_empty() => spec.set("podCIDR", list),
            _ => {}
        }
        if object["status"]["allocatable"].is_null() && !object["status"]["capacity"].is_null() {
            let capacity = object["status"]["capacity"].clone();
            object.entry("status").set("allocatable", capacity);
        }
    }

    fn prepare_create(&self, _: &Context<'_>, object: &mut Value) {
        drop_disabled(object, &Value::Null);
    }

    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        drop_disabled(object, old);
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        let mut errors = Errors::new();
        validate_annotations(&object["metadata"]["annotations"], &mut errors);
        // Upstream names the path of an annotation that taints once were.
        let taints = Path::Root.child("metadata");
        validate_taints(&object["spec"]["taints"], &taints.child("taints"), &mut errors);
        validate_resources(object, &mut errors);
        let capacity = &object["status"]["nodeInfo"]["swap"]["capacity"];
        if let Some(bytes) = capacity.as_i64().filter(|bytes| *bytes <= 0) {
            // Upstream names the path of the metadata.
            let place = Path::Root.child("metadata.nodeSwapStatus");
            errors.invalid(&place.child("capacity"), bytes, "must be greater than zero");
        }
        validate_features(&object["status"]["declaredFeatures"], &mut errors);
        validate_ranges(&object["spec"]["podCIDRs"], &mut errors);
        errors
    }

    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = self.validate_create(context, object);
        validate_change(object, old, &mut errors);
        errors
    }

    fn validate_status(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = Errors::new();
        validate_annotations(&object["metadata"]["annotations"], &mut errors);
        validate_resources(object, &mut errors);
        validate_features(&object["status"]["declaredFeatures"], &mut errors);
        validate_change(object, old, &mut errors);
        errors
    }

    fn warnings(&self, context: &Context<'_>, object: &Value, _: Option<&Value>) -> Vec<String> {
        let mut warnings = Vec::new();
        if !context.subresource.is_empty() {
            return warnings;
        }
        let spec = Path::Root.child("spec");
        if !object["spec"]["externalID"].text().is_empty() {
            warnings
                .push("spec.externalID: this field is deprecated, and is unused by Kubernetes".to_owned());
        }
        let ranges = spec.child("podCIDRs");
        for (at, range) in object["spec"]["podCIDRs"].items().iter().enumerate() {
            warn_of_cidr(&ranges.index(at), range.text(), &mut warnings);
        }
        warnings
    }

    /// A kubelet's status does not touch the spec; its addresses and capacity are its own.
    fn prepare_status(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        keep_in(object, old, "metadata", "generation");
        if old["status"]["config"].is_null() {
            object.entry("status").remove("config");
        }
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::node::node(object, now)
    }
}

/// Kubelets take no configuration from the API, and priorities of preemption are a feature that is off.
fn drop_disabled(object: &mut Value, old: &Value) {
    let Some(spec) = object.get_mut("spec") else { return };
    for field in ["configSource", "podPreemptionPolicy"] {
        if old["spec"][field].is_null() {
            spec.remove(field);
        }
    }
}

fn validate_resources(object: &Value, errors: &mut Errors) {
    let status = Path::Root.child("status");
    for list in ["capacity", "allocatable"] {
        let field = status.child(list);
        for (name, amount) in object["status"][list].members() {
            resources::value(&field.child(name), name, amount, errors);
        }
    }
}

fn validate_ranges(ranges: &Value, errors: &mut Errors) {
    let spec = Path::Root.child("spec");
    let field = spec.child("podCIDRs");
    let texts: Vec<&str> = ranges.items().iter().map(Value::text).collect();
    for (at, text) in texts.iter().enumerate() {
        valid_cidr(&field.index(at), text, &[], errors);
    }
    let family =
        |text: &str| validation::parse_cidr_sloppy(text).map(|(address, _)| address.to_canonical().is_ipv4());
    let families: Vec<Option<bool>> = texts.iter().map(|text| family(text)).collect();
    let unreadable = |at: usize| {
        format!(
            "invalid PodCIDRs. failed to check with dual stack with error:invalid CIDR[{at}]: <nil> (invalid CIDR \
             address: {})",
            texts[at]
        )
    };
    one_of_each_family(&field, ranges, &families, unreadable, "CIDR", errors);
}

/// Features that a node declares (KEP-5328): sorted names, each once.
fn validate_features(features: &Value, errors: &mut Errors) {
    let status = Path::Root.child("status");
    let list = status.child("declaredFeatures");
    let names: Vec<&str> = features.items().iter().map(Value::text).collect();
    for (at, name) in names.iter().enumerate() {
        if name.len() > LONGEST_FEATURE {
            let why = format!(
                "invalid feature name {}: must be no more than {LONGEST_FEATURE} characters",
                quote(name)
            );
            errors.invalid(&list.index(at), *name, &why);
        } else if !is_feature(name) {
            let why = format!(
                "invalid feature name {}: must start with an UpperCamelCase segment, with subsequent segments \
                 separated by '/' (e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric \
                 characters and slashes",
                quote(name)
            );
            errors.invalid(&list.index(at), *name, &why);
        }
        match names.get(at + 1) {
            Some(next) if next == name => errors.duplicate(&list.index(at + 1), *next),
            Some(next) if next < name => {
                errors.invalid(&list.index(at + 1), *next, "list must be sorted alphabetically");
            }
            _ => {}
        }
    }
}

/// `MyFeature` or `MyFeature/mySubFeature`.
fn is_feature(name: &str) -> bool {
    let part = |part: &str| {
        part.starts_with(|letter: char| letter.is_ascii_alphabetic())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    name.starts_with(|letter: char| letter.is_ascii_uppercase()) && name.split('/').all(part)
}

fn validate_change(object: &Value, old: &Value, errors: &mut Errors) {
    let (spec, status) = (Path::Root.child("spec"), Path::Root.child("status"));
    let (addresses, field) = (object["status"]["addresses"].items(), status.child("addresses"));
    let mut seen = HashSet::new();
    for (at, address) in addresses.iter().enumerate() {
        if !seen.insert((address["type"].text(), address["address"].text())) {
            errors.duplicate(&field.index(at), internal::of("NodeAddress", address));
        }
    }
    let (ranges, before) = (object["spec"]["podCIDRs"].items(), old["spec"]["podCIDRs"].items());
    if !before.is_empty() && ranges != before {
        let why = "node updates may not change podCIDR except from \"\" to valid";
        errors.forbidden(&spec.child("podCIDRs"), why);
    }
    if object["spec"]["externalID"].text() != old["spec"]["externalID"].text() {
        errors.forbidden(&spec.child("externalID"), "may not be updated");
    }
    let (provider, before) = (&object["spec"]["providerID"], old["spec"]["providerID"].text());
    if !before.is_empty() && provider.text() != before {
        let done = if provider.text().is_empty() { "cleared" } else { "modified" };
        let why = format!("field cannot be {done} once set");
        errors.invalid(&spec.child("providerID"), Value::Null, &why);
    }
}

/// Taints, and pods that the node would rather not have, in their old places.
fn validate_annotations(annotations: &Value, errors: &mut Errors) {
    let metadata = Path::Root.child("metadata");
    let path = metadata.child("annotations");
    match parsed(annotations[TAINTS].text()) {
        Err(why) => errors.invalid(&path, TAINTS, &why),
        Ok(taints) => validate_taints(&taints, &path.child(TAINTS), errors),
    }
    let avoided = match parsed(annotations[AVOIDED].text()) {
        Err(why) => return errors.invalid(&path.child("AvoidPods"), AVOIDED, &why),
        Ok(avoided) => avoided,
    };
    let list = path.child(AVOIDED);
    for (at, entry) in avoided["preferAvoidPods"].items().iter().enumerate() {
        let entry_path = list.index(at);
        let (signature, controller) =
            (entry_path.child("PodSignature"), &entry["podSignature"]["podController"]);
        if controller.is_null() {
            errors.required(&signature, "");
        } else if !controller["controller"].is_true() {
            let place = signature.child("PodController");
            errors.invalid(&place.child("Controller"), false, "must point to a controller");
        }
    }
}

/// An annotation's JSON; null where there is none.
fn parsed(text: &str) -> Result<Value, String> {
    if text.is_empty() {
        return Ok(Value::Null);
    }
    apimachinery::json::parse(text.as_bytes()).map_err(|error| error.to_string())
}

fn validate_taints(taints: &Value, path: &Path<'_>, errors: &mut Errors) {
    let mut seen = HashSet::new();
    for (at, taint) in taints.items().iter().enumerate() {
        let path = path.index(at);
        let (key, effect) = (taint["key"].text(), taint["effect"].text());
        for why in validation::qualified_name(key) {
            errors.invalid(&path.child("key"), key, &why);
        }
        for why in validation::label_value(taint["value"].text()) {
            errors.invalid(&path.child("value"), taint["value"].text(), &why);
        }
        let effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
        if effect.is_empty() {
            errors.required(&path.child("effect"), "");
        } else if !effects.contains(&effect) {
            errors.not_supported(&path.child("effect"), effect, &effects);
        }
        if !seen.insert((key, effect)) {
            let told = internal::of("Taint", taint);
            errors.duplicate_because(&path, told, "taints must be unique by key and effect pair");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_fields_for_ranges_agree() {
        for (spec, expected) in [
            (
                value!({"podCIDR": "10.0.0.0/24"}),
                value!({"podCIDR": "10.0.0.0/24", "podCIDRs": ["10.0.0.0/24"]}),
            ),
            (
                value!({"podCIDRs": ["10.0.0.0/24"]}),
                value!({"podCIDR": "10.0.0.0/24", "podCIDRs": ["10.0.0.0/24"]}),
            ),
            (value!({}), value!({})),
        ] {
            let mut object = value!({"spec": spec});
            Node.default("v1", &mut object);
            assert_eq!(object["spec"], expected);
        }
    }

    #[test]
    fn all_capacity_can_be_allocated_unless_said_otherwise() {
        let mut object = value!({"status": {"capacity": {"cpu": "4"}}});
        Node.default("v1", &mut object);
        assert_eq!(object["status"]["allocatable"], value!({"cpu": "4"}));
    }

    #[test]
    fn taints_are_unique_by_key_and_effect() {
        let taint = |effect: &str| value!({"key": "k", "effect": effect});
        let mut errors = Errors::new();
        validate_taints(
            &vec![taint("NoSchedule"), taint("NoExecute"), taint("NoSchedule")].into(),
            &Path::Root.child("metadata").child("taints"),
            &mut errors,
        );
        assert_eq!(errors.len(), 1);
        assert!(errors.to_string().starts_with("metadata.taints[2]: Duplicate value: "), "{errors}");
    }

    #[test]
    fn old_annotations_are_read() {
        let avoid = |controller: Value| {
            let entry = value!({"podSignature": {"podController": controller}});
            apimachinery::json::to_string(&value!({"preferAvoidPods": [entry]}))
        };
        let place = "metadata.annotations.scheduler.alpha.kubernetes.io/preferAvoidPods[0].PodSignature";
        for (annotation, text, expected) in [
            (AVOIDED, avoid(value!({"controller": true})), String::new()),
            (
                AVOIDED,
                avoid(value!({"controller": false})),
                format!("{place}.PodController.Controller: Invalid value: false: must point to a controller"),
            ),
            (AVOIDED, avoid(Value::Null), format!("{place}: Required value")),
            (
                AVOIDED,
                "{".to_owned(),
                format!(
                    "metadata.annotations.AvoidPods: Invalid value: \"{AVOIDED}\": unexpected end of JSON input"
                ),
            ),
            (TAINTS, r#"[{"key":"k","effect":"NoSchedule"}]"#.to_owned(), String::new()),
            (
                TAINTS,
                r#"[{"key":"k"}]"#.to_owned(),
                format!("metadata.annotations.{TAINTS}[0].effect: Required value"),
            ),
        ] {
            let mut annotations = Value::object();
            annotations.set(annotation, text.as_str());
            let mut errors = Errors::new();
            validate_annotations(&annotations, &mut errors);
            assert_eq!(errors.iter().map(ToString::to_string).collect::<String>(), expected, "{text}");
        }
    }

    #[test]
    fn a_node_has_one_range_of_each_family() {
        for (ranges, count) in [
            (value!(["10.0.0.0/24"]), 0),
            (value!(["10.0.0.0/24", "fd00::/64"]), 0),
            (value!(["10.0.0.0/24", "10.0.1.0/24"]), 1),
            (value!(["x"]), 1),
            (value!(["x", "10.0.0.0/24"]), 3),
        ] {
            let mut errors = Errors::new();
            validate_ranges(&ranges, &mut errors);
            assert_eq!(errors.len(), count, "{errors}");
        }
    }

    #[test]
    fn what_a_node_is_stays() {
        let old = value!({"spec": {"podCIDRs": ["10.0.0.0/24"], "providerID": "a"}});
        let mut errors = Errors::new();
        let address = value!({"type": "InternalIP", "address": "1.1.1.1"});
        let new = value!({
            "spec": {"podCIDRs": ["10.0.1.0/24"], "providerID": "b", "externalID": "x"},
            "status": {"addresses": vec![address.clone(), address]}
        });
        validate_change(&new, &old, &mut errors);
        let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["status.addresses[1]", "spec.podCIDRs", "spec.externalID", "spec.providerID"]);
    }
}
