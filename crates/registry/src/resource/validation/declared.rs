//! Rules that upstream generates from its types: what is required, how long
//! lists are and that their keys differ, formats and known words.

use apimachinery::Value;
use apimachinery::field::{Errors, Path, quote};
use apimachinery::validation::{c_identifier, dns1123_label, dns1123_subdomain, label_key};

use super::{BINDING_MAX, EFFECTS, FIRST_AVAILABLE_MAX, IDENTIFIER_MAX, LISTS_MAX, POOL_MAX};
use crate::names::declared_driver;

const COUNTER_SETS_MAX: usize = 8;
const CONSUMED_SETS_MAX: usize = 2;
const STRING_MAX: usize = 64;
/// The members of a DeviceAttribute, of which it has one.
const ATTRIBUTE: [&str; 8] = ["int", "bool", "string", "version", "ints", "bools", "strings", "versions"];

/// An error where a list is too long; whether to look at its items.
pub(crate) fn list(list: &Value, most: usize, path: &Path<'_>, errors: &mut Errors) -> bool {
    let length = list.items().len();
    if length > most {
        errors.too_many(path, length, most);
    }
    length <= most
}

/// As [`list`], of items with a key: errors for those that repeat one.
pub(crate) fn keyed(
    items: &Value,
    most: usize,
    key: impl Fn(&Value) -> Value,
    path: &Path<'_>,
    errors: &mut Errors,
) -> bool {
    if !list(items, most, path, errors) {
        return false;
    }
    let keys: Vec<Value> = items.items().iter().map(key).collect();
    for (at, item) in items.items().iter().enumerate() {
        if keys[..at].contains(&keys[at]) {
            errors.duplicate(&path.index(at), item.clone());
        }
    }
    true
}

fn by_name(item: &Value) -> Value {
    item["name"].text().into()
}

/// A ResourceClaimSpec.
pub(crate) fn claim(spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    let (devices, path) = (&spec["devices"], path.child("devices"));
    let place = path.child("requests");
    if keyed(&devices["requests"], LISTS_MAX, by_name, &place, errors) {
        for (at, item) in devices["requests"].items().iter().enumerate() {
            request(item, &place.index(at), errors);
        }
    }
    let place = path.child("constraints");
    if list(&devices["constraints"], LISTS_MAX, &place, errors) {
        for (at, item) in devices["constraints"].items().iter().enumerate() {
            let here = place.index(at);
            keyed(&item["requests"], LISTS_MAX, Value::clone, &here.child("requests"), errors);
            if let Some(name) = item["matchAttribute"].as_str() {
                fully_qualified(&here.child("matchAttribute"), name, errors);
            }
            if let Some(name) = item["distinctAttribute"].as_str() {
                fully_qualified(&here.child("distinctAttribute"), name, errors);
            }
        }
    }
    let place = path.child("config");
    if list(&devices["config"], LISTS_MAX, &place, errors) {
        for (at, item) in devices["config"].items().iter().enumerate() {
            let here = place.index(at);
            keyed(&item["requests"], LISTS_MAX, Value::clone, &here.child("requests"), errors);
            configuration(item, &here, errors);
        }
    }
}

fn request(request: &Value, path: &Path<'_>, errors: &mut Errors) {
    if !request["exactly"].is_null() {
        devices(&request["exactly"], &path.child("exactly"), errors);
    }
    let place = path.child("firstAvailable");
    if keyed(&request["firstAvailable"], FIRST_AVAILABLE_MAX, by_name, &place, errors) {
        for (at, item) in request["firstAvailable"].items().iter().enumerate() {
            let here = place.index(at);
            let (class, place) = (item["deviceClassName"].text(), here.child("deviceClassName"));
            if class.is_empty() {
                errors.required(&place, "");
            } else {
                errors.check(&place, class, dns1123_subdomain(class));
            }
            devices(item, &here, errors);
        }
    }
}

fn devices(request: &Value, path: &Path<'_>, errors: &mut Errors) {
    list(&request["selectors"], LISTS_MAX, &path.child("selectors"), errors);
    let mode = request["allocationMode"].text();
    if !mode.is_empty() {
        errors.one_of(&path.child("allocationMode"), mode, &["All", "ExactCount"]);
    }
    tolerations(&request["tolerations"], &path.child("tolerations"), errors);
}

