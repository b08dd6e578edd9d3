//! Validation of the kinds of devices, in upstream's order: the written rules
//! here, in `slice` and in `status`; those that upstream generates in
//! `declared`, whose errors come last.
//!
//! Pure functions on trees.

pub(super) mod declared;
mod expression;
pub(super) mod slice;
pub(super) mod status;

use std::collections::HashSet;

use std::collections::BTreeMap;

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apimachinery::validation::{c_identifier, dns1123_label, dns1123_subdomain, label_key, label_value};

use crate::names;
use crate::rules::required;

/// How many items most lists of a claim may have.
pub(super) const LISTS_MAX: usize = 32;
const FIRST_AVAILABLE_MAX: usize = 8;
const PARAMETERS_MAX: usize = 10 << 10;
const POOL_MAX: usize = 253;
const IDENTIFIER_MAX: usize = 32;
const BINDING_MAX: usize = 4;
pub(super) const EFFECTS: [&str; 3] = ["NoExecute", "NoSchedule", "None"];

/// The names of a claim's requests, with those of their alternatives.
type Requests<'a> = BTreeMap<&'a str, Vec<&'a str>>;

fn requests_of(devices: &Value) -> Requests<'_> {
    devices["requests"]
        .items()
        .iter()
        .map(|request| {
            let alternatives = request["firstAvailable"].items().iter();
            (request["name"].text(), alternatives.map(|item| item["name"].text()).collect())
        })
        .collect()
}

/// A ResourceClaimSpec.
pub(super) fn claim(spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    let (devices, path) = (&spec["devices"], path.child("devices"));
    let known = requests_of(devices);
    each(&devices["requests"], LISTS_MAX, &path.child("requests"), errors, request);
    each(&devices["constraints"], LISTS_MAX, &path.child("constraints"), errors, |item, path, errors| {
        constraint(item, &known, path, errors);
    });
    each(&devices["config"], LISTS_MAX, &path.child("config"), errors, |item, path, errors| {
        references(&item["requests"], &known, &path.child("requests"), errors);
        configuration(item, path, errors);
    });
}

/// Checks the items of a list that is not too long (a generated rule tells that).
fn each(
    list: &Value,
    most: usize,
    path: &Path<'_>,
    errors: &mut Errors,
    check: impl Fn(&Value, &Path<'_>, &mut Errors),
) {
    if list.items().len() <= most {
        for (at, item) in list.items().iter().enumerate() {
            check(item, &path.index(at), errors);
        }
    }
}

fn request(request: &Value, path: &Path<'_>, errors: &mut Errors) {
    let name = request["name"].text();
    errors.check(&path.child("name"), name, dns1123_label(name));
    let one = "exactly one of `exactly` or `firstAvailable` is required";
    match (request["exactly"].is_null(), request["firstAvailable"].items().is_empty()) {
        (true, true) => errors.required(path, one),
        (false, false) => {
            errors.invalid(path, Value::Null, &format!("{one}, but multiple fields are set"));
        }
        (true, false) => {
            let list = path.child("firstAvailable");
            each(&request["firstAvailable"], FIRST_AVAILABLE_MAX, &list, errors, |item, path, errors| {
                let name = item["name"].text();
                errors.check(&path.child("name"), name, dns1123_label(name));
                devices(item, path, errors);
            });
        }
        (false, true) => {
            let (exactly, here) = (&request["exactly"], path.child("exactly"));
            let class = exactly["deviceClassName"].text();
            let place = here.child("deviceClassName");
            if required(&place, &exactly["deviceClassName"], errors) {
                errors.check(&place, class, dns1123_subdomain(class));
            }
            devices(exactly, &here, errors);
        }
    }
}

/// Which devices, and how many.
fn devices(request: &Value, path: &Path<'_>, errors: &mut Errors) {
    selectors(&request["selectors"], false, &path.child("selectors"), errors);
    let (count, place) = (request["count"].as_i64().unwrap_or(0), path.child("count"));
    match request["allocationMode"].text() {
        "All" if count != 0 => {
            errors.invalid(&place, count, "must not be specified when allocationMode is 'All'");
        }
        "ExactCount" if count <= 0 => errors.invalid(&place, count, "must be greater than zero"),
        _ => {}
    }
    let list = path.child("tolerations");
    for (at, each) in request["tolerations"].items().iter().enumerate() {
        toleration(each, &list.index(at), errors);
    }
}

/// Selectors; expressions that are stored already were fine once and stay so.
pub(super) fn selectors(list: &Value, are_stored: bool, path: &Path<'_>, errors: &mut Errors) {
    each(list, LISTS_MAX, path, errors, |selector, path, errors| {
        let (cel, place) = (&selector["cel"], path.child("cel"));
        if cel.is_null() {
            errors.required(&place, "");
        } else if !are_stored {
            expression::check(cel["expression"].text(), &place.child("expression"), errors);
        }
    });
}

fn toleration(toleration: &Value, path: &Path<'_>, errors: &mut Errors) {
    let (value, place) = (toleration["value"].text(), path.child("value"));
    match toleration["operator"].text() {
        "Exists" if !value.is_empty() => {
            errors.invalid(&place, value, "must be empty for operator `Exists`");
        }
        "Equal" => errors.check(&place, value, label_value(value)),
        "" => errors.required(&path.child("operator"), ""),
        _ => {}
    }
}

fn constraint(constraint: &Value, known: &Requests<'_>, path: &Path<'_>, errors: &mut Errors) {
    references(&constraint["requests"], known, &path.child("requests"), errors);
    if !constraint["matchAttribute"].is_null() {
        return;
    }
    match constraint["distinctAttribute"].as_str() {
        Some(_) => {}
        None => errors.required(
            path,
            "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields are set",
        ),
    }
}

fn references(list: &Value, known: &Requests<'_>, path: &Path<'_>, errors: &mut Errors) {
    each(list, LISTS_MAX, path, errors, |name, path, errors| reference(name.text(), known, path, errors));
}

/// `request` or `request/alternative`.
fn reference(name: &str, known: &Requests<'_>, path: &Path<'_>, errors: &mut Errors) {
    let why = "must be the name of a request in the claim or the name of a request and a subrequest separated \
               by '/'";
    let parts: Vec<&str> = name.split('/').collect();
    if parts.len() > 2 {
        errors.invalid(path, name, why);
        return;
    }
    for part in &parts {
        errors.check(path, part, dns1123_label(part));
    }
    let found = match (known.get(parts[0]), parts.get(1)) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(alternatives), Some(part)) => alternatives.contains(part),
    };
    if !found {
        errors.invalid(path, name, why);
    }
}

