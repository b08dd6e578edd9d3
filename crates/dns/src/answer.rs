//! A question about the cluster's names and the records that answer it, by the
//! Kubernetes DNS-Based Service Discovery specification 1.1.0 (and, where that
//! is silent, as CoreDNS does). Pure.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::rdata::{A, AAAA, CNAME, NS, PTR, SOA, SRV, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use ipnet::IpNet;

use crate::model::{Endpoint, Port, Service};
use crate::view::View;

/// The version of the specification, told under `dns-version`.
const SPECIFICATION: &str = "1.1.0";
/// A chain of names may be so long.
const CHAIN: usize = 8;

/// What the answers depend on besides the view.
#[derive(Clone, Debug)]
pub struct Config {
    /// The cluster's domain, such as `cluster.local`, without a last dot.
    pub domain: String,
    /// Seconds that records may be kept.
    pub ttl: u32,
    /// Seconds that "no such name" may be kept.
    pub negative_ttl: u32,
    /// Addresses whose names are only known here (pods and services): a
    /// question about another goes to the name servers.
    pub ranges: Vec<IpNet>,
}

impl Config {
    pub fn new(domain: impl Into<String>, ranges: Vec<IpNet>) -> Self {
        let domain: String = domain.into();
        Self { domain: domain.trim_end_matches('.').to_ascii_lowercase(), ttl: 5, negative_ttl: 5, ranges }
    }
}

/// What is known of a name.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Records {
        answers: Vec<Record>,
        /// Addresses of the targets in `answers`.
        additional: Vec<Record>,
        /// The answers end in this name, of which only others know more.
        unfinished: Option<Name>,
    },
    /// The name exists, but not with this type.
    NoData(Record),
    NoName(Record),
    /// The name is not the cluster's: ask the name servers.
    Elsewhere,
}

/// Answers `name` (in any case) and `kind`.
pub fn answer(name: &Name, kind: RecordType, view: &dyn View, config: &Config) -> Answer {
    let zone = Zone { config, view };
    let labels = labels(name);
    if let Some(address) = reverse(&labels) {
        return zone.pointers(name, kind, address);
    }
    match zone.below(&labels) {
        Some(labels) => zone.forward(name, kind, &labels),
        None => Answer::Elsewhere,
    }
}

fn labels(name: &Name) -> Vec<String> {
    name.iter().map(|label| String::from_utf8_lossy(label).to_ascii_lowercase()).collect()
}

/// What a name under the cluster's domain stands for.
enum Found {
    Addresses(Vec<IpAddr>),
    /// `(port, target, addresses of the target)`.
    Ports(Vec<(u16, Name, Vec<IpAddr>)>),
    Alias(Name),
    Text(String),
    /// It is on the way to other names, or has records of other types only.
    Empty,
    Nothing,
}

struct Zone<'a> {
    config: &'a Config,
    view: &'a dyn View,
}

