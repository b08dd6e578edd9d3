//! nftables content as plain data: the sets, maps, chains and rules of one
//! table of family `inet`. Nothing here speaks to the kernel but [`kernel`].
//!
//! Corten has two tables, so that each owner replaces its own at once when it
//! starts, while the other's keeps working: [`PODS_TABLE`] and
//! [`SERVICES_TABLE`].
//!
//! Everything that changes while the node runs is an element of a map, so
//! that a change costs what it changes and not what there is. Rules are a
//! fixed skeleton around those maps.

pub mod change;
mod encode;
pub mod kernel;
mod text;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::Protocol;

/// What this crate keeps: masquerading, host ports, refusals.
pub const PODS_TABLE: &str = "corten";

/// What `proxy` keeps.
pub const SERVICES_TABLE: &str = "corten-services";

/// Sets, maps and chains by name. `Display` writes them as `nft list` would,
/// near enough for a person and exactly enough for a golden.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleSet {
    pub sets: BTreeMap<String, Set>,
    pub chains: BTreeMap<String, Chain>,
}

impl RuleSet {
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts an element into a set or map that is there.
    ///
    /// # Panics
    /// Where the set is not declared: sets are a fixed part of the skeleton.
    pub fn insert(&mut self, set: &str, key: Key, value: Option<Value>) {
        self.sets.get_mut(set).expect("the skeleton declares its sets").elements.insert(key, value);
    }
}

/// A set, or a map where `value` says what its elements lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// The parts of a key, in order.
    pub key: Vec<Kind>,
    pub value: Option<ValueKind>,
    /// The packet path adds elements, which live so long after their last use.
    pub remembers: Option<Duration>,
    pub elements: BTreeMap<Key, Option<Value>>,
}

impl Set {
    pub fn of(key: impl Into<Vec<Kind>>) -> Self {
        Self { key: key.into(), value: None, remembers: None, elements: BTreeMap::new() }
    }

    pub fn verdicts(key: impl Into<Vec<Kind>>) -> Self {
        Self { value: Some(ValueKind::Verdict), ..Self::of(key) }
    }

    pub fn map(key: impl Into<Vec<Kind>>, value: impl Into<Vec<Kind>>) -> Self {
        Self { value: Some(ValueKind::Data(value.into())), ..Self::of(key) }
    }

    /// Same shape, whatever the elements.
    pub(crate) fn same_shape(&self, other: &Self) -> bool {
        self.key == other.key && self.value == other.value && self.remembers == other.remembers
    }
}

/// What a part of a key or value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Address(Family),
    Protocol,
    Port,
    /// A number in the host's byte order.
    Number,
}

impl Kind {
    /// Bytes in a register, padded to words.
    pub(crate) fn width(self) -> usize {
        match self {
            Self::Address(Family::Ipv6) => 16,
            _ => 4,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueKind {
    Verdict,
    Data(Vec<Kind>),
}

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    Ipv4,
    Ipv6,
}

impl Family {
    pub const BOTH: [Self; 2] = [Self::Ipv4, Self::Ipv6];

    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::Ipv4 } else { Self::Ipv6 }
    }

    /// `base4` or `base6`: maps with addresses come in two.
    pub fn name(self, base: &str) -> String {
        format!("{base}{}", if self == Self::Ipv4 { '4' } else { '6' })
    }

    /// `0.0.0.0` or `::`.
    pub fn any(self) -> IpAddr {
        match self {
            Self::Ipv4 => IpAddr::from([0u8; 4]),
            Self::Ipv6 => IpAddr::from([0u8; 16]),
        }
    }
}

/// A key or value as the kernel holds it: the parts one after the other, each
/// padded to 4 bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub(crate) Vec<u8>);