/// A DeviceConfiguration: parameters for a driver.
pub(super) fn configuration(config: &Value, path: &Path<'_>, errors: &mut Errors) {
    let (opaque, path) = (&config["opaque"], path.child("opaque"));
    if opaque.is_null() {
        errors.required(&path, "");
        return;
    }
    raw(&opaque["parameters"], PARAMETERS_MAX, &path.child("parameters"), errors);
}

/// Somebody else's JSON object.
fn raw(value: &Value, most: usize, path: &Path<'_>, errors: &mut Errors) {
    match value {
        Value::Null => errors.required(path, ""),
        value if apimachinery::json::to_string(value).len() > most => errors.too_long(path, most),
        Value::Object(_) => {}
        _ => errors.invalid(path, "<value omitted>", "must be a valid JSON object"),
    }
}

/// A pool: DNS subdomains with slashes between.
pub(super) fn pool_name(path: &Path<'_>, name: &str, errors: &mut Errors) {
    if name.is_empty() {
        errors.required(path, "");
        return;
    }
    if name.len() > POOL_MAX {
        errors.too_long(path, POOL_MAX);
    }
    for part in name.split('/') {
        errors.check(path, part, dns1123_subdomain(part));
    }
}

/// A name of an attribute or capacity, with or without a domain.
fn qualified(path: &Path<'_>, name: &str, errors: &mut Errors) {
    let identifier = |text: &str, errors: &mut Errors| {
        if text.len() > IDENTIFIER_MAX {
            errors.too_long(path, IDENTIFIER_MAX);
        }
        errors.check(path, text, c_identifier(text));
    };
    match name.split('/').collect::<Vec<_>>()[..] {
        [name] => identifier(name, errors),
        [domain, name] => {
            if domain.is_empty() {
                errors.invalid(path, "", "the domain must not be empty");
            } else {
                names::driver(path, domain, errors);
            }
            if name.is_empty() {
                errors.invalid(path, "", "the name must not be empty");
            } else {
                identifier(name, errors);
            }
        }
        _ => {}
    }
}
pub(super) fn taint(taint: &Value, path: &Path<'_>, errors: &mut Errors) {
    let (key, value) = (taint["key"].text(), taint["value"].text());
    errors.check(&path.child("key"), key, label_key(key));
    if !value.is_empty() {
        errors.check(&path.child("value"), value, label_value(value));
    }
}

