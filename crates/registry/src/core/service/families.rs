//! Which address families a Service gets, by its policy and the ranges of the cluster.
//!
//! Pure.

use apimachinery::field::{Errors, Path};
use apimachinery::{Value, value};

use super::defaults::{is_headless, needs_cluster_ip};

/// `IPv4` or `IPv6` of an address.
pub fn of(address: &str) -> Option<&'static str> {
    match address.parse::<std::net::IpAddr>().ok()? {
        std::net::IpAddr::V4(_) => Some("IPv4"),
        std::net::IpAddr::V6(_) => Some("IPv6"),
    }
}

/// Sets `ipFamilies` and `ipFamilyPolicy`; `available` are the families of
/// the cluster's ranges, its primary one first.
pub fn choose(service: &mut Value, available: &[&'static str], old: Option<&Value>) -> Errors {
    let mut errors = Errors::new();
    if !needs_cluster_ip(service) {
        return errors;
    }
    let path = Path::Root.child("spec");
    let headless_without_selector =
        is_headless(service) && service["spec"]["selector"].members().next().is_none();
    let spec = service.entry("spec");
    let mut families: Vec<String> =
        spec["ipFamilies"].items().iter().map(|family| family.text().to_owned()).collect();
    let mut policy = spec["ipFamilyPolicy"].text().to_owned();
    let addresses: Vec<String> = spec["clusterIPs"]
        .items()
        .iter()
        .map(|address| address.text().to_owned())
        .filter(|address| address != "None")
        .collect();

    if policy.is_empty() {
        policy = if headless_without_selector {
            "RequireDualStack".into()
        } else if addresses.len() > 1 || families.len() > 1 {
            errors.required(
                &path.child("ipFamilyPolicy"),
                "must be RequireDualStack or PreferDualStack when multiple IPs or families are specified",
            );
            return errors;
        } else {
            "SingleStack".into()
        };
    }
    for (at, family) in families.iter().enumerate() {
        if !available.contains(&family.as_str()) && !headless_without_selector {
            let list = path.child("ipFamilies");
            errors.invalid(&list.index(at), family.as_str(), "not configured on this cluster");
        }
    }
    if policy == "RequireDualStack" && available.len() < 2 && !headless_without_selector {
        let why = "this cluster is not configured for dual-stack services";
        errors.invalid(&path.child("ipFamilyPolicy"), policy.as_str(), why);
    }
    if !errors.is_empty() {
        return errors;
    }
    for address in &addresses {
        if let Some(family) = of(address)
            && !families.iter().any(|known| known == family)
        {
            families.push(family.to_owned());
        }
    }
    if families.is_empty() {
        families.push((*available.first().unwrap_or(&"IPv4")).to_owned());
    }
    let dual = match policy.as_str() {
        "RequireDualStack" => true,
        "PreferDualStack" => available.len() > 1,
        _ => false,
    };
    if dual && families.len() == 1 {
        let other = if families[0] == "IPv4" { "IPv6" } else { "IPv4" };
        families.push(other.into());
    }
    // Back to one family: the first stays.
    if policy == "SingleStack" && old.is_some() {
        families.truncate(1);
    }
    spec.set("ipFamilies", families.iter().map(Value::from).collect::<Vec<_>>());
    spec.set("ipFamilyPolicy", value!(policy));
    errors
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
            (value!({"clusterIP": "None"}), &one, value!(["IPv4", "IPv6"]), "RequireDualStack"),
            (value!({"clusterIP": "None", "selector": {"a": "b"}}), &one, value!(["IPv4"]), "SingleStack"),
        ] {
            let told = chosen(spec.clone(), available);
            assert_eq!((told.0, told.1.text(), told.2.as_str()), (families, policy, ""), "{spec:?}");
        }
        assert!(chosen(value!({"type": "ExternalName"}), &one).0.is_null());
    }

    #[test]
    fn what_the_cluster_has_not_is_refused() {
        let told = chosen(value!({"ipFamilyPolicy": "RequireDualStack"}), &["IPv4"]).2;
        assert!(told.contains("not configured for dual-stack"), "{told}");
        let told = chosen(value!({"ipFamilies": ["IPv6"]}), &["IPv4"]).2;
        assert_eq!(told, "spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster");
    }
}
