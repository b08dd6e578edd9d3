//! Addresses and node ports of a Service, given in the transaction of its write.
//!
//! An address is taken by creating its IPAddress; the node ports are one
//! RangeAllocation, written only at the revision at which it was read. So of
//! two writers that choose the same, one is run again by the engine.

use std::net::IpAddr;

use apimachinery::field::{Errors, Path};
use apimachinery::{Status, Value, meta, value};
use apiserver::{Change, Companion, Context, View};

use super::addresses::AddressRange;
use super::defaults::{is_headless, needs_cluster_ip, needs_health_check_port, needs_node_ports, node_ports};
use super::families;
use super::node_ports::{NodePorts, in_range};

/// The group of IPAddress and ServiceCIDR.
const NETWORKING: &str = "networking.k8s.io";
/// The RangeAllocation of node ports, as kube-apiserver names it.
pub const NODE_PORTS: &str = "servicenodeports";

/// Gives, keeps and releases; `old` is None for a create, `object` null for a deletion.
pub fn allocate(
    context: &Context<'_>,
    object: &mut Value,
    old: Option<&Value>,
    companions: &mut Vec<Companion>,
) -> Result<(), Status> {
    if object.is_null() {
        if let Some(old) = old {
            release(context, old, companions);
        }
        return Ok(());
    }
    let ranges = ranges(context.view);
    let available = families_of(&ranges);
    let refuse = |errors: &Errors, object: &Value| {
        Status::invalid(context.definition.group_kind(), meta::name(object), errors)
    };
    let errors = families::choose(object, &available, old);
    if !errors.is_empty() {
        return Err(refuse(&errors, object));
    }
    give_addresses(context, object, old, &ranges, companions)?;
    give_ports(context, object, old, companions)
}

/// The ranges in force, the one called `kubernetes` first.
fn ranges(view: &View) -> Vec<AddressRange> {
    let mut all: Vec<(bool, AddressRange)> = Vec::new();
    for cidr in view.list(NETWORKING, "servicecidrs", "") {
        if cidr.is_terminating() {
            continue;
        }
        let own = cidr.name() == "kubernetes";
        let tree = cidr.tree();
        let nets = tree["spec"]["cidrs"].items().iter().filter_map(|net| net.text().parse().ok());
        all.extend(nets.map(|net| (!own, AddressRange::new(net))));
    }
    all.sort_by_key(|(other, _)| *other);
    all.into_iter().map(|(_, range)| range).collect()
}

fn families_of(ranges: &[AddressRange]) -> Vec<&'static str> {
    let mut families = Vec::new();
    for range in ranges {
        let family = if range.net().addr().is_ipv4() { "IPv4" } else { "IPv6" };
        if !families.contains(&family) {
            families.push(family);
        }
    }
    families
}

fn cluster_ips(service: &Value) -> Vec<String> {
    if !needs_cluster_ip(service) || is_headless(service) {
        return Vec::new();
    }
    service["spec"]["clusterIPs"].items().iter().map(|address| address.text().to_owned()).collect()
}

fn give_addresses(
    context: &Context<'_>,
    object: &mut Value,
    old: Option<&Value>,
    ranges: &[AddressRange],
    companions: &mut Vec<Companion>,
) -> Result<(), Status> {
    let before = old.map(cluster_ips).unwrap_or_default();
    if !needs_cluster_ip(object) || is_headless(object) {
        for address in &before {
            release_address(context.view, address, companions);
        }
        return Ok(());
    }
    let wanted: Vec<String> =
        object["spec"]["ipFamilies"].items().iter().map(|family| family.text().to_owned()).collect();
    let mut given: Vec<String> = Vec::new();
    for (at, family) in wanted.iter().enumerate() {
        let asked = object["spec"]["clusterIPs"][at].text().to_owned();
        let address = if asked.is_empty() {
            choose_address(context, family, ranges, companions, object)?
        } else if before.contains(&asked) {
            given.push(asked);
            continue;
        } else {
            check_asked(context, &asked, ranges, object)?
        };
        companions.push(take_address(object, context.namespace, &address));
        given.push(address.to_string());
    }
    for address in before.iter().filter(|address| !given.contains(address)) {
        release_address(context.view, address, companions);
    }
    let spec = object.entry("spec");
    if let Some(first) = given.first() {
        spec.set("clusterIP", first.as_str());
    }
    spec.set("clusterIPs", given.iter().map(Value::from).collect::<Vec<_>>());
    Ok(())
}

fn refuse(context: &Context<'_>, object: &Value, fill: impl FnOnce(&mut Errors)) -> Status {
    let mut errors = Errors::new();
    fill(&mut errors);
    Status::invalid(context.definition.group_kind(), meta::name(object), &errors)
}