/// Conditions that a device's binding waits for, and those that end it.
fn binding(device: &Value, path: &Path<'_>, errors: &mut Errors) {
    let fields = ["bindingConditions", "bindingFailureConditions"];
    let list = |field: &str| -> Vec<&str> { device[field].items().iter().map(Value::text).collect() };
    for field in fields {
        each(&device[field], BINDING_MAX, &path.child(field), errors, |name, path, errors| {
            errors.check(path, name.text(), label_key(name.text()));
        });
    }
    let (wanted, failures) = (list(fields[0]), list(fields[1]));
    let place = path.child(fields[0]);
    let mut known = HashSet::new();
    for (at, name) in wanted.iter().enumerate() {
        if !known.insert(*name) {
            errors.duplicate(&place.index(at), *name);
        }
    }
    let place = path.child(fields[1]);
    let mut seen = HashSet::new();
    for (at, name) in failures.iter().enumerate() {
        if !seen.insert(*name) {
            errors.duplicate(&place.index(at), *name);
        }
        if known.contains(name) {
            let why = "bindingFailureConditions must not overlap with bindingConditions";
            errors.invalid(&place.index(at), *name, why);
        }
    }
    if wanted.is_empty() && !failures.is_empty() {
        let why = "bindingConditions are required to use bindingFailureConditions";
        errors.invalid(&path.child(fields[0]), device[fields[0]].clone(), why);
    }
    if failures.is_empty() && !wanted.is_empty() {
        let why = "bindingFailureConditions are required to use bindingConditions";
        errors.invalid(&path.child(fields[1]), device[fields[1]].clone(), why);
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    fn told(spec: &Value) -> Vec<String> {
        let mut errors = Errors::new();
        let path = Path::Root.child("spec");
        claim(spec, &path, &mut errors);
        declared::claim(spec, &path, &mut errors);
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn requests_are_exact_or_alternatives() {
        let exactly = value!({"deviceClassName": "c", "allocationMode": "ExactCount", "count": 1});
        let alternative = value!({"name": "x", "deviceClassName": "c", "allocationMode": "All"});
        for (request, expected) in [
            (value!({"name": "a", "exactly": exactly.clone()}), ""),
            (value!({"name": "a", "firstAvailable": vec![alternative.clone()]}), ""),
            (
                value!({"name": "a", "exactly": exactly, "firstAvailable": [alternative]}),
                "spec.devices.requests[0]: Invalid value: null: exactly one of `exactly` or `firstAvailable` is \
                 required, but multiple fields are set",
            ),
            (
                value!({"name": "a", "firstAvailable": [{"name": "x", "allocationMode": "All"}]}),
                "spec.devices.requests[0].firstAvailable[0].deviceClassName: Required value",
            ),
        ] {
            assert_eq!(told(&value!({"devices": {"requests": [request]}})).join(""), expected);
        }
    }

    #[test]
    fn constraints_name_requests_of_the_claim() {
        let spec = |name: &str| {
            value!({"devices": {
                "requests": [{"name": "a", "firstAvailable": [
                    {"name": "x", "deviceClassName": "c", "allocationMode": "All"}
                ]}],
                "constraints": [{"requests": [name], "matchAttribute": "ex.com/a"}]
            }})
        };
        for (name, wrong) in [("a", 0), ("a/x", 0), ("a/y", 1), ("b", 1), ("a/x/z", 1)] {
            assert_eq!(told(&spec(name)).len(), wrong, "{name}");
        }
    }

    #[test]
    fn generated_rules_come_last() {
        let spec = value!({"devices": {"requests": [
            {"name": "a", "exactly": {"deviceClassName": "c", "allocationMode": "Odd"}},
            {"name": "Bad_", "exactly": {"allocationMode": "All"}}
        ]}});
        let fields: Vec<String> =
            told(&spec).iter().map(|text| text.split(": ").next().unwrap_or("").to_owned()).collect();
        assert_eq!(
            fields,
            [
                "spec.devices.requests[1].name",
                "spec.devices.requests[1].exactly.deviceClassName",
                "spec.devices.requests[0].exactly.allocationMode"
            ]
        );
    }
}
