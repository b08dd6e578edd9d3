//! Addresses and node ports of a Service, given in the transaction of its write.
//!
//! An address is taken by creating its IPAddress; the node ports are one
//! RangeAllocation, written only at the revision at which it was read. So of
//! two writers that choose the same, one is run again by the engine.

use std::net::IpAddr;

use apimachinery::field::{Errors, Path, quote};
use apimachinery::validation::parse_ip_sloppy;
use apimachinery::{Status, Value, meta, value};
use apiserver::{Change, Companion, Context, OWN_MANAGER, View};

use super::addresses::AddressRange;
use super::defaults::{is_headless, needs_cluster_ip, needs_health_check_port, needs_node_ports, node_ports};
use super::families;
use super::node_ports::{NodePorts, in_range};

/// The group of IPAddress and ServiceCIDR.
const NETWORKING: &str = "networking.k8s.io";
/// The RangeAllocation of node ports, as kube-apiserver names it.
pub const NODE_PORTS: &str = "servicenodeports";

/// Why a Service gets nothing.
enum Refusal {
    /// What it says of addresses or ports cannot be.
    Invalid(Errors),
    /// The cluster has none left.
    Failed(Status),
}

/// The Service with what it would be given, which is not taken yet; an error
/// is what is wrong with what it asks for.
pub fn tried(context: &Context<'_>, object: &Value, old: Option<&Value>) -> Result<Value, Errors> {
    let mut given = object.clone();
    match give(context, &mut given, old, &mut Vec::new()) {
        Err(Refusal::Invalid(errors)) => Err(errors),
        // Whether one is left is seen at the commit.
        Ok(()) | Err(Refusal::Failed(_)) => Ok(given),
    }
}

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
    give(context, object, old, companions).map_err(|refusal| match refusal {
        Refusal::Invalid(errors) => {
            Status::invalid(context.definition.group_kind(), meta::name(object), &errors)
        }
        Refusal::Failed(status) => status,
    })
}

