//! What the status of a ResourceClaim must say: who holds it, what it was
//! given, and how the devices are.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apimachinery::validation::dns1123_label;

use super::{
    Requests, binding, configuration, declared, each, pool_name, raw, reference, references, requests_of,
};
use crate::core::pod::validation::node_selector;
use crate::rules::required;
use crate::{conditions, names};

const RESERVED_MAX: usize = 256;
const CONDITIONS_MAX: usize = 8;
const DATA_MAX: usize = 10 << 10;
const IPS_MAX: usize = 16;
const INTERFACE_MAX: usize = 256;
const HARDWARE_MAX: usize = 128;

pub(crate) fn validate(object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    let (status, before) = (&object["status"], &old["status"]);
    let path = Path::Root.child("status");
    let place = path.child("reservedFor");
    each(&status["reservedFor"], RESERVED_MAX, &place, &mut errors, |consumer, path, errors| {
        for field in ["resource", "name", "uid"] {
            required(&path.child(field), &consumer[field], errors);
        }
    });
    let results = &status["allocation"]["devices"]["results"];
    let list = path.child("devices");
    for (at, item) in status["devices"].items().iter().enumerate() {
        device(item, results, &list.index(at), &mut errors);
    }
    let holders = status["reservedFor"].items();
    if !holders.is_empty() {
        if status["allocation"].is_null() {
            errors.forbidden(&place, "may not be specified when `allocated` is not set");
        } else if !object["metadata"]["deletionTimestamp"].is_null()
            && holders.iter().any(|holder| !before["reservedFor"].items().contains(holder))
        {
            let why =
                "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set";
            errors.forbidden(&place, why);
        }
    }
    let known = requests_of(&object["spec"]["devices"]);
    let new = !status["allocation"].is_null() && before["allocation"].is_null();
    if new {
        allocation(&status["allocation"], &known, &path.child("allocation"), &mut errors);
    }
    if *status != *before {
        generated(status, before, &path, &mut errors);
    }
    errors
}

fn generated(status: &Value, before: &Value, path: &Path<'_>, errors: &mut Errors) {
    let (new, old) = (&status["allocation"], &before["allocation"]);
    let place = path.child("allocation");
    if new != old && !new.is_null() {
        if old.is_null() {
            declared::allocation(new, &place, errors);
        } else {
            errors.invalid(&place, Value::Null, "field cannot be modified once set");
        }
    }
    let by_uid = |holder: &Value| Value::from(holder["uid"].text());
    declared::keyed(&status["reservedFor"], RESERVED_MAX, by_uid, &path.child("reservedFor"), errors);
    let list = path.child("devices");
    declared::keyed(&status["devices"], usize::MAX, identity, &list, errors);
    for (at, item) in status["devices"].items().iter().enumerate() {
        let here = list.index(at);
        declared::uuid(&here.child("shareID"), &item["shareID"], errors);
        let (data, here) = (&item["networkData"], here.child("networkData"));
        for (field, most) in [("interfaceName", INTERFACE_MAX), ("hardwareAddress", HARDWARE_MAX)] {
            if data[field].text().len() > most {
                errors.too_long(&here.child(field), most);
            }
        }
        declared::keyed(&data["ips"], IPS_MAX, Value::clone, &here.child("ips"), errors);
    }
}

/// By what devices are told apart.
fn identity(device: &Value) -> Value {
    let fields = ["driver", "pool", "device", "shareID"];
    fields.iter().map(|field| device[*field].clone()).collect::<Vec<_>>().into()
}

fn device(device: &Value, results: &Value, path: &Path<'_>, errors: &mut Errors) {
    names::driver(&path.child("driver"), device["driver"].text(), errors);
    pool_name(&path.child("pool"), device["pool"].text(), errors);
    let name = device["device"].text();
    errors.check(&path.child("device"), name, dns1123_label(name));
    if !results.items().iter().any(|result| identity(result) == identity(device)) {
        let text = |field: &str| Value::from(device[field].text());
        let told = apimachinery::value!({
            "Driver": text("driver"),
            "Pool": text("pool"),
            "Device": text("device"),
            "ShareID": text("shareID")
        });
        errors.invalid(path, told, "must be an allocated device in the claim");
    }
    let (list, place) = (&device["conditions"], path.child("conditions"));
    if list.items().len() > CONDITIONS_MAX {
        errors.too_many(&place, list.items().len(), CONDITIONS_MAX);
    }
    conditions::validate(&place, list, errors);
    if !device["data"].is_null() {
        raw(&device["data"], DATA_MAX, &path.child("data"), errors);
    }
    let network = path.child("networkData");
    each(&device["networkData"]["ips"], IPS_MAX, &network.child("ips"), errors, |address, path, errors| {
        interface_address(address.text(), path, errors);
    });
}

/// `10.9.8.7/24`: an address with the length of its network's prefix.
fn interface_address(text: &str, path: &Path<'_>, errors: &mut Errors) {
    match apimachinery::validation::parse_cidr_sloppy(text) {
        None => {
            let why = "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)";
            errors.invalid(path, text, why);
        }
        Some((address, length)) => {
            let canonical = format!("{address}/{length}");
            if canonical != text {
                let why = format!("must be in canonical form ({})", apimachinery::field::quote(&canonical));
                errors.invalid(path, text, &why);
            }
        }
    }
}

/// What a new allocation must say.
fn allocation(allocation: &Value, known: &Requests<'_>, path: &Path<'_>, errors: &mut Errors) {
    let (devices, here) = (&allocation["devices"], path.child("devices"));
    each(&devices["results"], super::LISTS_MAX, &here.child("results"), errors, |result, path, errors| {
        reference(result["request"].text(), known, &path.child("request"), errors);
        let name = result["device"].text();
        errors.check(&path.child("device"), name, dns1123_label(name));
        binding(result, path, errors);
    });
    each(&devices["config"], 2 * super::LISTS_MAX, &here.child("config"), errors, |config, path, errors| {
        references(&config["requests"], known, &path.child("requests"), errors);
        configuration(config, path, errors);
    });
    if !allocation["nodeSelector"].is_null() {
        node_selector(&path.child("nodeSelector"), &allocation["nodeSelector"], errors);
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    fn claim(status: Value) -> Value {
        value!({"spec": {"devices": {"requests": [{"name": "a"}]}}, "status": status})
    }

    #[test]
    fn holders_need_an_allocation_that_never_changes() {
        let result =
            |device: &str| value!({"request": "a", "driver": "ex.com", "pool": "p", "device": device});
        let given = |device: &str| value!({"devices": {"results": vec![result(device)]}});
        let holder = value!({"resource": "pods", "name": "p", "uid": "u"});
        for (new, old, expected) in [
            (value!({"allocation": given("d"), "reservedFor": vec![holder.clone()]}), value!({}), ""),
            (
                value!({"reservedFor": [holder]}),
                value!({}),
                "status.reservedFor: Forbidden: may not be specified when `allocated` is not set",
            ),
            (
                value!({"allocation": given("e")}),
                value!({"allocation": given("d")}),
                "status.allocation: Invalid value: null: field cannot be modified once set",
            ),
            (value!({}), value!({"allocation": given("d")}), ""),
        ] {
            let errors = validate(&claim(new), &claim(old));
            assert_eq!(errors.iter().map(ToString::to_string).collect::<String>(), expected);
        }
    }
}