fn tolerations(list: &Value, path: &Path<'_>, errors: &mut Errors) {
    for (at, toleration) in list.items().iter().enumerate() {
        let here = path.index(at);
        let key = toleration["key"].text();
        if !key.is_empty() {
            errors.check(&here.child("key"), key, label_key(key));
        }
        let operator = toleration["operator"].text();
        if !operator.is_empty() {
            errors.one_of(&here.child("operator"), operator, &["Equal", "Exists"]);
        }
        effect(toleration, false, &here, errors);
    }
}

/// The effect of a taint, which has one, or of a toleration, which may.
pub(crate) fn effect(of: &Value, required: bool, path: &Path<'_>, errors: &mut Errors) {
    let (effect, place) = (of["effect"].text(), path.child("effect"));
    if !effect.is_empty() {
        errors.one_of(&place, effect, &EFFECTS);
    } else if required {
        errors.required(&place, "");
    }
}

pub(crate) fn configuration(config: &Value, path: &Path<'_>, errors: &mut Errors) {
    let opaque = &config["opaque"];
    if !opaque.is_null() {
        declared_driver(&path.child("opaque").child("driver"), opaque["driver"].text(), errors);
    }
}

fn fully_qualified(path: &Path<'_>, name: &str, errors: &mut Errors) {
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
                errors.invalid(path, "", "prefix must not be empty");
            } else {
                if domain.len() > 63 {
                    errors.too_long(path, 63);
                }
                for why in dns1123_subdomain(domain) {
                    errors.invalid(path, domain, &format!("prefix: {why}"));
                }
            }
            if name.is_empty() {
                errors.invalid(path, "", "name must not be empty");
            } else {
                identifier(name, errors);
            }
        }
        _ => errors.invalid(path, name, "must not contain more than one slash"),
    }
    if !name.contains('/') {
        let why = "a fully qualified name must be a domain and a name separated by a slash";
        errors.invalid(path, name, why);
    }
}

/// A resource of a node, by which pods may ask for devices of a class.
pub(crate) fn extended_name(path: &Path<'_>, name: &str, errors: &mut Errors) {
    let (own, quota) = ("kubernetes.io/", "requests.");
    if !name.contains('/') {
        let why = "a name must be a domain-prefixed path, such as 'example.com/my-prop'";
        errors.invalid(path, name, why);
    } else if name.contains(own) {
        errors.invalid(path, name, &format!("must not have {} domain", quote(own)));
    }
    if name.starts_with(quota) {
        errors.invalid(path, name, &format!("must not have {} prefix", quote(quota)));
    }
    errors.check(path, name, label_key(&format!("{quota}{name}")));
}

/// A ResourceSliceSpec.
pub(crate) fn slice(spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    let devices = path.child("devices");
    for (at, item) in spec["devices"].items().iter().enumerate() {
        device(item, &devices.index(at), errors);
    }
    let place = path.child("sharedCounters");
    if keyed(&spec["sharedCounters"], COUNTER_SETS_MAX, by_name, &place, errors) {
        for (at, item) in spec["sharedCounters"].items().iter().enumerate() {
            counters(item, "name", &place.index(at), errors);
        }
    }
}

fn device(device: &Value, path: &Path<'_>, errors: &mut Errors) {
    let attributes = path.child("attributes");
    for (name, attribute) in device["attributes"].members() {
        one_member(attribute, &attributes.key(name), errors);
    }
    let place = path.child("consumesCounters");
    let by_set = |item: &Value| Value::from(item["counterSet"].text());
    if keyed(&device["consumesCounters"], CONSUMED_SETS_MAX, by_set, &place, errors) {
        for (at, item) in device["consumesCounters"].items().iter().enumerate() {
            counters(item, "counterSet", &place.index(at), errors);
        }
    }
    let taints = path.child("taints");
    for (at, taint) in device["taints"].items().iter().enumerate() {
        effect(taint, true, &taints.index(at), errors);
    }
    for field in ["bindingConditions", "bindingFailureConditions"] {
        list(&device[field], BINDING_MAX, &path.child(field), errors);
    }
}