fn is_taken(view: &View, address: IpAddr) -> bool {
    view.get(NETWORKING, "ipaddresses", "", &address.to_string()).is_some()
}

fn choose_address(
    context: &Context<'_>,
    family: &str,
    ranges: &[AddressRange],
    companions: &[Companion],
    object: &Value,
) -> Result<IpAddr, Status> {
    let ours = |address: &IpAddr| companions.iter().any(|companion| companion.name == address.to_string());
    for range in ranges.iter().filter(|range| range.net().addr().is_ipv4() == (family == "IPv4")) {
        let mut candidates = range.candidates(context.random.next_u64());
        if let Some(free) = candidates.find(|address| !is_taken(context.view, *address) && !ours(address)) {
            return Ok(free);
        }
    }
    Err(Status::internal(format!(
        "failed to allocate a serviceIP: range is full ({family} for service {}/{})",
        context.namespace,
        meta::name(object)
    )))
}

fn check_asked(
    context: &Context<'_>,
    asked: &str,
    ranges: &[AddressRange],
    object: &Value,
) -> Result<IpAddr, Status> {
    let list = object["spec"]["clusterIPs"].clone();
    let failed = |why: String| {
        refuse(context, object, |errors| {
            let spec = Path::Root.child("spec");
            errors.invalid(
                &spec.child("clusterIPs"),
                list.clone(),
                &format!("failed to allocate IP {asked}: {why}"),
            );
        })
    };
    let address: IpAddr = asked.parse().map_err(|_| failed("not a valid IP address".into()))?;
    if !ranges.iter().any(|range| range.contains(address)) {
        let nets: Vec<String> = ranges.iter().map(|range| range.net().to_string()).collect();
        return Err(failed(format!(
            "the provided IP is not in the valid range. The range of valid IPs is {}",
            nets.join(",")
        )));
    }
    if is_taken(context.view, address) {
        return Err(failed("provided IP is already allocated".into()));
    }
    Ok(address)
}

/// The IPAddress by which `service` holds `address`.
pub fn take_address(service: &Value, namespace: &str, address: &IpAddr) -> Companion {
    let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
    Companion {
        group: NETWORKING.into(),
        resource: "ipaddresses".into(),
        namespace: String::new(),
        name: address.to_string(),
        change: Change::Create(value!({
            "kind": "IPAddress",
            "apiVersion": "networking.k8s.io/v1",
            "metadata": {
                "name": address.to_string(),
                "labels": {
                    "ipaddress.kubernetes.io/ip-family": family,
                    "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"
                }
            },
            "spec": {"parentRef": {"resource": "services", "namespace": namespace, "name": meta::name(service)}}
        })),
    }
}

fn release_address(view: &View, address: &str, companions: &mut Vec<Companion>) {
    if let Some(held) = view.get(NETWORKING, "ipaddresses", "", address) {
        companions.push(Companion {
            group: NETWORKING.into(),
            resource: "ipaddresses".into(),
            namespace: String::new(),
            name: address.to_owned(),
            change: Change::Delete { revision: held.revision() },
        });
    }
}

fn release(context: &Context<'_>, old: &Value, companions: &mut Vec<Companion>) {
    for address in cluster_ips(old) {
        release_address(context.view, &address, companions);
    }
    let ports = all_ports(old);
    if !ports.is_empty() {
        let mut table = Table::read(context.view);
        for port in ports {
            table.ports.release(port);
        }
        companions.push(table.write());
    }
}

