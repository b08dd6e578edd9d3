//! The fixed rules around the maps, and the chains that pick an endpoint. Pure.

use std::fmt;
use std::time::Duration;

use ipnet::IpNet;
use network::base::{MASQUERADE_MARK, TRANSLATE_PRIORITY};
use network::rules::{
    Chain, Family, Field, HookKind, HookPoint, Kind, Rule, RuleSet, Set, Side, Statement, Verdict,
};

/// Where the numbers of "all endpoints" begin, for a frontend that has a list
/// of local ones too.
pub(crate) const ALL: u32 = 1 << 16;
/// How long the kernel remembers a client unless a chain says otherwise.
const REMEMBER: Duration = Duration::from_secs(10_800);
/// Where packets that no endpoint takes are refused.
pub(crate) const REFUSE: &str = "refuse";

/// Which endpoints a frontend leads to, as a chain that many frontends share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Picker {
    /// The frontend is a port of the node, whatever the address.
    pub node_port: bool,
    pub reach: Reach,
    /// `sessionAffinity: ClientIP`, in seconds.
    pub sticky: Option<u32>,
}

/// Who is sent where, by numbers of endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// A cluster address: pods keep their source.
    Internal(u32),
    /// An outside address with policy Cluster: the source is hidden, so that
    /// the answer comes back through this node.
    External(u32),
    /// An outside address with policy Local: outsiders reach the `local`
    /// endpoints with their source kept, pods and the node all of them.
    ExternalLocal { local: u32, all: u32 },
}

impl fmt::Display for Picker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.node_port {
            f.write_str("node-")?;
        }
        match self.reach {
            Reach::Internal(count) => write!(f, "internal-{count}")?,
            Reach::External(count) => write!(f, "external-{count}")?,
            Reach::ExternalLocal { local, all } => write!(f, "external-local-{local}-of-{all}")?,
        }
        match self.sticky {
            Some(seconds) => write!(f, "-sticky-{seconds}"),
            None => Ok(()),
        }
    }
}

impl Picker {
    /// The chain's rules.
    pub fn chain(self, cluster_ranges: &[IpNet]) -> Chain {
        let mut chain = Chain::default();
        let mark = Statement::Mark(MASQUERADE_MARK);
        for family in Family::BOTH {
            let pods = || cluster_ranges.iter().filter(move |range| Family::of(range.addr()) == family);
            let from =
                |range: &IpNet, negated| Statement::Within { side: Side::Source, range: *range, negated };
            match self.reach {
                Reach::Internal(count) => {
                    let mut outsiders: Vec<_> = pods().map(|range| from(range, true)).collect();
                    outsiders.push(mark.clone());
                    chain.rules.push(Rule::of(family, outsiders));
                    self.translate(&mut chain, family, count);
                }
                Reach::External(count) => {
                    chain.rules.push(Rule::of(family, [mark.clone()]));
                    self.translate(&mut chain, family, count);
                }
                Reach::ExternalLocal { local, all } => {
                    let any = self.pick(family, Field::Random { first: ALL, count: all });
                    for range in pods() {
                        chain.rules.push(Rule::of(family, [from(range, false), any.clone()]));
                    }
                    let node = Statement::Local { side: Side::Source, negated: false };
                    chain.rules.push(Rule::of(family, [node, mark.clone(), any]));
                    if local > 0 {
                        self.translate(&mut chain, family, local);
                    }
                }
            }
        }
        chain
    }

    fn frontend(self) -> Vec<Field> {
        let address = if self.node_port { Field::AnyAddress } else { Field::Destination };
        vec![address, Field::Protocol, Field::DestinationPort]
    }

    fn pick(self, family: Family, pick: Field) -> Statement {
        let fields = [self.frontend(), vec![pick]].concat();
        Statement::Translate { fields, map: family.name("endpoints") }
    }

