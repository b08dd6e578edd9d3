//! The rules that a node has before any service: masquerading, host ports,
//! and the refusal of service addresses that nobody owns. Pure.

use std::net::IpAddr;

use crate::rules::{
    Chain, Family, Field, HookKind, HookPoint, Key, Kind, Rule, RuleSet, Set, Side, Statement, Value,
};
use crate::{Config, HostPort};

/// The packet mark that asks for masquerading. `proxy` sets it, the rules
/// here obey it; kube-proxy uses the same bit.
pub const MASQUERADE_MARK: u32 = 0x4000;

/// Destinations are translated here.
pub const TRANSLATE_PRIORITY: i32 = -100;

const HAIRPIN: &str = "hairpin";
const HOST_PORTS: &str = "hostports";

/// The skeleton, without any pod.
pub fn rules(config: &Config) -> RuleSet {
    let mut rules = RuleSet::new();
    for family in Family::BOTH {
        let address = Kind::Address(family);
        rules.sets.insert(family.name(HAIRPIN), Set::of([address, address]));
        rules.sets.insert(
            family.name(HOST_PORTS),
            Set::map([address, Kind::Protocol, Kind::Port], [address, Kind::Port]),
        );
    }
    rules.chains.insert("postrouting".into(), postrouting(config));
    let after = TRANSLATE_PRIORITY + 1;
    rules.chains.insert("hostports-prerouting".into(), host_ports(HookPoint::Prerouting, after));
    rules.chains.insert("hostports-output".into(), host_ports(HookPoint::Output, after));
    rules.chains.insert("refuse-forward".into(), refuse(config, HookPoint::Forward));
    rules.chains.insert("refuse-output".into(), refuse(config, HookPoint::Output));
    rules
}

/// Whose source address is replaced by the node's on the way out.
fn postrouting(config: &Config) -> Chain {
    let mut chain = Chain::at(HookKind::Nat, HookPoint::Postrouting, 100);
    // A pod's link has no address of its own at the node's end, and the kernel
    // would take any other: pods always see the gateway.
    let gateways = config.gateways();
    for (range, gateway) in config.node_ranges.iter().zip(&gateways) {
        let to_pod = Statement::Within { side: Side::Destination, range: *range, negated: false };
        let marked = Statement::Marked(MASQUERADE_MARK);
        let family = Family::of(*gateway);
        chain.rules.push(Rule::of(family, [marked, to_pod, Statement::Source(*gateway)]));
    }
    chain.rules.push(Rule::any([Statement::Marked(MASQUERADE_MARK), Statement::Masquerade]));
    for gateway in gateways {
        let family = Family::of(gateway);
        // A pod that reached itself through a service would see its own
        // address as the client and answer without the way back.
        let fields = vec![Field::Source, Field::Destination];
        let to_itself = Statement::In { fields, set: family.name(HAIRPIN) };
        chain.rules.push(Rule::of(family, [Statement::Translated, to_itself, Statement::Source(gateway)]));
    }
    for source in &config.cluster_ranges {
        let family = Family::of(source.addr());
        let mut statements = vec![Statement::Within { side: Side::Source, range: *source, negated: false }];
        let within = config.cluster_ranges.iter().chain(&config.service_ranges);
        statements.extend(
            within.filter(|range| Family::of(range.addr()) == family).map(|range| Statement::Within {
                side: Side::Destination,
                range: *range,
                negated: true,
            }),
        );
        statements.push(Statement::Masquerade);
        chain.rules.push(Rule::of(family, statements));
    }
    chain
}

fn host_ports(point: HookPoint, priority: i32) -> Chain {
    let mut chain = Chain::at(HookKind::Nat, point, priority);
    for family in Family::BOTH {
        let local = Statement::Local { side: Side::Destination, negated: false };
        for address in [Field::Destination, Field::AnyAddress] {
            let fields = vec![address, Field::Protocol, Field::DestinationPort];
            let translate = Statement::Translate { fields, map: family.name(HOST_PORTS) };
            chain.rules.push(Rule::of(family, [local.clone(), translate]));
        }
    }
    chain
}

/// After translation, whatever still goes to a service address has no owner.
fn refuse(config: &Config, point: HookPoint) -> Chain {
    let mut chain = Chain::at(HookKind::Filter, point, 0);
    for range in &config.service_ranges {
        let within = Statement::Within { side: Side::Destination, range: *range, negated: false };
        let elsewhere = Statement::Local { side: Side::Destination, negated: true };
        for answer in [Statement::Reset, Statement::Reject] {
            let statements = [within.clone(), elsewhere.clone(), answer];
            chain.rules.push(Rule::of(Family::of(range.addr()), statements));
        }
    }
    chain
}

