//! What a ResourceSlice must say.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apimachinery::quantity::Quantity;
use apimachinery::validation::{dns1123_label, dns1123_subdomain};

use super::{binding, declared, each, pool_name, qualified, taint};
use crate::core::pod::validation::node_selector;
use crate::names;
use crate::rules::resources::amount;

const DEVICES_MAX: usize = 128;
/// Where devices have taints or consume counters.
const LARGE_DEVICES_MAX: usize = 64;
const ATTRIBUTES_MAX: usize = 32;
const VALUE_MAX: usize = 64;
const TAINTS_MAX: usize = 16;
const COUNTERS_MAX: usize = 32;
const OPTIONS_MAX: usize = 10;
const PER_DEVICE: &str = "is required when `perDeviceNodeSelection` is set to true in the ResourceSlice spec";

pub(crate) fn validate(spec: &Value, old: Option<&Value>) -> Errors {
    let mut errors = Errors::new();
    let path = Path::Root.child("spec");
    let driver = spec["driver"].text();
    names::driver(&path.child("driver"), driver, &mut errors);
    pool(&spec["pool"], &path.child("pool"), &mut errors);
    if let Some(old) = old {
        let name = path.child("pool");
        errors.immutable(&name.child("name"), &spec["pool"]["name"], &old["pool"]["name"]);
        for field in ["driver", "nodeName"] {
            errors.immutable(&path.child(field), &spec[field], &old[field]);
        }
    }
    nodes(spec, &path, &mut errors);
    if !spec["sharedCounters"].is_null() && !spec["devices"].is_null() {
        errors.invalid(&path, "", "only one of `sharedCounters` or `devices` is allowed");
    }
    devices(spec, old, &path.child("devices"), &mut errors);
    let sets = path.child("sharedCounters");
    each(&spec["sharedCounters"], 8, &sets, &mut errors, counters);
    if old.is_none_or(|old| old != spec) {
        declared::slice(spec, &path, &mut errors);
    }
    errors
}

fn pool(pool: &Value, path: &Path<'_>, errors: &mut Errors) {
    pool_name(&path.child("name"), pool["name"].text(), errors);
    let number = |field: &str| pool[field].as_i64().unwrap_or(0);
    if number("resourceSliceCount") <= 0 {
        let why = "must be greater than zero";
        errors.invalid(&path.child("resourceSliceCount"), number("resourceSliceCount"), why);
    }
    if number("generation") < 0 {
        let why = "must be greater than or equal to zero";
        errors.invalid(&path.child("generation"), number("generation"), why);
    }
}

/// The nodes that can use the devices are told in one way.
fn nodes(spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    let mut set: Vec<&str> = Vec::new();
    match spec["nodeName"].as_str() {
        None => {}
        Some("") => {
            errors.invalid(&path.child("nodeName"), "", "must be either unset or set to a non-empty string");
        }
        Some(name) => {
            set.push("`nodeName`");
            errors.check(&path.child("nodeName"), name, dns1123_subdomain(name));
        }
    }
    let (selector, place) = (&spec["nodeSelector"], path.child("nodeSelector"));
    if !selector.is_null() {
        set.push("`nodeSelector`");
        node_selector(&place, selector, errors);
        let terms = &selector["nodeSelectorTerms"];
        if terms.items().len() != 1 {
            let why = "must have exactly one node selector term";
            errors.invalid(&place.child("nodeSelectorTerms"), terms.clone(), why);
        }
    }
    for (field, told) in [("allNodes", "`allNodes`"), ("perDeviceNodeSelection", "`perDeviceNodeSelection`")]
    {
        match spec[field].as_bool() {
            Some(true) => set.push(told),
            Some(false) => {
                errors.invalid(&path.child(field), false, "must be either unset or set to true");
            }
            None => {}
        }
    }
    let one = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
    match set.len() {
        0 => errors.required(path, one),
        1 => {}
        _ => {
            let why = format!("{one}, but multiple fields are set");
            errors.invalid(path, format!("{{{}}}", set.join(", ")), &why);
        }
    }
}