    /// One of the first `count` endpoints, or the one that the client had.
    fn translate(self, chain: &mut Chain, family: Family, count: u32) {
        let pick = Field::Random { first: 0, count };
        if let Some(seconds) = self.sticky {
            let timeout = Duration::from_secs(seconds.into());
            let (fields, memory) = (self.frontend(), family.name("affinity"));
            let valid = family.name("affine");
            let remembered = Statement::TranslateRemembered {
                fields: fields.clone(),
                memory: memory.clone(),
                valid,
                timeout,
            };
            let map = family.name("endpoints");
            let noted = Statement::TranslateAndRemember { fields, pick, map, memory, timeout };
            chain.rules.push(Rule::of(family, [remembered]));
            // Fails only where the memory is full; then anyone will do.
            chain.rules.push(Rule::of(family, [noted]));
        }
        chain.rules.push(Rule::of(family, [self.pick(family, pick)]));
    }
}

/// The table without any Service.
pub fn skeleton() -> RuleSet {
    let mut rules = RuleSet::new();
    for family in Family::BOTH {
        let address = Kind::Address(family);
        let frontend = [address, Kind::Protocol, Kind::Port];
        let node_port = [Kind::Protocol, Kind::Port];
        let backend = [address, Kind::Port];
        let mut set = |name: &str, set: Set| drop(rules.sets.insert(family.name(name), set));
        set("services", Set::verdicts(frontend));
        set("nodeports", Set::verdicts(node_port));
        set("endpoints", Set::map([&frontend[..], &[Kind::Number]].concat(), backend));
        set("refused", Set::verdicts(frontend));
        set("refused-nodeports", Set::verdicts(node_port));
        set("affine", Set::of([&frontend[..], &backend].concat()));
        let memory = Set::map([&[address], &frontend[..]].concat(), backend);
        set("affinity", Set { remembers: Some(REMEMBER), ..memory });
    }
    for (name, point) in
        [("services-prerouting", HookPoint::Prerouting), ("services-output", HookPoint::Output)]
    {
        rules.chains.insert(name.into(), services(point));
    }
    for (name, point) in [
        ("refuse-input", HookPoint::Input),
        ("refuse-forward", HookPoint::Forward),
        ("refuse-output", HookPoint::Output),
    ] {
        rules.chains.insert(name.into(), refusals(point));
    }
    rules.chains.insert(
        REFUSE.into(),
        Chain::default().rule(Rule::any([Statement::Reset])).rule(Rule::any([Statement::Reject])),
    );
    rules
}

fn services(point: HookPoint) -> Chain {
    lookups(Chain::at(HookKind::Nat, point, TRANSLATE_PRIORITY), "services", "nodeports")
}

/// After translation: what still has a frontend's address found no endpoint.
fn refusals(point: HookPoint) -> Chain {
    lookups(Chain::at(HookKind::Filter, point, 0), "refused", "refused-nodeports")
}

fn lookups(mut chain: Chain, services: &str, node_ports: &str) -> Chain {
    for family in Family::BOTH {
        let fields = vec![Field::Destination, Field::Protocol, Field::DestinationPort];
        chain.rules.push(Rule::of(family, [Statement::Lookup { fields, map: family.name(services) }]));
    }
    for family in Family::BOTH {
        // The kernel does not route from and to loopback addresses: a
        // translated packet would be dropped.
        let loopback = match family {
            Family::Ipv4 => IpNet::from(ipnet::Ipv4Net::new_assert([127, 0, 0, 0].into(), 8)),
            Family::Ipv6 => IpNet::from(std::net::IpAddr::from(std::net::Ipv6Addr::LOCALHOST)),
        };
        let statements = [
            Statement::Within { side: Side::Destination, range: loopback, negated: true },
            Statement::Local { side: Side::Destination, negated: false },
            Statement::Lookup {
                fields: vec![Field::Protocol, Field::DestinationPort],
                map: family.name(node_ports),
            },
        ];
        chain.rules.push(Rule::of(family, statements));
    }
    chain
}

/// Refused at once, so that a client can go elsewhere.
pub(crate) fn refuse() -> Verdict {
    Verdict::Goto(REFUSE.into())
}
