//! Conditional defaults of a Service, and what becomes of fields when its type changes.
//!
//! Pure. Addresses and ports are given in `allocation`.

use std::collections::{HashMap, HashSet};

use apimachinery::{Value, value};

/// Types that have an address in the service range.
pub fn needs_cluster_ip(service: &Value) -> bool {
    let spec = &service["spec"];
    matches!(spec["type"].text(), "" | "ClusterIP" | "NodePort" | "LoadBalancer")
}

/// What an update takes for such a type: one that is none is refused later.
fn has_cluster_ip(service: &Value) -> bool {
    service["spec"]["type"].text() != "ExternalName"
}

/// Without an address of its own, by choice.
pub fn is_headless(service: &Value) -> bool {
    service["spec"]["clusterIP"].text() == "None"
}

/// Types that have a port on every node.
pub fn needs_node_ports(service: &Value) -> bool {
    match service["spec"]["type"].text() {
        "NodePort" => true,
        "LoadBalancer" => service["spec"]["allocateLoadBalancerNodePorts"].as_bool() != Some(false),
        _ => false,
    }
}

/// A load balancer that keeps the client's address asks each node for its health.
pub fn needs_health_check_port(service: &Value) -> bool {
    service["spec"]["type"].text() == "LoadBalancer"
        && service["spec"]["externalTrafficPolicy"].text() == "Local"
}

/// Reachable from outside: by node port, load balancer or external address.
pub fn is_external(service: &Value) -> bool {
    matches!(service["spec"]["type"].text(), "NodePort" | "LoadBalancer")
        || (needs_cluster_ip(service) && !service["spec"]["externalIPs"].items().is_empty())
}

/// v1 SetDefaults_Service, as far as it depends on the object.
pub fn service(service: &mut Value) {
    let external = is_external(service);
    if service["spec"]["type"].text() == "LoadBalancer" {
        address_modes(service);
    }
    let spec = service.entry("spec");
    match spec["sessionAffinity"].text() {
        "ClientIP" if spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"].is_null() => {
            spec.set("sessionAffinityConfig", value!({"clientIP": {"timeoutSeconds": 10_800}}));
        }
        "" | "None" => {
            spec.remove("sessionAffinityConfig");
        }
        _ => {}
    }
    for port in spec.get_mut("ports").map_or(&mut [][..], Value::items_mut) {
        let unset = match &port["targetPort"] {
            Value::Null | Value::Int(0) => true,
            Value::String(name) => name.is_empty(),
            _ => false,
        };
        if unset {
            let number = port["port"].clone();
            port.set("targetPort", number);
        }
    }
    if external && spec["externalTrafficPolicy"].text().is_empty() {
        spec.set("externalTrafficPolicy", "Cluster");
    }
    if spec["type"].text() != "ExternalName" && spec["internalTrafficPolicy"].text().is_empty() {
        spec.set("internalTrafficPolicy", "Cluster");
    }
    if spec["type"].text() == "LoadBalancer" && spec["allocateLoadBalancerNodePorts"].is_null() {
        spec.set("allocateLoadBalancerNodePorts", true);
    }
}

/// A balancer's address is meant for everybody, unless its status says otherwise.
fn address_modes(service: &mut Value) {
    let Some(balancer) = service.get_mut("status").and_then(|status| status.get_mut("loadBalancer")) else {
        return;
    };
    for entry in crate::changes::items(balancer, "ingress") {
        if !entry["ip"].text().is_empty() && entry["ipMode"].is_null() {
            entry.set("ipMode", "VIP");
        }
    }
}

/// Makes `clusterIP` and `clusterIPs` agree where a client that knows only
/// one of them changed it.
pub fn agree_on_cluster_ips(new: &mut Value, old: Option<&Value>) {
    let one = new["spec"]["clusterIP"].text().to_owned();
    let Some(old) = old else {
        if !one.is_empty() && new["spec"]["clusterIPs"].items().is_empty() {
            new.entry("spec").set("clusterIPs", value!([one]));
        }
        return;
    };
    let before = old["spec"]["clusterIP"].text();
    let list = &old["spec"]["clusterIPs"];
    if one == before && new["spec"]["clusterIPs"].items().is_empty() && !list.items().is_empty() {
        new.entry("spec").set("clusterIPs", list.clone());
    }
    let same_list = new["spec"]["clusterIPs"].items() == list.items();
    if one == before || !same_list {
        return;
    }
    if one.is_empty() {
        new.entry("spec").remove("clusterIPs");
    } else {
        new.entry("spec").set("clusterIPs", value!([one]));
    }
}