fn devices(spec: &Value, old: Option<&Value>, path: &Path<'_>, errors: &mut Errors) {
    let list = spec["devices"].items();
    let large = |device: &Value| {
        ["taints", "consumesCounters"].iter().any(|field| !device[*field].items().is_empty())
    };
    let most = if list.iter().any(large) { LARGE_DEVICES_MAX } else { DEVICES_MAX };
    if list.len() > most {
        errors.too_many(path, list.len(), most);
        return;
    }
    for (at, item) in list.iter().enumerate() {
        let before =
            old.and_then(|old| old["devices"].items().iter().find(|device| device["name"] == item["name"]));
        device(item, before, spec["perDeviceNodeSelection"].is_true(), &path.index(at), errors);
    }
    for (at, item) in list.iter().enumerate() {
        if list[..at].iter().any(|other| other["name"] == item["name"]) {
            errors.duplicate(&path.index(at), item["name"].text());
        }
    }
}

fn device(device: &Value, old: Option<&Value>, per_device: bool, path: &Path<'_>, errors: &mut Errors) {
    let name = device["name"].text();
    errors.check(&path.child("name"), name, dns1123_label(name));
    let total = device["attributes"].members().count() + device["capacity"].members().count();
    if total > ATTRIBUTES_MAX {
        let why = format!("the total number of attributes and capacities must not exceed {ATTRIBUTES_MAX}");
        errors.invalid(path, total as i64, &why);
    }
    let attributes = path.child("attributes");
    for (name, value) in device["attributes"].members() {
        let here = attributes.key(name);
        qualified(&attributes, name, errors);
        attribute(value, &here, errors);
    }
    let capacity = path.child("capacity");
    for (name, value) in device["capacity"].members() {
        let here = capacity.key(name);
        qualified(&capacity, name, errors);
        let (policy, place) = (&value["requestPolicy"], here.child("requestPolicy"));
        if policy.is_null() {
            continue;
        }
        if device["allowMultipleAllocations"].is_true() {
            request_policy(&value["value"], policy, &place, errors);
        } else {
            errors.forbidden(&place, "allowMultipleAllocations must be true");
        }
    }
    if old.is_none_or(|old| old["taints"] != device["taints"]) {
        let (list, place) = (device["taints"].items(), path.child("taints"));
        if list.len() > TAINTS_MAX {
            errors.too_many(&place, list.len(), TAINTS_MAX);
        } else {
            for (at, item) in list.iter().enumerate() {
                taint(item, &place.index(at), errors);
            }
        }
    }
    let consumed = path.child("consumesCounters");
    each(&device["consumesCounters"], 2, &consumed, errors, |set, path, errors| {
        declared::set_name(set, "counterSet", path, errors);
        counters(set, path, errors);
    });
    device_nodes(device, per_device, path, errors);
    binding(device, path, errors);
}

fn attribute(attribute: &Value, path: &Path<'_>, errors: &mut Errors) {
    if attribute["string"].text().len() > VALUE_MAX {
        errors.too_long(&path.child("string"), VALUE_MAX);
    }
    if let Some(version) = attribute["version"].as_str() {
        let place = path.child("version");
        if !is_semver(version) {
            errors.invalid(&place, version, "must be a string compatible with semver.org spec 2.0.0");
        }
        if version.len() > VALUE_MAX {
            errors.too_long(&place, VALUE_MAX);
        }
    }
}

fn is_semver(text: &str) -> bool {
    let (rest, build) = text.split_once('+').map_or((text, None), |(rest, build)| (rest, Some(build)));
    let (core, release) = rest.split_once('-').map_or((rest, None), |(core, part)| (core, Some(part)));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let number = |part: &str| digits(part) && (part == "0" || !part.starts_with('0'));
    let word = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    core.split('.').count() == 3
        && core.split('.').all(number)
        && release
            .is_none_or(|part| part.split('.').all(|part| word(part) && (!digits(part) || number(part))))
        && build.is_none_or(|part| part.split('.').all(word))
}

