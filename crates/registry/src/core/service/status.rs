//! The status of a Service: where its load balancer is.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apimachinery::validation::{dns1123_subdomain, parse_ip_sloppy};

use crate::rules::addresses::valid_ip;

/// Everything of the status; addresses of `old` are let be.
pub fn validate(object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    let status = Path::Root.child("status");
    let path = status.child("loadBalancer");
    let entries = path.child("ingress");
    let ingress = object["status"]["loadBalancer"]["ingress"].items();
    if object["spec"]["type"].text() != "LoadBalancer" && !ingress.is_empty() {
        errors.forbidden(&entries, "may only be used when `spec.type` is 'LoadBalancer'");
        return errors;
    }
    let before = old["status"]["loadBalancer"]["ingress"].items();
    let known: Vec<&str> = before.iter().map(|entry| entry["ip"].text()).collect();
    for (at, entry) in ingress.iter().enumerate() {
        balancer(entry, &known, &entries.index(at), &mut errors);
    }
    errors
}

fn balancer(entry: &Value, known: &[&str], path: &Path<'_>, errors: &mut Errors) {
    let (address, host) = (entry["ip"].text(), entry["hostname"].text());
    if !address.is_empty() {
        valid_ip(&path.child("ip"), address, known, errors);
    }
    let field = path.child("ipMode");
    match entry["ipMode"].as_str() {
        None if !address.is_empty() => errors.required(&field, "must be specified when `ip` is set"),
        None => {}
        Some(_) if address.is_empty() => {
            errors.forbidden(&field, "may not be specified when `ip` is not set")
        }
        Some(mode) => errors.one_of(&field, mode, &["Proxy", "VIP"]),
    }
    if !host.is_empty() {
        let field = path.child("hostname");
        errors.check(&field, host, dns1123_subdomain(host));
        if parse_ip_sloppy(host).is_some() {
            errors.invalid(&field, host, "must be a DNS name, not an IP address");
        }
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn balancers_are_at_addresses_or_names() {
        let at = |kind: &str, entry: Value| {
            let object = value!({"spec": {"type": kind}, "status": {"loadBalancer": {"ingress": [entry]}}});
            validate(&object, &Value::Null).iter().map(|error| error.field.clone()).collect::<Vec<_>>()
        };
        for (kind, entry, told) in [
            ("LoadBalancer", value!({"ip": "1.2.3.4", "ipMode": "VIP"}), vec![]),
            ("LoadBalancer", value!({"hostname": "a.example"}), vec![]),
            (
                "LoadBalancer",
                value!({"hostname": "1.2.3.4"}),
                vec!["status.loadBalancer.ingress[0].hostname"],
            ),
            ("LoadBalancer", value!({"ip": "1.2.3.4"}), vec!["status.loadBalancer.ingress[0].ipMode"]),
            ("ClusterIP", value!({"ip": "1.2.3.4"}), vec!["status.loadBalancer.ingress"]),
        ] {
            assert_eq!(at(kind, entry), told);
        }
    }
}