/// Keeps what was allocated where an update leaves it out.
pub fn keep_allocated(new: &mut Value, old: &Value) {
    if has_cluster_ip(new) && has_cluster_ip(old) {
        if new["spec"]["clusterIP"].text().is_empty() && !old["spec"]["clusterIP"].is_null() {
            let one = old["spec"]["clusterIP"].clone();
            new.entry("spec").set("clusterIP", one);
        }
        if new["spec"]["clusterIPs"].items().is_empty() && !old["spec"]["clusterIPs"].is_null() {
            let all = old["spec"]["clusterIPs"].clone();
            new.entry("spec").set("clusterIPs", all);
        }
    }
    if needs_node_ports(new) && needs_node_ports(old) {
        keep_node_ports(new, old);
    }
    if needs_health_check_port(new)
        && needs_health_check_port(old)
        && new["spec"]["healthCheckNodePort"].as_i64().unwrap_or(0) == 0
    {
        let port = old["spec"]["healthCheckNodePort"].clone();
        new.entry("spec").set("healthCheckNodePort", port);
    }
}

/// A port without a node port gets the one that the port of its name had, unless the
/// Service still says that of another.
fn keep_node_ports(new: &mut Value, old: &Value) {
    let before: HashSet<i64> = node_ports(old).collect();
    let said: HashSet<i64> = node_ports(new).filter(|port| before.contains(port)).collect();
    let mut named: HashMap<&str, i64> = HashMap::new();
    for port in old["spec"]["ports"].items() {
        named.insert(port["name"].text(), port["nodePort"].as_i64().unwrap_or(0));
    }
    for port in crate::changes::items(new.entry("spec"), "ports") {
        if port["nodePort"].as_i64().unwrap_or(0) != 0 {
            continue;
        }
        if let Some(&number) = named.get(port["name"].text())
            && number != 0
            && !said.contains(&number)
        {
            port.set("nodePort", number);
        }
    }
}

/// The node ports of a Service that are set, without the one for health.
pub fn node_ports(service: &Value) -> impl Iterator<Item = i64> {
    service["spec"]["ports"].items().iter().filter_map(|port| port["nodePort"].as_i64()).filter(|&n| n != 0)
}

/// A Service that is a name elsewhere routes nothing inside.
pub fn drop_internal_policy(service: &mut Value) {
    if service["spec"]["type"].text() == "ExternalName" {
        service.entry("spec").remove("internalTrafficPolicy");
    }
}