fn device_nodes(device: &Value, per_device: bool, path: &Path<'_>, errors: &mut Errors) {
    if !per_device {
        if ["nodeName", "nodeSelector", "allNodes"].iter().any(|field| !device[*field].is_null()) {
            let why = "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is \
                       set to true in the ResourceSlice spec";
            errors.invalid(path, Value::Null, why);
        }
        return;
    }
    let mut set: Vec<&str> = Vec::new();
    match device["nodeName"].as_str() {
        None => {}
        Some("") => errors.invalid(&path.child("nodeName"), "", "must not be empty"),
        Some(name) => {
            set.push("`nodeName`");
            errors.check(&path.child("nodeName"), name, dns1123_subdomain(name));
        }
    }
    if !device["nodeSelector"].is_null() {
        set.push("`nodeSelector`");
        node_selector(&path.child("nodeSelector"), &device["nodeSelector"], errors);
    }
    match device["allNodes"].as_bool() {
        Some(true) => set.push("`allNodes`"),
        Some(false) => errors.invalid(&path.child("allNodes"), false, "must be either unset or set to true"),
        None => {}
    }
    let one = format!("exactly one of `nodeName`, `nodeSelector`, or `allNodes` {PER_DEVICE}");
    match set.len() {
        0 => errors.required(path, &one),
        1 => {}
        _ => errors.invalid(path, format!("{{{}}}", set.join(", ")), &one),
    }
}

/// Generated rules tell of sets without name or counters, and of their names.
fn counters(set: &Value, path: &Path<'_>, errors: &mut Errors) {
    let place = path.child("counters");
    let count = set["counters"].members().count();
    if count == 0 {
        errors.required(&place, "");
    } else if count > COUNTERS_MAX {
        errors.too_many(&place, count, COUNTERS_MAX);
    }
}

/// Which amounts of a shared capacity may be asked for.
fn request_policy(capacity: &Value, policy: &Value, path: &Path<'_>, errors: &mut Errors) {
    let (values, range) = (policy["validValues"].items(), &policy["validRange"]);
    let default = &policy["default"];
    match (values.is_empty(), range.is_null()) {
        (false, false) => {
            let why = "exactly one policy can be specified, cannot specify \"validValues\" and \"validRange\" at \
                       the same time";
            errors.forbidden(path, why);
        }
        (false, true) if default.is_null() => {
            errors.required(&path.child("default"), "required when validValues is defined");
        }
        (false, true) => valid_values(default, capacity, values, &path.child("validValues"), errors),
        (true, false) if default.is_null() => {
            errors.required(&path.child("default"), "required when validRange is defined");
        }
        (true, false) => valid_range(default, capacity, range, &path.child("validRange"), errors),
        (true, true) => {}
    }
}

fn more(one: &Value, other: &Value) -> bool {
    amount(one) > amount(other)
}

fn valid_values(default: &Value, capacity: &Value, values: &[Value], path: &Path<'_>, errors: &mut Errors) {
    for (at, pair) in values.windows(2).enumerate().filter(|(_, pair)| more(&pair[0], &pair[1])) {
        let why = "values must be sorted in ascending order";
        errors.invalid(&path.index(at + 1), pair[1].text(), why);
    }
    if values.len() > OPTIONS_MAX {
        errors.too_many(path, values.len(), OPTIONS_MAX);
    } else {
        for (at, value) in values.iter().enumerate().filter(|(_, value)| more(value, capacity)) {
            let why = format!("option is larger than capacity value: {}", capacity.text());
            errors.invalid(&path.index(at), value.text(), &why);
        }
        for (at, value) in values.iter().enumerate() {
            let whole = |value: &Value| amount(value).value();
            if values[..at].iter().any(|other| whole(other) == whole(value)) {
                errors.duplicate(&path.index(at), whole(value).to_string());
            }
        }
    }
    if values.len() > OPTIONS_MAX || !values.iter().any(|value| amount(value) == amount(default)) {
        let why = "default value is not valid according to the requestPolicy";
        errors.invalid(path, default.text(), why);
    }
}