/// The elements of one pod: `(set, key, value)`.
pub(crate) fn pod_elements(
    addresses: &[IpAddr],
    host_ports: &[HostPort],
) -> Vec<(String, Key, Option<Value>)> {
    let mut elements = Vec::new();
    for address in addresses {
        let family = Family::of(*address);
        elements.push((family.name(HAIRPIN), Key::new().address(*address).address(*address), None));
        for port in host_ports {
            let listens = match port.host_ip {
                Some(host) if Family::of(host) == family => host,
                // The other family's unspecified address means all of both.
                Some(host) if !host.is_unspecified() => continue,
                _ => family.any(),
            };
            let key = Key::new().address(listens).protocol(port.protocol).port(port.host_port);
            let to = Key::new().address(*address).port(port.container_port);
            elements.push((family.name(HOST_PORTS), key, Some(Value::Data(to))));
        }
    }
    elements
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Protocol;

    #[test]
    fn the_skeleton_with_one_pod() {
        let ranges = |words: &[&str]| words.iter().map(|word| word.parse().unwrap()).collect();
        let config = Config::new("/x", ranges(&["10.42.0.0/16", "fd42::/48"]), ranges(&["10.96.0.0/16"]));
        let mut rules = rules(&config);
        let addresses = ["10.42.0.2".parse().unwrap(), "fd42::2".parse().unwrap()];
        let port = |host_ip: Option<&str>, host_port| HostPort {
            host_ip: host_ip.map(|ip| ip.parse().unwrap()),
            host_port,
            container_port: 80,
            protocol: Protocol::Tcp,
        };
        for (set, key, value) in pod_elements(&addresses, &[port(None, 8080), port(Some("192.0.2.7"), 81)]) {
            rules.insert(&set, key, value);
        }
        let expected = "\
set hairpin4 { type ipv4_addr . ipv4_addr }
  10.42.0.2 . 10.42.0.2
set hairpin6 { type ipv6_addr . ipv6_addr }
  fd42::2 . fd42::2
map hostports4 { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service }
  0.0.0.0 . tcp . 8080 : 10.42.0.2 . 80
  192.0.2.7 . tcp . 81 : 10.42.0.2 . 80
map hostports6 { type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service }
  :: . tcp . 8080 : fd42::2 . 80
chain hostports-output { type nat hook output priority -99 }
  meta nfproto ipv4 fib daddr type local dnat ip to ip daddr . meta l4proto . th dport map @hostports4
  meta nfproto ipv4 fib daddr type local dnat ip to 0.0.0.0 . meta l4proto . th dport map @hostports4
  meta nfproto ipv6 fib daddr type local dnat ip6 to ip6 daddr . meta l4proto . th dport map @hostports6
  meta nfproto ipv6 fib daddr type local dnat ip6 to :: . meta l4proto . th dport map @hostports6
chain hostports-prerouting { type nat hook prerouting priority -99 }
  meta nfproto ipv4 fib daddr type local dnat ip to ip daddr . meta l4proto . th dport map @hostports4
  meta nfproto ipv4 fib daddr type local dnat ip to 0.0.0.0 . meta l4proto . th dport map @hostports4
  meta nfproto ipv6 fib daddr type local dnat ip6 to ip6 daddr . meta l4proto . th dport map @hostports6
  meta nfproto ipv6 fib daddr type local dnat ip6 to :: . meta l4proto . th dport map @hostports6
chain postrouting { type nat hook postrouting priority 100 }
  meta nfproto ipv4 meta mark & 0x4000 == 0x4000 ip daddr 10.42.0.0/16 snat ip to 10.42.0.1
  meta nfproto ipv6 meta mark & 0x4000 == 0x4000 ip6 daddr fd42::/48 snat ip6 to fd42::1
  meta mark & 0x4000 == 0x4000 masquerade
  meta nfproto ipv4 ct status dnat ip saddr . ip daddr @hairpin4 snat ip to 10.42.0.1
  meta nfproto ipv6 ct status dnat ip6 saddr . ip6 daddr @hairpin6 snat ip6 to fd42::1
  meta nfproto ipv4 ip saddr 10.42.0.0/16 ip daddr != 10.42.0.0/16 ip daddr != 10.96.0.0/16 masquerade
  meta nfproto ipv6 ip6 saddr fd42::/48 ip6 daddr != fd42::/48 masquerade
chain refuse-forward { type filter hook forward priority 0 }
  meta nfproto ipv4 ip daddr 10.96.0.0/16 fib daddr type != local meta l4proto tcp reject with tcp reset
  meta nfproto ipv4 ip daddr 10.96.0.0/16 fib daddr type != local reject
chain refuse-output { type filter hook output priority 0 }
  meta nfproto ipv4 ip daddr 10.96.0.0/16 fib daddr type != local meta l4proto tcp reject with tcp reset
  meta nfproto ipv4 ip daddr 10.96.0.0/16 fib daddr type != local reject
";
        assert_eq!(rules.to_string(), expected);
    }
}