fn give(
    context: &Context<'_>,
    object: &mut Value,
    old: Option<&Value>,
    companions: &mut Vec<Companion>,
) -> Result<(), Refusal> {
    let ranges = ranges(context.view);
    let errors = families::choose(object, &families_of(&ranges), old);
    if !errors.is_empty() {
        return Err(Refusal::Invalid(errors));
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
) -> Result<(), Refusal> {
    let before = old.map(cluster_ips).unwrap_or_default();
    if !needs_cluster_ip(object) || is_headless(object) {
        for address in &before {
            release_address(context.view, address, companions);
        }
        return Ok(());
    }
    // A Service that has addresses gets none in their place: that they stay is for validation to say.
    let first_new = match old {
        Some(old) if needs_cluster_ip(old) => old["spec"]["ipFamilies"].items().len(),
        _ => 0,
    };
    let wanted: Vec<String> =
        object["spec"]["ipFamilies"].items().iter().map(|family| family.text().to_owned()).collect();
    let mut given: Vec<String> = Vec::new();
    for (at, family) in wanted.iter().enumerate() {
        let asked = object["spec"]["clusterIPs"][at].text().to_owned();
        if at < first_new || before.contains(&asked) {
            if !asked.is_empty() {
                given.push(asked);
            }
            continue;
        }
        let address = if asked.is_empty() {
            choose_address(context, family, ranges, companions, object)?
        } else {
            check_asked(context, &asked, ranges, object)?
        };
        companions.push(take_address(object, context.namespace, &address));
        // What was asked for stays as it was written.
        given.push(if asked.is_empty() { address.to_string() } else { asked });
    }
    for address in before.iter().filter(|address| !given.contains(address)) {
        release_address(context.view, address, companions);
    }
    let spec = object.entry("spec");
    if let Some(first) = given.first() {
        spec.set("clusterIP", first.as_str());
        spec.set("clusterIPs", given.iter().map(Value::from).collect::<Vec<_>>());
    }
    Ok(())
}

fn refused(path: &Path<'_>, value: Value, why: &str) -> Refusal {
    let mut errors = Errors::new();
    errors.invalid(path, value, why);
    Refusal::Invalid(errors)
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
) -> Result<IpAddr, Refusal> {
    let ours = |address: &IpAddr| companions.iter().any(|companion| companion.name == address.to_string());
    for range in ranges.iter().filter(|range| range.net().addr().is_ipv4() == (family == "IPv4")) {
        let mut candidates = range.candidates(context.random.next_u64());
        if let Some(free) = candidates.find(|address| !is_taken(context.view, *address) && !ours(address)) {
            return Ok(free);
        }
    }
    Err(Refusal::Failed(Status::internal(format!(
        "failed to allocate a serviceIP: range is full ({family} for service {}/{})",
        context.namespace,
        meta::name(object)
    ))))
}

fn check_asked(
    context: &Context<'_>,
    asked: &str,
    ranges: &[AddressRange],
    object: &Value,
) -> Result<IpAddr, Refusal> {
    let failed = |why: &str| {
        let spec = Path::Root.child("spec");
        let list = object["spec"]["clusterIPs"].clone();
        refused(&spec.child("clusterIPs"), list, &format!("failed to allocate IP {asked}: {why}"))
    };
    let Some(address) = parse_ip_sloppy(asked).map(|address| address.to_canonical()) else {
        return Err(Refusal::Failed(Status::internal(format!(
            "failed to parse service IP {}",
            quote(asked)
        ))));
    };
    let outside = |range: &AddressRange| {
        failed(&format!(
            "the provided IP ({address}) is not in the valid range. The range of valid IPs is {}",
            range.net()
        ))
    };
    let Some(range) = ranges.iter().find(|range| range.net().contains(&address)) else {
        // As upstream, a dry run asks one range, whichever the address is of.
        return Err(match ranges.first() {
            Some(range) if context.dry_run => outside(range),
            _ => failed("the provided network does not match the current range"),
        });
    };
    if !range.contains(address) {
        return Err(outside(range));
    }
    if is_taken(context.view, address) {
        return Err(failed("provided IP is already allocated"));
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
        manager: OWN_MANAGER,
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
            manager: OWN_MANAGER,
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
            manager: "",
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

fn failed(why: &str) -> Refusal {
    Refusal::Failed(Status::internal(why))
}

fn give_ports(
    context: &Context<'_>,
    object: &mut Value,
    old: Option<&Value>,
    companions: &mut Vec<Companion>,
) -> Result<(), Refusal> {
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
) -> Result<(), Refusal> {
    // Two ports may share a node port where their protocols differ.
    let mut taken: Vec<(String, i64)> = Vec::new();
    for (at, port) in object["spec"]["ports"].items().iter().enumerate() {
        let Some(number) = port["nodePort"].as_i64().filter(|&number| number != 0) else { continue };
        let protocol = port["protocol"].text().to_owned();
        let shared = taken.iter().any(|(other, known)| *known == number && *other != protocol);
        let refused = |why: &str| {
            let spec = Path::Root.child("spec");
            let list = spec.child("ports");
            let one = list.index(at);
            refused(&one.child("nodePort"), number.into(), why)
        };
        if !in_range(number) && context.dry_run {
            // A dry run of upstream's looks for ports that are taken, and at no range.
            continue;
        }
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
                .ok_or_else(|| failed("failed to allocate a nodePort: range is full"))?,
        };
        port.set("nodePort", node);
        by_number.push((number, protocol, node));
    }
    Ok(())
}

fn give_health_port(context: &Context<'_>, object: &mut Value, ports: &mut NodePorts) -> Result<(), Refusal> {
    let asked = object["spec"]["healthCheckNodePort"].as_i64().unwrap_or(0);
    let port = if asked == 0 {
        let port = ports.take_any(context.random.next_u64(), |_| true);
        port.ok_or_else(|| failed("failed to allocate a health check nodePort: range is full"))?
    } else {
        let port = u16::try_from(asked).ok().filter(|&port| ports.take(port));
        port.ok_or_else(|| {
            failed(&format!(
                "failed to allocate requested HealthCheck NodePort {asked}: provided port is already allocated"
            ))
        })?
    };
    object.entry("spec").set("healthCheckNodePort", i64::from(port));
    Ok(())
}
