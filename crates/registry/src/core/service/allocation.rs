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
use super::defaults::{agree_on_cluster_ips, is_headless, keep_allocated, needs_cluster_ip};
use super::families;
use super::node_ports::NodePorts;
use super::ports::{self, all_ports};

/// The group of IPAddress and ServiceCIDR.
const NETWORKING: &str = "networking.k8s.io";
/// The RangeAllocation of node ports, as kube-apiserver names it.
pub const NODE_PORTS: &str = "servicenodeports";

/// Why a Service gets nothing.
#[derive(Debug)]
pub(super) enum Refusal {
    /// What it says of addresses or ports cannot be.
    Invalid(Errors),
    /// The cluster has none left.
    Failed(Status),
}

/// Gives, keeps and releases; `old` is None for a create, `object` null for a deletion.
/// A change keeps what it leaves out.
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
    if let Some(old) = old {
        keep_allocated(object, old);
    }
    agree_on_cluster_ips(object, old);
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

pub(super) fn refused(path: &Path<'_>, value: Value, why: &str) -> Refusal {
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
        // As upstream, a dry run shows an address that no Service is given.
        if context.dry_run {
            return Ok(range.net().network());
        }
        let mut candidates = range.candidates(context.random.next_u64());
        if let Some(free) = candidates.find(|address| !is_taken(context.view, *address) && !ours(address)) {
            return Ok(free);
        }
    }
    let service = quote(meta::name(object));
    Err(failed(&format!("failed to allocate a serviceIP for Service {service}: range is full")))
}

fn check_asked(
    context: &Context<'_>,
    asked: &str,
    ranges: &[AddressRange],
    object: &Value,
) -> Result<IpAddr, Refusal> {
    let not_given = |why: &str| {
        let spec = Path::Root.child("spec");
        let list = object["spec"]["clusterIPs"].clone();
        refused(&spec.child("clusterIPs"), list, &format!("failed to allocate IP {asked}: {why}"))
    };
    let Some(address) = parse_ip_sloppy(asked).map(|address| address.to_canonical()) else {
        return Err(failed(&format!("failed to parse service IP {}", quote(asked))));
    };
    let outside = |range: &AddressRange| {
        not_given(&format!(
            "the provided IP ({address}) is not in the valid range. The range of valid IPs is {}",
            range.net()
        ))
    };
    let Some(range) = ranges.iter().find(|range| range.net().contains(&address)) else {
        // As upstream, a dry run asks one range, whichever the address is of.
        return Err(match ranges.first() {
            Some(range) if context.dry_run => outside(range),
            _ => not_given("the provided network does not match the current range"),
        });
    };
    if !range.contains(address) {
        return Err(outside(range));
    }
    if !context.dry_run && is_taken(context.view, address) {
        return Err(not_given("provided IP is already allocated"));
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

pub(super) fn failed(why: &str) -> Refusal {
    Refusal::Failed(Status::internal(why))
}

fn give_ports(
    context: &Context<'_>,
    object: &mut Value,
    old: Option<&Value>,
    companions: &mut Vec<Companion>,
) -> Result<(), Refusal> {
    if !ports::concerns(object, old) {
        return Ok(());
    }
    let mut table = Table::read(context.view);
    let was = table.ports.clone();
    let mut random = || context.random.next_u64();
    ports::give(object, old, &mut table.ports, context.dry_run, &mut random)?;
    if table.ports != was || table.revision.is_none() {
        companions.push(table.write());
    }
    Ok(())
}
