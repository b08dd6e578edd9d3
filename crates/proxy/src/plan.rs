//! One Service with its slices as elements of the maps. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use network::Protocol;
use network::conntrack::Flows;
use network::rules::{Family, Key, Value, Verdict};

use crate::chains::{ALL, Picker, Reach, refuse};
use crate::model::{Endpoint, Service, ServicePort, Slice};

/// What the plan must know of this node.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// Its name, as endpoints give it.
    pub name: String,
    /// Its zone, by the label of its Node.
    pub zone: Option<String>,
    /// The pod ranges of the cluster: who is inside.
    pub cluster_ranges: Vec<IpNet>,
    /// Service addresses that the node answers itself (the cluster DNS): no
    /// rule may lead their packets elsewhere, nor refuse them.
    pub own_addresses: Vec<IpAddr>,
}

/// What one Service puts into the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Elements by set.
    pub elements: BTreeMap<String, BTreeMap<Key, Option<Value>>>,
    /// The chains that the elements lead to.
    pub pickers: BTreeSet<Picker>,
    /// UDP frontends and the endpoints behind each.
    pub udp: BTreeMap<Frontend, BTreeSet<(IpAddr, u16)>>,
    /// How many ready endpoints this node has, over all ports.
    pub local_endpoints: usize,
}

/// What a client sends its packets to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Frontend {
    pub family: Family,
    /// None: any address of the node.
    pub address: Option<IpAddr>,
    pub protocol: Protocol,
    pub port: u16,
}

impl Frontend {
    /// The connections from clients to it; `backend` None: to whomever.
    pub fn flows(&self, backend: Option<(IpAddr, u16)>) -> Flows {
        Flows {
            protocol: self.protocol,
            destination: self.address,
            destination_port: Some(self.port),
            backend: backend.map(|(address, _)| address),
            backend_port: backend.map(|(_, port)| port),
        }
    }

    fn key(&self) -> Key {
        let address = self.address.unwrap_or_else(|| self.family.any());
        Key::new().address(address).protocol(self.protocol).port(self.port)
    }
}

/// The endpoints of one port in one family.
struct Backends {
    /// Those of the whole cluster that take traffic of this node's clients.
    cluster: Vec<(IpAddr, u16)>,
    /// Those on this node that take traffic.
    local: Vec<(IpAddr, u16)>,
}

/// Plans `service`. `slices` are its EndpointSlices in any order; the same
/// input gives the same plan.
pub fn plan<'a>(service: &Service, slices: impl IntoIterator<Item = &'a Slice>, node: &Node) -> Plan {
    plan_owned(service, slices, node, |_, _, _| true)
}

/// As [`plan`], serving only those outside addresses that are the Service's.
pub(crate) fn plan_owned<'a>(
    service: &Service,
    slices: impl IntoIterator<Item = &'a Slice>,
    node: &Node,
    owns: impl Fn(IpAddr, Protocol, u16) -> bool,
) -> Plan {
    let slices: Vec<_> = slices.into_iter().collect();
    let mut plan = Plan::default();
    let local = slices.iter().flat_map(|slice| &slice.endpoints);
    let local = local.filter(|endpoint| endpoint.ready && is_local(endpoint, node));
    plan.local_endpoints = local.map(|endpoint| endpoint.address).collect::<BTreeSet<_>>().len();
    for port in &service.ports {
        let mut families: Vec<_> = service.cluster_ips.iter().map(|ip| Family::of(*ip)).collect();
        families.dedup();
        for family in families {
            let backends = backends(port, family, &slices, node);
            let served = |address, protocol, port| {
                !node.own_addresses.contains(&address)
                    && (service.cluster_ips.contains(&address) || owns(address, protocol, port))
            };
            plan.port(service, port, family, &backends, &served);
        }
    }
    plan
}

fn is_local(endpoint: &Endpoint, node: &Node) -> bool {
    endpoint.node.as_deref() == Some(node.name.as_str())
}

fn backends(port: &ServicePort, family: Family, slices: &[&Slice], node: &Node) -> Backends {
    let mut found: BTreeMap<(IpAddr, u16), &Endpoint> = BTreeMap::new();
    for slice in slices {
        let numbers =
            slice.ports.iter().filter(|item| item.name == port.name && item.protocol == port.protocol);
        for number in numbers {
            for endpoint in slice.endpoints.iter().filter(|endpoint| Family::of(endpoint.address) == family) {
                let at = (endpoint.address, number.port);
                // In two slices while it moves between them: the better counts.
                if found.get(&at).is_none_or(|other| !other.ready && endpoint.ready) {
                    found.insert(at, endpoint);
                }
            }
        }
    }
    let nearness = nearness(found.values().copied().filter(|endpoint| endpoint.ready), node);
    // Where none is ready, those that still answer while they end serve on.
    let choose = |takes: &dyn Fn(&Endpoint) -> bool, near: Nearness| {
        let all = || found.iter().filter(|(_, endpoint)| takes(endpoint));
        let ready = all().filter(|(_, endpoint)| endpoint.ready && near.holds(endpoint, node));
        let ready: Vec<_> = ready.map(|(at, _)| *at).collect();
        if !ready.is_empty() {
            return ready;
        }
        all().filter(|(_, endpoint)| endpoint.serving_while_terminating).map(|(at, _)| *at).collect()
    };
    Backends {
        cluster: choose(&|_| true, nearness),
        local: choose(&|endpoint| is_local(endpoint, node), Nearness::Any),
    }
}

/// How near an endpoint must be.
#[derive(Clone, Copy)]
enum Nearness {
    Node,
    Zone,
    Any,
}

