//! Services, their endpoints, ingresses, policies and addresses.

use apimachinery::{Value, meta};
use jiff::Timestamp;

use super::words::{NONE, UNSET, age, at_most, cells, joined, labels, name, number, or, selector};

/// Endpoints and ports that are shown before `+ N more...`.
const MOST: usize = 3;

/// Name, Type, Cluster-IP, External-IP, Port(s), Age, Selector.
pub fn service(service: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &service["spec"];
    cells![
        name(service),
        spec["type"].text(),
        or(&spec["clusterIPs"][0], NONE),
        external(service),
        ports(&spec["ports"]),
        age(service, now),
        labels(&spec["selector"]),
    ]
}

fn external(service: &Value) -> String {
    let spec = &service["spec"];
    let own = joined(&spec["externalIPs"], ",");
    match spec["type"].text() {
        "LoadBalancer" => {
            let given = balancers(&service["status"]["loadBalancer"]);
            match (given.is_empty(), own.is_empty()) {
                (true, true) => "<pending>".into(),
                (false, true) => given,
                (true, false) => own,
                (false, false) => format!("{given},{own}"),
            }
        }
        "ExternalName" => spec["externalName"].text().into(),
        _ if own.is_empty() => NONE.into(),
        _ => own,
    }
}

/// The addresses or names that a load balancer has, in order.
fn balancers(status: &Value) -> String {
    let mut names: Vec<&str> = status["ingress"]
        .items()
        .iter()
        .map(|entry| or(&entry["ip"], entry["hostname"].text()))
        .filter(|name| !name.is_empty())
        .collect();
    names.sort_unstable();
    names.dedup();
    names.join(",")
}

fn ports(ports: &Value) -> String {
    let texts: Vec<String> = ports
        .items()
        .iter()
        .map(|port| {
            let protocol = port["protocol"].text();
            match number(&port["nodePort"]) {
                0 => format!("{}/{protocol}", number(&port["port"])),
                node => format!("{}:{node}/{protocol}", number(&port["port"])),
            }
        })
        .collect();
    if texts.is_empty() { NONE.into() } else { texts.join(",") }
}

/// Name, Endpoints, Age.
pub fn endpoints(object: &Value, now: Timestamp) -> Vec<Value> {
    let subsets = object["subsets"].items();
    let mut list: Vec<String> = Vec::new();
    for subset in subsets {
        let addresses = || subset["addresses"].items().iter().map(|address| address["ip"].text());
        if subset["ports"].items().is_empty() {
            list.extend(addresses().map(str::to_owned));
        }
        for port in subset["ports"].items() {
            list.extend(addresses().map(|ip| host_port(ip, number(&port["port"]))));
        }
    }
    let text = if subsets.is_empty() { NONE.into() } else { at_most(&list, MOST, ",") };
    cells![name(object), text, age(object, now)]
}

fn host_port(ip: &str, port: i64) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

/// Name, AddressType, Ports, Endpoints, Age.
pub fn endpoint_slice(object: &Value, now: Timestamp) -> Vec<Value> {
    let ports: Vec<String> = object["ports"]
        .items()
        .iter()
        .map(|port| match port["port"].as_i64() {
            Some(number) => number.to_string(),
            None => or(&port["name"], "*").to_owned(),
        })
        .collect();
    let addresses: Vec<String> = object["endpoints"]
        .items()
        .iter()
        .flat_map(|endpoint| endpoint["addresses"].items())
        .map(|address| address.text().to_owned())
        .collect();
    let shown = |list: &[String]| if list.is_empty() { UNSET.to_owned() } else { at_most(list, MOST, ",") };
    cells![name(object), object["addressType"].text(), shown(&ports), shown(&addresses), age(object, now)]
}

/// Name, Class, Hosts, Address, Ports, Age.
pub fn ingress(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let hosts: Vec<String> = spec["rules"]
        .items()
        .iter()
        .map(|rule| rule["host"].text().to_owned())
        .filter(|host| !host.is_empty())
        .collect();
    let hosts = if hosts.is_empty() { "*".into() } else { at_most(&hosts, MOST, ",") };
    let ports = if spec["tls"].items().is_empty() { "80" } else { "80, 443" };
    cells![
        name(object),
        or(&spec["ingressClassName"], NONE),
        hosts,
        balancers(&object["status"]["loadBalancer"]),
        ports,
        age(object, now),
    ]
}

/// Name, Controller, Parameters, Age.
pub fn ingress_class(object: &Value, now: Timestamp) -> Vec<Value> {
    let parameters = &object["spec"]["parameters"];
    let told = if parameters.is_null() {
        NONE.to_owned()
    } else {
        let dot = if parameters["apiGroup"].is_null() { "" } else { "." };
        format!(
            "{}{dot}{}/{}",
            parameters["kind"].text(),
            parameters["apiGroup"].text(),
            parameters["name"].text()
        )
    };
    let default = meta::annotation(object, "ingressclass.kubernetes.io/is-default-class") == Some("true");
    let mark = if default { " (default)" } else { "" };
    cells![format!("{}{mark}", name(object)), object["spec"]["controller"].text(), told, age(object, now)]
}

/// Name, Pod-Selector, Age.
pub fn network_policy(object: &Value, now: Timestamp) -> Vec<Value> {
    cells![name(object), selector(&object["spec"]["podSelector"]), age(object, now)]
}

/// Name, CIDRs, Age.
pub fn service_cidr(object: &Value, now: Timestamp) -> Vec<Value> {
    cells![name(object), joined(&object["spec"]["cidrs"], ","), age(object, now)]
}

/// Name, ParentRef.
pub fn ip_address(object: &Value, now: Timestamp) -> Vec<Value> {
    let parent = &object["spec"]["parentRef"];
    let told = if parent.is_null() {
        NONE.to_owned()
    } else {
        let mut text = parent["resource"].text().to_lowercase();
        for (separator, field) in [('.', "group"), ('/', "namespace"), ('/', "name")] {
            let part = parent[field].text();
            if !part.is_empty() || field == "name" {
                text.push(separator);
                text.push_str(part);
            }
        }
        text
    };
    // Upstream has an age without a column.
    cells![name(object), told, age(object, now)]
}