impl Zone<'_> {
    /// The labels before the cluster's domain.
    fn below(&self, labels: &[String]) -> Option<Vec<String>> {
        let domain: Vec<_> = self.config.domain.split('.').collect();
        let cut = labels.len().checked_sub(domain.len())?;
        let (front, back) = labels.split_at(cut);
        (back == domain.as_slice()).then(|| front.to_vec())
    }

    fn name(&self, front: &str) -> Name {
        let text = format!("{front}{}{}.", if front.is_empty() { "" } else { "." }, self.config.domain);
        // Object names are DNS labels, so that the root never stands in for one.
        Name::from_ascii(text).unwrap_or_default()
    }

    fn soa(&self) -> Record {
        let (ns, mail) = (self.name("ns.dns"), self.name("hostmaster"));
        let data = SOA::new(ns, mail, 1, 7200, 1800, 86400, self.config.negative_ttl);
        Record::from_rdata(self.name(""), self.config.negative_ttl, RData::SOA(data))
    }

    fn record(&self, name: &Name, data: RData) -> Record {
        Record::from_rdata(name.clone(), self.config.ttl, data)
    }

    fn forward(&self, name: &Name, kind: RecordType, labels: &[String]) -> Answer {
        if labels.is_empty() {
            return match kind {
                RecordType::SOA => Self::records(vec![self.soa()], Vec::new()),
                RecordType::NS => {
                    Self::records(vec![self.record(name, RData::NS(NS(self.name("ns.dns"))))], Vec::new())
                }
                _ => Answer::NoData(self.soa()),
            };
        }
        let mut answers = Vec::new();
        let mut owner = name.clone();
        let mut labels = labels.to_vec();
        // An alias is followed as long as it stays in the cluster.
        for _ in 0..CHAIN {
            let found = self.find(&labels, kind);
            let Found::Alias(target) = &found else {
                return self.answer_with(answers, &owner, kind, found);
            };
            answers.push(self.record(&owner, RData::CNAME(CNAME(target.clone()))));
            if kind == RecordType::CNAME {
                return Self::records(answers, Vec::new());
            }
            owner = target.clone();
            match self.below(&self::labels(&owner)) {
                Some(next) => labels = next,
                None => {
                    return Answer::Records { answers, additional: Vec::new(), unfinished: Some(owner) };
                }
            }
        }
        Self::records(answers, Vec::new())
    }

    fn answer_with(&self, mut answers: Vec<Record>, owner: &Name, kind: RecordType, found: Found) -> Answer {
        let mut additional = Vec::new();
        match found {
            Found::Addresses(addresses) => {
                answers.extend(addresses.iter().filter_map(|ip| self.address(owner, kind, *ip)));
            }
            Found::Ports(ports) => {
                for (port, target, addresses) in ports {
                    for address in addresses {
                        let kind = if address.is_ipv4() { RecordType::A } else { RecordType::AAAA };
                        additional.extend(self.address(&target, kind, address));
                    }
                    answers.push(self.record(owner, RData::SRV(SRV::new(0, 100, port, target))));
                }
            }
            Found::Text(text) => answers.push(self.record(owner, RData::TXT(TXT::new(vec![text])))),
            Found::Nothing if answers.is_empty() => return Answer::NoName(self.soa()),
            Found::Alias(_) | Found::Empty | Found::Nothing => {}
        }
        if answers.is_empty() {
            return Answer::NoData(self.soa());
        }
        Self::records(answers, additional)
    }

    fn records(answers: Vec<Record>, additional: Vec<Record>) -> Answer {
        Answer::Records { answers, additional, unfinished: None }
    }

    fn address(&self, name: &Name, kind: RecordType, address: IpAddr) -> Option<Record> {
        match (kind, address) {
            (RecordType::A, IpAddr::V4(v4)) => Some(self.record(name, RData::A(A(v4)))),
            (RecordType::AAAA, IpAddr::V6(v6)) => Some(self.record(name, RData::AAAA(AAAA(v6)))),
            _ => None,
        }
    }

    fn find(&self, labels: &[String], kind: RecordType) -> Found {
        let labels: Vec<_> = labels.iter().map(String::as_str).collect();
        match labels.as_slice() {
            ["dns-version"] if kind == RecordType::TXT => Found::Text(SPECIFICATION.into()),
            ["dns-version"] | ["svc"] | ["pod"] => Found::Empty,
            [namespace, "svc" | "pod"] if self.view.has_namespace(namespace) => Found::Empty,
            [address, namespace, "pod"] if self.view.has_namespace(namespace) => {
                dashed(address).map_or(Found::Nothing, |address| Found::Addresses(vec![address]))
            }
            [front @ .., service, namespace, "svc"] => match self.view.service(namespace, service) {
                Some(service) => self.of_service(&service, front, kind),
                None => Found::Nothing,
            },
            _ => Found::Nothing,
        }
    }

    fn of_service(&self, service: &Service, front: &[&str], kind: RecordType) -> Found {
        if let Some(target) = &service.external_name {
            let target = target.trim_end_matches('.').to_ascii_lowercase();
            // An address or anything else that is no name has no alias.
            return match (front, Name::from_ascii(target + ".")) {
                ([], Ok(target)) => Found::Alias(target),
                _ => Found::Nothing,
            };
        }
        match front {
            [] if kind == RecordType::SRV => self.ports(service, |_| true),
            [] => Found::Addresses(self.addresses(service)),
            [port, protocol] if port.starts_with('_') && protocol.starts_with('_') => {
                let wanted = |item: &Port| item.name == port[1..] && item.protocol == protocol[1..];
                match self.ports(service, |item| !item.name.is_empty() && wanted(item)) {
                    Found::Ports(ports) if ports.is_empty() => Found::Nothing,
                    Found::Ports(ports) if kind == RecordType::SRV => Found::Ports(ports),
                    _ => Found::Empty,
                }
            }
            [protocol] if protocol.starts_with('_') => {
                let named = |port: &Port| !port.name.is_empty() && port.protocol == protocol[1..];
                if service.ports.iter().any(named) { Found::Empty } else { Found::Nothing }
            }
            [label] if service.cluster_ips.is_empty() => {
                let endpoints = self.endpoints(service);
                let named = endpoints.iter().filter(|(endpoint, _)| endpoint.label() == *label);
                let addresses: BTreeSet<_> = named.map(|(endpoint, _)| endpoint.address).collect();
                match addresses.is_empty() {
                    true => Found::Nothing,
                    false => Found::Addresses(addresses.into_iter().collect()),
                }
            }
            _ => Found::Nothing,
        }
    }

    /// The cluster addresses, or those of every ready endpoint.
    fn addresses(&self, service: &Service) -> Vec<IpAddr> {
        if !service.cluster_ips.is_empty() {
            return service.cluster_ips.clone();
        }
        let addresses = self.endpoints(service).into_iter().map(|(endpoint, _)| endpoint.address);
        addresses.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The ready endpoints of a headless Service with the ports of their slice.
    fn endpoints(&self, service: &Service) -> Vec<(Endpoint, Vec<Port>)> {
        let mut endpoints: Vec<_> = self
            .view
            .slices(&service.key.namespace, &service.key.name)
            .iter()
            .flat_map(|slice| slice.endpoints.iter().map(|endpoint| (endpoint.clone(), slice.ports.clone())))
            .collect();
        endpoints.sort_by_key(|(endpoint, _)| endpoint.address);
        endpoints
    }

    fn ports(&self, service: &Service, wanted: impl Fn(&Port) -> bool) -> Found {
        let own = format!("{}.{}.svc", service.key.name, service.key.namespace);
        let mut ports = Vec::new();
        if service.cluster_ips.is_empty() {
            for (endpoint, numbers) in self.endpoints(service) {
                let target = self.name(&format!("{}.{own}", endpoint.label()));
                for port in numbers.iter().filter(|port| wanted(port)) {
                    ports.push((port.number, target.clone(), vec![endpoint.address]));
                }
            }
        } else {
            let target = self.name(&own);
            for port in service.ports.iter().filter(|port| wanted(port)) {
                ports.push((port.number, target.clone(), service.cluster_ips.clone()));
            }
        }
        Found::Ports(ports)
    }

    /// The names of an address: its Services, and its hostnames in headless ones.
    fn pointers(&self, name: &Name, kind: RecordType, address: IpAddr) -> Answer {
        let mut targets = BTreeSet::new();
        for service in self.view.services_at(address) {
            targets.insert(self.name(&format!("{}.{}.svc", service.key.name, service.key.namespace)));
        }
        for slice in self.view.slices_at(address) {
            let headless = self.view.service(&slice.key.namespace, &slice.service);
            if !headless.is_some_and(|service| service.cluster_ips.is_empty()) {
                continue;
            }
            let own = format!("{}.{}.svc", slice.service, slice.key.namespace);
            let endpoints = slice.endpoints.iter().filter(|endpoint| endpoint.address == address);
            targets.extend(endpoints.map(|endpoint| self.name(&format!("{}.{own}", endpoint.label()))));
        }
        if targets.is_empty() {
            let ours = self.config.ranges.iter().any(|range| range.contains(&address));
            return if ours { Answer::NoName(self.soa()) } else { Answer::Elsewhere };
        }
        if kind != RecordType::PTR {
            return Answer::NoData(self.soa());
        }
        Self::records(
            targets.into_iter().map(|to| self.record(name, RData::PTR(PTR(to)))).collect(),
            Vec::new(),
        )
    }
}

/// `1-2-3-4` and `2001-db8--1` as in names of pods.
fn dashed(label: &str) -> Option<IpAddr> {
    let v4 = || label.replace('-', ".").parse::<Ipv4Addr>().ok().map(IpAddr::V4);
    let v6 = || label.replace('-', ":").parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    v4().or_else(v6)
}

/// The address that a whole name under `in-addr.arpa` or `ip6.arpa` is about.
fn reverse(labels: &[String]) -> Option<IpAddr> {
    let labels: Vec<_> = labels.iter().map(String::as_str).collect();
    match labels.as_slice() {
        [d, c, b, a, "in-addr", "arpa"] => format!("{a}.{b}.{c}.{d}").parse().ok(),
        [nibbles @ .., "ip6", "arpa"] if nibbles.len() == 32 => {
            let mut number = 0u128;
            for nibble in nibbles.iter().rev() {
                let digit = (nibble.len() == 1).then(|| u128::from_str_radix(nibble, 16).ok())??;
                number = number << 4 | digit;
            }
            Some(IpAddr::V6(number.into()))
        }
        _ => None,
    }
}