fn one_member(attribute: &Value, path: &Path<'_>, errors: &mut Errors) {
    let set: Vec<&str> = ATTRIBUTE.into_iter().filter(|member| !attribute[*member].is_null()).collect();
    let all = ATTRIBUTE.map(|member| format!("`{member}`")).join(", ");
    match set.len() {
        0 if attribute["string"].as_str().is_none() && attribute["version"].as_str().is_none() => {
            errors.invalid(path, "", &format!("must specify one of: {all}"));
        }
        0 | 1 => {}
        _ => {
            let told = format!("{{{}}}", set.join(", "));
            errors.invalid(path, told, &format!("must specify exactly one of: {all}"));
        }
    }
    let strings = path.child("strings");
    for (at, text) in attribute["strings"].items().iter().enumerate() {
        if text.text().len() > STRING_MAX {
            errors.too_long(&strings.index(at), STRING_MAX);
        }
    }
}

/// A set of counters: its name, and at least one counter with a name.
/// The name of a set of counters, in `field`.
pub(super) fn set_name(set: &Value, field: &'static str, path: &Path<'_>, errors: &mut Errors) {
    let (name, place) = (set[field].text(), path.child(field));
    if name.is_empty() {
        errors.required(&place, "");
    } else {
        errors.check(&place, name, dns1123_label(name));
    }
}

fn counters(set: &Value, field: &'static str, path: &Path<'_>, errors: &mut Errors) {
    set_name(set, field, path, errors);
    let place = path.child("counters");
    if set["counters"].members().next().is_none() {
        errors.required(&place, "");
    }
    for (name, _) in set["counters"].members() {
        errors.check(&place, name, dns1123_label(name));
    }
}

/// What a claim's allocation says of drivers, pools and sources.
pub(crate) fn allocation(allocation: &Value, path: &Path<'_>, errors: &mut Errors) {
    let (devices, path) = (&allocation["devices"], path.child("devices"));
    let place = path.child("results");
    if list(&devices["results"], LISTS_MAX, &place, errors) {
        for (at, item) in devices["results"].items().iter().enumerate() {
            let here = place.index(at);
            declared_driver(&here.child("driver"), item["driver"].text(), errors);
            pool(&here.child("pool"), item["pool"].text(), errors);
            tolerations(&item["tolerations"], &here.child("tolerations"), errors);
            for field in ["bindingConditions", "bindingFailureConditions"] {
                list(&item[field], BINDING_MAX, &here.child(field), errors);
            }
            uuid(&here.child("shareID"), &item["shareID"], errors);
        }
    }
    let place = path.child("config");
    if list(&devices["config"], 2 * LISTS_MAX, &place, errors) {
        for (at, item) in devices["config"].items().iter().enumerate() {
            let here = place.index(at);
            match item["source"].text() {
                "" => errors.required(&here.child("source"), ""),
                source => errors.one_of(&here.child("source"), source, &["FromClaim", "FromClass"]),
            }
            keyed(&item["requests"], LISTS_MAX, Value::clone, &here.child("requests"), errors);
            configuration(item, &here, errors);
        }
    }
}

fn pool(path: &Path<'_>, name: &str, errors: &mut Errors) {
    if name.is_empty() {
        errors.required(path, "");
        return;
    }
    if name.len() > POOL_MAX {
        errors.too_long(path, POOL_MAX);
    }
    for (at, part) in name.split('/').enumerate() {
        if part.is_empty() {
            errors.invalid(path, name, &format!("segment {at}: must not be empty"));
            continue;
        }
        for why in dns1123_subdomain(part) {
            errors.invalid(path, part, &format!("segment {at}: {why}"));
        }
    }
}

pub(crate) fn uuid(path: &Path<'_>, value: &Value, errors: &mut Errors) {
    let Some(text) = value.as_str() else { return };
    let parts: Vec<&str> = text.split('-').collect();
    let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let fine = parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && parts.iter().all(|part| part.bytes().all(hexadecimal));
    if !fine {
        errors.invalid(path, text, "must be a lowercase UUID in 8-4-4-4-12 format");
    }
}