impl Nearness {
    fn holds(self, endpoint: &Endpoint, node: &Node) -> bool {
        match self {
            Self::Node => endpoint.for_nodes.contains(&node.name),
            Self::Zone => node.zone.as_ref().is_some_and(|zone| endpoint.for_zones.contains(zone)),
            Self::Any => true,
        }
    }
}

/// The nearest that is to be had. Hints count only if every ready endpoint has
/// them: otherwise somebody is just giving them or taking them away.
fn nearness<'a>(ready: impl Iterator<Item = &'a Endpoint> + Clone, node: &Node) -> Nearness {
    let meant = |near: Nearness, hints: fn(&Endpoint) -> &[String]| {
        ready.clone().all(|endpoint| !hints(endpoint).is_empty())
            && ready.clone().any(|endpoint| near.holds(endpoint, node))
    };
    if meant(Nearness::Node, |endpoint| &endpoint.for_nodes) {
        Nearness::Node
    } else if meant(Nearness::Zone, |endpoint| &endpoint.for_zones) {
        Nearness::Zone
    } else {
        Nearness::Any
    }
}

impl Plan {
    fn port(
        &mut self,
        service: &Service,
        port: &ServicePort,
        family: Family,
        backends: &Backends,
        served: &impl Fn(IpAddr, Protocol, u16) -> bool,
    ) {
        let protocol = port.protocol;
        let frontend = |address, port| Frontend { family, address, protocol, port };
        let chosen = |ips: &[IpAddr]| {
            let ips = ips.iter().copied().filter(|ip| Family::of(*ip) == family);
            ips.filter(|ip| served(*ip, protocol, port.port)).collect::<Vec<_>>()
        };
        for address in chosen(&service.cluster_ips) {
            let frontend = frontend(Some(address), port.port);
            self.internal(service, frontend, backends);
        }
        for address in chosen(&service.external_ips) {
            let frontend = frontend(Some(address), port.port);
            self.external(service, frontend, backends);
        }
        if port.node_port != 0 {
            self.external(service, frontend(None, port.node_port), backends);
        }
    }

    fn internal(&mut self, service: &Service, frontend: Frontend, backends: &Backends) {
        let chosen = if service.internal_local { &backends.local } else { &backends.cluster };
        if chosen.is_empty() {
            return self.refuse(frontend, backends);
        }
        self.lead(service, frontend, Reach::Internal(chosen.len() as u32));
        self.endpoints(service, frontend, 0, chosen);
    }

    fn external(&mut self, service: &Service, frontend: Frontend, backends: &Backends) {
        let all = backends.cluster.len() as u32;
        if all == 0 && backends.local.is_empty() {
            return self.refuse(frontend, backends);
        }
        if !service.external_local {
            self.lead(service, frontend, Reach::External(all));
            return self.endpoints(service, frontend, 0, &backends.cluster);
        }
        let local = backends.local.len() as u32;
        self.lead(service, frontend, Reach::ExternalLocal { local, all });
        self.endpoints(service, frontend, 0, &backends.local);
        self.endpoints_from(frontend, ALL, &backends.cluster);
        if local == 0 {
            self.refuse(frontend, backends);
        }
    }

    /// The frontend leads to a chain.
    fn lead(&mut self, service: &Service, frontend: Frontend, reach: Reach) {
        let sticky = service.affinity.map(|affinity| affinity.timeout_seconds);
        let picker = Picker { node_port: frontend.address.is_none(), reach, sticky };
        self.pickers.insert(picker);
        self.verdict(frontend, "services", "nodeports", Verdict::Goto(picker.to_string()));
    }

    /// Nobody is there at all: refused at once. Somebody is, but not here and
    /// the policy says here: dropped, so that a client that retries may meet
    /// one that is about to start.
    fn refuse(&mut self, frontend: Frontend, backends: &Backends) {
        let verdict = if backends.cluster.is_empty() { refuse() } else { Verdict::Drop };
        self.verdict(frontend, "refused", "refused-nodeports", verdict);
        if frontend.protocol == Protocol::Udp {
            self.udp.entry(frontend).or_default();
        }
    }

    fn verdict(&mut self, frontend: Frontend, addressed: &str, of_node: &str, verdict: Verdict) {
        let (set, key) = match frontend.address {
            Some(_) => (addressed, frontend.key()),
            None => (of_node, Key::new().protocol(frontend.protocol).port(frontend.port)),
        };
        self.insert(frontend.family.name(set), key, Some(Value::Verdict(verdict)));
    }

    /// Numbers the endpoints that clients of the frontend are sent to.
    fn endpoints(&mut self, service: &Service, frontend: Frontend, first: u32, backends: &[(IpAddr, u16)]) {
        self.endpoints_from(frontend, first, backends);
        if service.affinity.is_some() {
            for (address, port) in backends {
                let key = frontend.key().and(&Key::new().address(*address).port(*port));
                self.insert(frontend.family.name("affine"), key, None);
            }
        }
    }

    fn endpoints_from(&mut self, frontend: Frontend, first: u32, backends: &[(IpAddr, u16)]) {
        for (number, (address, port)) in (first..).zip(backends) {
            let to = Value::Data(Key::new().address(*address).port(*port));
            self.insert(frontend.family.name("endpoints"), frontend.key().number(number), Some(to));
        }
        if frontend.protocol == Protocol::Udp {
            self.udp.entry(frontend).or_default().extend(backends);
        }
    }

    fn insert(&mut self, set: String, key: Key, value: Option<Value>) {
        self.elements.entry(set).or_default().insert(key, value);
    }
}