impl Key {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn address(mut self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => self.0.extend(v4.octets()),
            IpAddr::V6(v6) => self.0.extend(v6.octets()),
        }
        self
    }

    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.0.extend([protocol.number(), 0, 0, 0]);
        self
    }

    pub fn port(mut self, port: u16) -> Self {
        self.0.extend(port.to_be_bytes());
        self.0.extend([0, 0]);
        self
    }

    pub fn number(mut self, number: u32) -> Self {
        self.0.extend(number.to_ne_bytes());
        self
    }

    /// Everything that this key has, then everything that `other` has.
    pub fn and(mut self, other: &Key) -> Self {
        self.0.extend(&other.0);
        self
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Data(Key),
    Verdict(Verdict),
}

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Accept,
    Drop,
    Return,
    Jump(String),
    Goto(String),
}

/// A list of rules, called by the kernel where it has a hook.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    pub hook: Option<Hook>,
    pub rules: Vec<Rule>,
}

impl Chain {
    pub fn at(kind: HookKind, point: HookPoint, priority: i32) -> Self {
        Self { hook: Some(Hook { kind, point, priority }), rules: Vec::new() }
    }

    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hook {
    pub kind: HookKind,
    pub point: HookPoint,
    pub priority: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookKind {
    Filter,
    Nat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookPoint {
    Prerouting,
    Input,
    Forward,
    Output,
    Postrouting,
}

/// Statements that hold one after the other. A rule that looks at addresses
/// is for one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub family: Option<Family>,
    pub statements: Vec<Statement>,
}

impl Rule {
    pub fn any(statements: impl Into<Vec<Statement>>) -> Self {
        Self { family: None, statements: statements.into() }
    }

    pub fn of(family: Family, statements: impl Into<Vec<Statement>>) -> Self {
        Self { family: Some(family), statements: statements.into() }
    }
}

/// A part of a packet, or something that stands in its place in a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Source,
    Destination,
    Protocol,
    DestinationPort,
    /// The unspecified address, where a map says "whatever the address".
    AnyAddress,
    /// A random number in `first..first + count`.
    Random {
        first: u32,
        count: u32,
    },
}

/// Whose addresses `fib` is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Source,
    Destination,
}

/// One step of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// The address lies (or not) in the range.
    Within {
        side: Side,
        range: IpNet,
        negated: bool,
    },
    /// The address belongs (or not) to this machine.
    Local {
        side: Side,
        negated: bool,
    },
    /// The packet leaves (or not) through this link.
    OutputLink {
        name: String,
        negated: bool,
    },
    /// The packet carries all of these mark bits.
    Marked(u32),
    /// Adds mark bits.
    Mark(u32),
    /// The connection's destination was translated.
    Translated,
    /// The fields are an element of the set.
    In {
        fields: Vec<Field>,
        set: String,
    },
    /// Does what the map says for the fields; goes on where it says nothing.
    Lookup {
        fields: Vec<Field>,
        map: String,
    },
    /// Translates the destination to the address and port that the map gives;
    /// goes on where it gives none.
    Translate {
        fields: Vec<Field>,
        map: String,
    },
    /// Translates to what `memory` holds for the source and the fields, as
    /// long as `valid` still has the fields with that address and port.
    TranslateRemembered {
        fields: Vec<Field>,
        memory: String,
        valid: String,
        timeout: Duration,
    },
    /// As `Translate` by the fields and `pick`, and notes in `memory` what was
    /// chosen for the source and the fields.
    TranslateAndRemember {
        fields: Vec<Field>,
        pick: Field,
        map: String,
        memory: String,
        timeout: Duration,
    },
    /// The source becomes the address of the link that the packet leaves by.
    Masquerade,
    /// The source becomes this address.
    Source(IpAddr),
    /// Answers TCP with a reset, and goes on with other protocols. (A sender's
    /// kernel notes port unreachable for a connection that it is just opening
    /// only with its second packet, a second later.)
    Reset,
    /// Answers with port unreachable.
    Reject,
    Verdict(Verdict),
}