/// Drops what the new type does not use, unless the update changed it (then
/// validation says that it may not be set).
pub fn drop_unused(new: &mut Value, old: &Value) {
    let same = |new: &Value, field: &str| new["spec"][field] == old["spec"][field];
    if has_cluster_ip(old) && !has_cluster_ip(new) {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"] {
            if same(new, field) {
                new.entry("spec").remove(field);
            }
        }
    }
    if needs_node_ports(old) && !needs_node_ports(new) && node_ports(new).eq(node_ports(old)) {
        for port in new.entry("spec").get_mut("ports").map_or(&mut [][..], Value::items_mut) {
            port.remove("nodePort");
        }
    }
    if needs_health_check_port(old) && !needs_health_check_port(new) && same(new, "healthCheckNodePort") {
        new.entry("spec").remove("healthCheckNodePort");
    }
    let balances = |service: &Value| service["spec"]["type"].text() == "LoadBalancer";
    if balances(old) && !balances(new) {
        for field in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] {
            if same(new, field) {
                new.entry("spec").remove(field);
            }
        }
    }
    if is_external(old) && !is_external(new) && same(new, "externalTrafficPolicy") {
        new.entry("spec").remove("externalTrafficPolicy");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(spec: Value) -> Value {
        let mut made = value!({"spec": spec});
        service(&mut made);
        made
    }

    #[test]
    fn defaults_follow_the_type() {
        let plain = made(value!({"ports": [{"port": 80}, {"port": 443, "targetPort": "tls"}]}));
        assert_eq!(plain["spec"]["ports"][0]["targetPort"].as_i64(), Some(80));
        assert_eq!(plain["spec"]["ports"][1]["targetPort"].text(), "tls");
        assert_eq!(plain["spec"]["internalTrafficPolicy"].text(), "Cluster");
        assert!(plain["spec"]["externalTrafficPolicy"].is_null());
        let outside = made(value!({"type": "LoadBalancer"}));
        assert!(outside["spec"]["allocateLoadBalancerNodePorts"].is_true());
        assert_eq!(outside["spec"]["externalTrafficPolicy"].text(), "Cluster");
        let name = made(value!({"type": "ExternalName", "externalName": "a.example"}));
        assert!(name["spec"]["internalTrafficPolicy"].is_null());
    }

    #[test]
    fn sticky_services_have_a_time() {
        let sticky = made(value!({"sessionAffinity": "ClientIP"}));
        assert_eq!(
            sticky["spec"]["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"].as_i64(),
            Some(10_800)
        );
        let not = made(value!({"sessionAffinity": "None", "sessionAffinityConfig": {"clientIP": {}}}));
        assert!(not["spec"]["sessionAffinityConfig"].is_null());
    }

    #[test]
    fn an_update_keeps_addresses_and_ports_that_it_leaves_out() {
        let old = value!({"spec": {"type": "NodePort", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"],
            "ports": [{"name": "a", "port": 80, "nodePort": 30080}, {"name": "b", "port": 81, "nodePort": 30081}]}});
        let mut new = value!({"spec": {"type": "NodePort",
            "ports": [{"name": "a", "port": 90}, {"name": "c", "port": 91}, {"name": "b", "port": 81}]}});
        keep_allocated(&mut new, &old);
        assert_eq!(new["spec"]["clusterIP"].text(), "10.0.0.1");
        assert_eq!(new["spec"]["clusterIPs"][0].text(), "10.0.0.1");
        assert_eq!(node_ports(&new).collect::<Vec<_>>(), [30080, 30081]);
        let mut moved = value!({"spec": {"type": "NodePort",
            "ports": [{"name": "a", "port": 80}, {"name": "c", "port": 91, "nodePort": 30080}]}});
        keep_allocated(&mut moved, &old);
        assert_eq!(node_ports(&moved).collect::<Vec<_>>(), [30080]);
    }

    #[test]
    fn what_a_type_does_not_use_goes_unless_it_was_changed() {
        let old = value!({"spec": {"type": "LoadBalancer", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"],
            "allocateLoadBalancerNodePorts": true, "externalTrafficPolicy": "Cluster",
            "ports": [{"port": 80, "nodePort": 30080}]}});
        let mut new = old.clone();
        new.entry("spec").set("type", "ClusterIP");
        drop_unused(&mut new, &old);
        assert_eq!(
            new["spec"],
            value!({"type": "ClusterIP", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ports": [{"port": 80}]})
        );
        let mut changed = old.clone();
        changed.entry("spec").set("type", "ClusterIP");
        changed.entry("spec").set("externalTrafficPolicy", "Local");
        drop_unused(&mut changed, &old);
        assert_eq!(changed["spec"]["externalTrafficPolicy"].text(), "Local");
    }

    #[test]
    fn the_two_fields_for_addresses_agree() {
        let mut new = value!({"spec": {"clusterIP": "None"}});
        agree_on_cluster_ips(&mut new, None);
        assert_eq!(new["spec"]["clusterIPs"], value!(["None"]));
        let old = value!({"spec": {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"]}});
        let mut cleared = value!({"spec": {"clusterIPs": ["10.0.0.1"]}});
        agree_on_cluster_ips(&mut cleared, Some(&old));
        assert!(cleared["spec"]["clusterIPs"].is_null());
        let mut other = value!({"spec": {"clusterIP": "10.0.0.2"}});
        keep_allocated(&mut other, &old);
        agree_on_cluster_ips(&mut other, Some(&old));
        assert_eq!(other["spec"]["clusterIPs"], value!(["10.0.0.2"]));
    }
}