fn valid_range(default: &Value, capacity: &Value, range: &Value, path: &Path<'_>, errors: &mut Errors) {
    let (least, most, step) = (&range["min"], &range["max"], &range["step"]);
    if least.is_null() {
        errors.required(&path.child("min"), "required when validRange is defined");
        return;
    }
    let mut tell = |field: &'static str, wrong: bool, value: &Value, why: String| {
        if wrong {
            errors.invalid(&path.child(field), value.text(), &why);
        }
    };
    let larger = |what: &str| format!("{what} is larger than capacity value: {}", capacity.text());
    tell("min", more(least, capacity), least, larger("min"));
    tell("default", more(least, default), default, format!("default is less than min: {}", least.text()));
    if !most.is_null() {
        tell("max", more(least, most), least, format!("min is larger than max: {}", most.text()));
        tell("max", more(most, capacity), most, larger("max"));
        tell("default", more(default, most), default, format!("default is more than max: {}", most.text()));
    }
    if step.is_null() {
        return;
    }
    if amount(step) <= Quantity::ZERO {
        tell("step", true, step, "must be greater than zero".into());
        return;
    }
    let whole = |value: &Value| amount(value).value();
    let first = Quantity::new(whole(least) + whole(step), amount(least).format());
    let why = format!("one step {first} is larger than capacity value: {}", capacity.text());
    tell("step", first > amount(capacity), step, why);
    let mut readable = true;
    for (field, value) in [("default", default), ("min", least), ("max", most), ("step", step)] {
        if !value.is_null() && amount(value) < Quantity::ZERO {
            tell(field, true, value, "must be greater than or equal to 0".into());
            readable = false;
        }
    }
    if !readable {
        return;
    }
    for value in [default, most].into_iter().filter(|value| !value.is_null()) {
        let odd = (whole(value) - whole(least)) % whole(step) != 0;
        let why =
            format!("value is not a multiple of a given step ({}) from ({})", step.text(), least.text());
        tell("step", odd, value, why);
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn versions_are_semantic() {
        for (text, expected) in
            [("1.2.3", true), ("1.2.3-a.1+b", true), ("1.2", false), ("01.2.3", false), ("1.2.3-01", false)]
        {
            assert_eq!(is_semver(text), expected, "{text}");
        }
    }

    #[test]
    fn slices_are_of_a_driver_and_of_nodes() {
        let spec = |extra: Value| {
            let mut spec = value!({
                "driver": "ex.com", "nodeName": "n", "pool": {"name": "p", "resourceSliceCount": 1, "generation": 1}
            });
            for (name, value) in extra.members() {
                spec.set(name.to_owned(), value.clone());
            }
            spec
        };
        for (extra, expected) in [
            (value!({"devices": [{"name": "d", "attributes": {"a": {"int": 1}}}]}), ""),
            (
                value!({"allNodes": true}),
                "spec: Invalid value: \"{`nodeName`, `allNodes`}\": exactly one of `nodeName`, `nodeSelector`, \
                 `allNodes`, `perDeviceNodeSelection` is required, but multiple fields are set",
            ),
            (value!({"devices": [{"name": "d"}, {"name": "d"}]}), "spec.devices[1]: Duplicate value: \"d\""),
        ] {
            let errors = validate(&spec(extra), None);
            assert_eq!(errors.iter().map(ToString::to_string).collect::<String>(), expected);
        }
    }

    #[test]
    fn amounts_follow_the_policy() {
        let told = |policy: Value| {
            let mut errors = Errors::new();
            request_policy(&"10Gi".into(), &policy, &Path::Root.child("p"), &mut errors);
            errors.len()
        };
        assert_eq!(told(value!({"default": "1Gi", "validValues": ["1Gi", "2Gi"]})), 0);
        assert_eq!(told(value!({"default": "3Gi", "validValues": ["1Gi", "2Gi"]})), 1);
        assert_eq!(told(value!({"default": "1Gi", "validRange": {"min": "1Gi", "step": "1Gi"}})), 0);
        assert_eq!(told(value!({"default": "1Gi", "validRange": {"min": "2Gi"}})), 1);
        assert_eq!(told(value!({"default": "1Gi", "validRange": {"min": "1Gi", "step": "0"}})), 1);
        assert_eq!(told(value!({"default": "1Gi", "validRange": {"min": "-1Gi", "step": "1Gi"}})), 1);
    }
}
