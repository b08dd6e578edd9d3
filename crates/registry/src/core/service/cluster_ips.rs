//! What `clusterIP`, `clusterIPs`, `ipFamilies` and `ipFamilyPolicy` may say
//! together, and how they may change.
//!
//! Pure.

use apimachinery::Value;
use apimachinery::field::{Errors, Named, Path};

use super::defaults::is_headless;
use super::families;
use crate::rules::addresses::{is_ipv4, valid_ip};

const FAMILIES: [&str; 2] = ["IPv4", "IPv6"];
const POLICIES: [&str; 3] = ["PreferDualStack", "RequireDualStack", "SingleStack"];
const ONCE: &str = "may not change once set";

/// ValidateServiceClusterIPsRelatedFields; addresses of `old` are let be.
pub fn validate(service: &Value, old: Option<&Value>, errors: &mut Errors) {
    let spec = &service["spec"];
    if spec["type"].text() == "ExternalName" {
        return;
    }
    let path = Path::Root.child("spec");
    let list = path.child("clusterIPs");
    let (one, all) = (spec["clusterIP"].text(), &spec["clusterIPs"]);
    match (one.is_empty(), all.items().first()) {
        (false, None) => errors.required(&list, ""),
        (false, Some(first)) if first.text() != one => {
            errors.invalid(&list, all.clone(), "first value must match `clusterIP`");
        }
        (true, Some(_)) => {
            errors.invalid(&list, all.clone(), "must be empty when `clusterIP` is not specified");
        }
        _ => {}
    }
    let field = path.child("ipFamilies");
    let families = spec["ipFamilies"].items();
    for (at, family) in families.iter().enumerate() {
        errors.one_of(&field.index(at), family.text(), &FAMILIES);
        if families[..at].contains(family) {
            errors.duplicate(&field.index(at), Named(family.text()));
        }
    }
    if let Some(policy) = spec["ipFamilyPolicy"].as_str() {
        errors.one_of(&path.child("ipFamilyPolicy"), policy, &POLICIES);
    }
    let known: Vec<&str> =
        old.map_or(&[][..], |old| old["spec"]["clusterIPs"].items()).iter().map(Value::text).collect();
    let before = errors.len();
    for (at, address) in all.items().iter().enumerate() {
        if at == 0 && address.text() == "None" {
            if all.items().len() > 1 {
                errors.invalid(&list, all.clone(), "'None' must be the first and only value");
            }
        } else {
            valid_ip(&list.index(at), address.text(), &known, errors);
        }
    }
    let readable = errors.len() == before;
    if all.items().len() > 2 {
        errors.invalid(&list, all.clone(), "may only hold up to 2 values");
    }
    if readable {
        of_families(service, &list, errors);
    }
}

/// One address of each family, in the order of `ipFamilies`.
fn of_families(service: &Value, list: &Path<'_>, errors: &mut Errors) {
    let spec = &service["spec"];
    let all = &spec["clusterIPs"];
    let kinds: Vec<Option<bool>> = all.items().iter().map(|address| is_ipv4(address.text())).collect();
    if kinds.len() > 1 && !(kinds.contains(&Some(true)) && kinds.contains(&Some(false))) {
        errors.invalid(list, all.clone(), "may specify no more than one IP for each IP family");
    }
    if is_headless(service) {
        return;
    }
    for (at, (address, family)) in all.items().iter().zip(spec["ipFamilies"].items()).enumerate() {
        let family = family.text();
        if FAMILIES.contains(&family) && families::of(address.text()).is_some_and(|own| own != family) {
            let why = format!("expected an {family} value as indicated by `ipFamilies[{at}]`");
            errors.invalid(&list.index(at), address.text(), &why);
        }
    }
}

/// What changed of addresses and families, and may not.
pub fn validate_change(service: &Value, old: &Value, errors: &mut Errors) {
    let kinds = [service, old].map(|service| service["spec"]["type"].text() == "ExternalName");
    if kinds.contains(&true) {
        return;
    }
    of_list(service, old, "clusterIPs", "clusterIP", errors);
    // Both of no address: families say only what the owner's endpoints have.
    if !(is_headless(service) && is_headless(old)) {
        of_list(service, old, "ipFamilies", "ipFamily", errors);
    }
}

fn of_list(service: &Value, old: &Value, field: &str, one: &str, errors: &mut Errors) {
    let (spec, before) = (&service["spec"], &old["spec"]);
    let path = Path::Root.child("spec");
    let list = path.child(field);
    let (now, was) = (spec[field].items(), before[field].items());
    let mut fixed = |at: usize, why: &str| errors.invalid(&list.index(at), spec[field].clone(), why);
    if now.len() == was.len() {
        for at in (0..now.len()).filter(|at| now[*at] != was[*at]) {
            fixed(at, ONCE);
        }
        return;
    }
    if now.is_empty() {
        fixed(0, &format!("primary {one} can not be unset"));
    } else if was.first().is_some_and(|first| *first != now[0]) {
        fixed(0, ONCE);
    }
    if was.len() > now.len() && now.len() == 1 && spec["ipFamilyPolicy"].text() != "SingleStack" {
        let why = format!("must be set to 'SingleStack' when releasing the secondary {one}");
        errors.invalid(&path.child("ipFamilyPolicy"), spec["ipFamilyPolicy"].clone(), &why);
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    fn fields(errors: &Errors) -> Vec<&str> {
        errors.iter().map(|error| error.field.as_str()).collect()
    }

    #[test]
    fn addresses_and_families_agree() {
        for (spec, told) in [
            (value!({}), vec![]),
            (value!({"clusterIP": "10.0.0.1"}), vec!["spec.clusterIPs"]),
            (value!({"clusterIP": "x", "clusterIPs": ["x"]}), vec!["spec.clusterIPs[0]"]),
            (value!({"clusterIP": "None", "clusterIPs": ["None", "10.0.0.1"]}), vec!["spec.clusterIPs"]),
            (
                value!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1", "10.0.0.2"]}),
                vec!["spec.clusterIPs"],
            ),
            (
                value!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ipFamilies": ["IPv6"]}),
                vec!["spec.clusterIPs[0]"],
            ),
            (
                value!({"ipFamilies": ["IPv4", "IPv4", "IPvX"], "ipFamilyPolicy": "Odd"}),
                vec!["spec.ipFamilies[1]", "spec.ipFamilies[2]", "spec.ipFamilyPolicy"],
            ),
        ] {
            let mut errors = Errors::new();
            validate(&value!({"spec": spec}), None, &mut errors);
            assert_eq!(fields(&errors), told, "{errors}");
        }
    }

    #[test]
    fn addresses_stay() {
        let service =
            |list: Value, policy: &str| value!({"spec": {"clusterIPs": list, "ipFamilyPolicy": policy}});
        let (one, two) = (value!(["10.0.0.1"]), value!(["10.0.0.1", "fd00::1"]));
        for (old, new, policy, told) in [
            (one.clone(), value!(["10.0.0.2"]), "SingleStack", vec!["spec.clusterIPs[0]"]),
            (one.clone(), two.clone(), "RequireDualStack", vec![]),
            (two.clone(), one.clone(), "SingleStack", vec![]),
            (two, one.clone(), "PreferDualStack", vec!["spec.ipFamilyPolicy"]),
            (one, value!([]), "SingleStack", vec!["spec.clusterIPs[0]"]),
        ] {
            let mut errors = Errors::new();
            validate_change(&service(new, policy), &service(old, policy), &mut errors);
            assert_eq!(fields(&errors), told, "{errors}");
        }
    }
}
