//! Which address families a Service gets, by its policy and the ranges of the cluster.
//!
//! Pure.

use apimachinery::field::{Errors, Path};
use apimachinery::validation::parse_ip_sloppy;
use apimachinery::{Value, value};

use super::cluster_ips;
use super::defaults::is_headless;

/// `IPv4` or `IPv6` of an address.
pub fn of(address: &str) -> Option<&'static str> {
    let address = parse_ip_sloppy(address)?;
    Some(if address.to_canonical().is_ipv4() { "IPv4" } else { "IPv6" })
}

/// Sets `ipFamilies` and `ipFamilyPolicy`; `available` are the families of
/// the cluster's ranges, its primary one first.
pub fn choose(service: &mut Value, available: &[&'static str], old: Option<&Value>) -> Errors {
    // A change of the cluster alone neither adds an address nor takes one.
    if service["spec"]["type"].text() == "ExternalName"
        || old.is_some_and(|old| stays_preferred(service, old))
    {
        return Errors::new();
    }
    let mut errors = Errors::new();
    let selects_nothing = is_headless(service) && service["spec"]["selector"].members().next().is_none();
    if service["spec"]["ipFamilyPolicy"].is_null() {
        let policy = match old.and_then(|old| old["spec"]["ipFamilyPolicy"].as_str()) {
            Some(before) => before,
            None if selects_nothing => "RequireDualStack",
            None => "SingleStack",
        };
        service.entry("spec").set("ipFamilyPolicy", policy);
    }
    cluster_ips::validate(service, old, &mut errors);
    if !errors.is_empty() {
        return errors;
    }
    if let Some(old) = old {
        release_second(service, old, &mut errors);
    }
    only_with_policy(service, &mut errors);
    infer(service, available, &mut errors);
    if !errors.is_empty() {
        return errors;
    }
    let spec = service.entry("spec");
    let policy = spec["ipFamilyPolicy"].text().to_owned();
    let path = Path::Root.child("spec");
    // Without a selector a headless Service is whatever its owner says.
    if !selects_nothing {
        if policy == "RequireDualStack" && available.len() < 2 {
            let why = "this cluster is not configured for dual-stack services";
            errors.invalid(&path.child("ipFamilyPolicy"), policy.as_str(), why);
        }
        let list = path.child("ipFamilies");
        for (at, family) in spec["ipFamilies"].items().iter().enumerate() {
            if !available.contains(&family.text()) {
                errors.invalid(&list.index(at), family.text(), "not configured on this cluster");
            }
        }
        if !errors.is_empty() {
            return errors;
        }
    }
    let mut families: Vec<String> =
        spec["ipFamilies"].items().iter().map(|family| family.text().to_owned()).collect();
    if families.is_empty() {
        families.push((*available.first().unwrap_or(&"IPv4")).to_owned());
    }
    let dual = policy != "SingleStack" && (selects_nothing || available.len() > 1);
    if dual && families.len() == 1 {
        let other = if families[0] == "IPv4" { "IPv6" } else { "IPv4" };
        families.push(other.into());
    }
    spec.set("ipFamilies", families.iter().map(Value::from).collect::<Vec<_>>());
    errors
}

/// Whether the Service preferred two families, does so still, and is the same.
fn stays_preferred(service: &Value, old: &Value) -> bool {
    let (spec, before) = (&service["spec"], &old["spec"]);
    spec["ipFamilyPolicy"].text() == "PreferDualStack"
        && ["ipFamilyPolicy", "clusterIPs", "ipFamilies"].iter().all(|field| spec[*field] == before[*field])
}

/// Back to one family: by policy alone the second goes, and not without the policy.
fn release_second(service: &mut Value, old: &Value, errors: &mut Errors) {
    let before = &old["spec"];
    let spec = service.entry("spec");
    let single = spec["ipFamilyPolicy"].text() == "SingleStack";
    let path = Path::Root.child("spec");
    for (list, what) in [("clusterIPs", "secondary cluster IP"), ("ipFamilies", "secondary IP family")] {
        let (now, was) = (spec[list].items().len(), before[list].items().len());
        if single && now == 2 && spec[list] == before[list] {
            let first = spec[list][0].clone();
            spec.set(list, Value::Array(vec![first]));
        } else if !single && was == 2 && now == 1 && is_same_primary(spec, before, list) {
            let why = format!("must be 'SingleStack' to release the {what}");
            errors.invalid(&path.child("ipFamilyPolicy"), spec["ipFamilyPolicy"].clone(), &why);
        }
    }
}

fn is_same_primary(spec: &Value, before: &Value, list: &str) -> bool {
    spec[list][0] == before[list][0]
}

/// Several addresses or families are for those who said so.
fn only_with_policy(service: &Value, errors: &mut Errors) {
    let spec = &service["spec"];
    if spec["ipFamilyPolicy"].text() != "SingleStack" || !errors.is_empty() {
        return;
    }
    let path = Path::Root.child("spec");
    for (list, what) in [("clusterIPs", "cluster IPs"), ("ipFamilies", "IP families")] {
        if spec[list].items().len() > 1 {
            let why =
                format!("must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified");
            errors.invalid(&path.child("ipFamilyPolicy"), spec["ipFamilyPolicy"].clone(), &why);
        }
    }
}

/// Adds the families of addresses that were asked for.
fn infer(service: &mut Value, available: &[&'static str], errors: &mut Errors) {
    let spec = service.entry("spec");
    let mut families: Vec<Value> = spec["ipFamilies"].items().to_vec();
    let asked = spec["clusterIPs"].clone();
    let path = Path::Root.child("spec");
    let list = path.child("clusterIPs");
    for (at, address) in asked.items().iter().enumerate().skip(families.len()) {
        let Some(family) = of(address.text()) else { break };
        if available.contains(&family) {
            families.push(family.into());
        } else {
            let why = format!("{family} is not configured on this cluster");
            errors.invalid(&list.index(at), asked.clone(), &why);
        }
    }
    if !families.is_empty() {
        spec.set("ipFamilies", value!(families));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(spec: Value, available: &[&'static str]) -> (Value, Value, String) {
        let mut service = value!({"spec": spec});
        let errors = choose(&mut service, available, None);
        let told = if errors.is_empty() { String::new() } else { errors.to_string() };
        (service["spec"]["ipFamilies"].clone(), service["spec"]["ipFamilyPolicy"].clone(), told)
    }

    #[test]
    fn families_follow_policy_and_ranges() {
        let (one, both) = (["IPv4"], ["IPv4", "IPv6"]);
        let none = value!(["None"]);
        for (spec, available, families, policy) in [
            (value!({}), &one[..], value!(["IPv4"]), "SingleStack"),
            (value!({"ipFamilyPolicy": "PreferDualStack"}), &one, value!(["IPv4"]), "PreferDualStack"),
            (
                value!({"ipFamilyPolicy": "PreferDualStack"}),
                &both,
                value!(["IPv4", "IPv6"]),
                "PreferDualStack",
            ),
            (value!({"ipFamilies": ["IPv6"]}), &both, value!(["IPv6"]), "SingleStack"),
            (
                value!({"clusterIP": "fd00::1", "clusterIPs": ["fd00::1"]}),
                &both,
                value!(["IPv6"]),
                "SingleStack",
            ),
            (
                value!({"clusterIP": "None", "clusterIPs": none.clone()}),
                &one,
                value!(["IPv4", "IPv6"]),
                "RequireDualStack",
            ),
            (
                value!({"clusterIP": "None", "clusterIPs": none, "selector": {"a": "b"}}),
                &one,
                value!(["IPv4"]),
                "SingleStack",
            ),
        ] {
            let told = chosen(spec.clone(), available);
            assert_eq!((told.0, told.1.text(), told.2.as_str()), (families, policy, ""), "{spec:?}");
        }
        assert!(chosen(value!({"type": "ExternalName"}), &one).0.is_null());
    }

    #[test]
    fn what_the_cluster_has_not_is_refused() {
        for (spec, told) in [
            (
                value!({"ipFamilyPolicy": "RequireDualStack"}),
                "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not configured for dual-stack \
                 services",
            ),
            (
                value!({"ipFamilies": ["IPv6"]}),
                "spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster",
            ),
            (
                value!({"clusterIP": "fd00::1", "clusterIPs": ["fd00::1"]}),
                "spec.clusterIPs[0]: Invalid value: [\"fd00::1\"]: IPv6 is not configured on this cluster",
            ),
            (
                value!({"ipFamilies": ["IPv4", "IPv6"]}),
                "spec.ipFamilyPolicy: Invalid value: \"SingleStack\": must be 'RequireDualStack' or 'PreferDualStack' when multiple IP \
                 families are specified",
            ),
        ] {
            assert_eq!(chosen(spec, &["IPv4"]).2, told);
        }
    }

    #[test]
    fn the_second_family_goes_by_policy() {
        let old = value!({"spec": {
            "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1", "fd00::1"], "ipFamilies": ["IPv4", "IPv6"],
            "ipFamilyPolicy": "RequireDualStack"
        }});
        let mut new = old.clone();
        new.entry("spec").set("ipFamilyPolicy", "SingleStack");
        assert!(choose(&mut new, &["IPv4", "IPv6"], Some(&old)).is_empty());
        assert_eq!(new["spec"]["clusterIPs"], value!(["10.0.0.1"]));
        assert_eq!(new["spec"]["ipFamilies"], value!(["IPv4"]));
        let mut fewer = old.clone();
        fewer.entry("spec").set("clusterIPs", value!(["10.0.0.1"]));
        assert_eq!(choose(&mut fewer, &["IPv4", "IPv6"], Some(&old)).len(), 1);
    }
}