/// The node ports of a Service, with the one for health, once each.
fn all_ports(service: &Value) -> Vec<u16> {
    let health = service["spec"]["healthCheckNodePort"].as_i64().filter(|&port| port != 0);
    let mut ports: Vec<u16> =
        node_ports(service).chain(health).filter_map(|port| u16::try_from(port).ok()).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// The RangeAllocation and the revision at which it was read.
struct Table {
    ports: NodePorts,
    revision: Option<u64>,
    object: Value,
}

impl Table {
    fn read(view: &View) -> Self {
        match view.get("", "rangeallocations", "", NODE_PORTS) {
            Some(stored) => {
                let object = stored.tree();
                let ports = NodePorts::read(object["data"].text()).unwrap_or_else(|why| {
                    tracing::error!(
                        "the table of node ports cannot be read ({why}); it is made anew from the Services"
                    );
                    rebuilt(view)
                });
                Self { ports, revision: Some(stored.revision()), object }
            }
            None => Self { ports: rebuilt(view), revision: None, object: Value::Null },
        }
    }

    fn write(self) -> Companion {
        let mut object = if self.object.is_null() {
            value!({"kind": "RangeAllocation", "apiVersion": "v1", "metadata": {"name": NODE_PORTS}})
        } else {
            self.object
        };
        object.set("range", NodePorts::range());
        object.set("data", self.ports.write());
        let change = match self.revision {
            Some(revision) => Change::Update { revision, object },
            None => Change::Create(object),
        };
        Companion {
            group: String::new(),
            resource: "rangeallocations".into(),
            namespace: String::new(),
            name: NODE_PORTS.into(),
            change,
        }
    }
}

/// The ports that Services hold, when there is no table yet.
fn rebuilt(view: &View) -> NodePorts {
    let mut ports = NodePorts::default();
    for service in view.list("", "services", "") {
        for port in all_ports(&service.tree()) {
            ports.take(port);
        }
    }
    ports
}

fn give_ports(
    context: &Context<'_>,
    object: &mut Value,
    old: Option<&Value>,
    companions: &mut Vec<Companion>,
) -> Result<(), Status> {
    let before = old.map(all_ports).unwrap_or_default();
    let wanted = needs_node_ports(object);
    let explicit = node_ports(object).next().is_some();
    let health = needs_health_check_port(object);
    if !wanted && !explicit && !health && before.is_empty() {
        return Ok(());
    }
    let mut table = Table::read(context.view);
    let was = table.ports.clone();
    // What stays is released first, so that it can be taken again.
    for &port in &before {
        table.ports.release(port);
    }
    if wanted || explicit {
        give_service_ports(context, object, &mut table.ports, wanted)?;
    }
    if health {
        give_health_port(context, object, &mut table.ports)?;
    }
    if table.ports != was || table.revision.is_none() {
        companions.push(table.write());
    }
    Ok(())
}

fn give_service_ports(
    context: &Context<'_>,
    object: &mut Value,
    ports: &mut NodePorts,
    wanted: bool,
) -> Result<(), Status> {
    // Two ports may share a node port where their protocols differ.
    let mut taken: Vec<(String, i64)> = Vec::new();
    for (at, port) in object["spec"]["ports"].items().iter().enumerate() {
        let Some(number) = port["nodePort"].as_i64().filter(|&number| number != 0) else { continue };
        let protocol = port["protocol"].text().to_owned();
        let shared = taken.iter().any(|(other, known)| *known == number && *other != protocol);
        let refused = |why: &str| {
            refuse(context, object, |errors| {
                let spec = Path::Root.child("spec");
                let list = spec.child("ports");
                let one = list.index(at);
                errors.invalid(&one.child("nodePort"), number, why);
            })
        };
        if !in_range(number) {
            return Err(refused(&format!(
                "provided port is not in the valid range. The range of valid ports is {}",
                NodePorts::range()
            )));
        }
        let number_16 = u16::try_from(number).unwrap_or(u16::MAX);
        if !shared && !ports.take(number_16) {
            return Err(refused("provided port is already allocated"));
        }
        taken.push((protocol, number));
    }
    if !wanted {
        return Ok(());
    }
    // A port number with two protocols gets one node port for both.
    let mut by_number: Vec<(i64, String, i64)> = object["spec"]["ports"]
        .items()
        .iter()
        .filter_map(|port| {
            let node = port["nodePort"].as_i64().filter(|&number| number != 0)?;
            Some((port["port"].as_i64()?, port["protocol"].text().to_owned(), node))
        })
        .collect();
    for port in crate::changes::items(object.entry("spec"), "ports") {
        if port["nodePort"].as_i64().unwrap_or(0) != 0 {
            continue;
        }
        let number = port["port"].as_i64().unwrap_or(0);
        let protocol = port["protocol"].text().to_owned();
        let shared = by_number
            .iter()
            .find(|(other, of, node)| {
                *other == number
                    && *of != protocol
                    && !by_number.iter().any(|(_, of, given)| given == node && *of == protocol)
            })
            .map(|(_, _, node)| *node);
        let node = match shared {
            Some(node) => node,
            None => ports
                .take_any(context.random.next_u64(), |_| true)
                .map(i64::from)
                .ok_or_else(|| Status::internal("failed to allocate a nodePort: range is full"))?,
        };
        port.set("nodePort", node);
        by_number.push((number, protocol, node));
    }
    Ok(())
}

fn give_health_port(context: &Context<'_>, object: &mut Value, ports: &mut NodePorts) -> Result<(), Status> {
    let asked = object["spec"]["healthCheckNodePort"].as_i64().unwrap_or(0);
    let port = if asked == 0 {
        let port = ports.take_any(context.random.next_u64(), |_| true);
        port.ok_or_else(|| Status::internal("failed to allocate a health check nodePort: range is full"))?
    } else {
        let port = u16::try_from(asked).ok().filter(|&port| ports.take(port));
        port.ok_or_else(|| {
            Status::internal(format!(
                "failed to allocate requested HealthCheck NodePort {asked}: provided port is already allocated"
            ))
        })?
    };
    object.entry("spec").set("healthCheckNodePort", i64::from(port));
    Ok(())
}
