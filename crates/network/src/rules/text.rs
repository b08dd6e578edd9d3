//! Rule sets as text, in nft's words.

use std::fmt::{Display, Formatter, Result};
use std::net::IpAddr;

use super::{
    Chain, Family, Field, HookKind, HookPoint, Key, Kind, Rule, RuleSet, Set, Side, Statement, Value,
    ValueKind, Verdict,
};

impl Display for RuleSet {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for (name, set) in &self.sets {
            write_set(f, name, set)?;
        }
        for (name, chain) in &self.chains {
            write_chain(f, name, chain)?;
        }
        Ok(())
    }
}

fn write_set(f: &mut Formatter<'_>, name: &str, set: &Set) -> Result {
    let word = if set.value.is_some() { "map" } else { "set" };
    write!(f, "{word} {name} {{ type {}", kinds(&set.key))?;
    match &set.value {
        None => {}
        Some(ValueKind::Verdict) => write!(f, " : verdict")?,
        Some(ValueKind::Data(parts)) => write!(f, " : {}", kinds(parts))?,
    }
    if let Some(timeout) = set.remembers {
        write!(f, "; timeout {}s; flags dynamic", timeout.as_secs())?;
    }
    writeln!(f, " }}")?;
    for (key, value) in &set.elements {
        write!(f, "  {}", decode(&set.key, key))?;
        match (value, &set.value) {
            (Some(Value::Data(data)), Some(ValueKind::Data(parts))) => {
                write!(f, " : {}", decode(parts, data))?
            }
            (Some(Value::Verdict(verdict)), _) => write!(f, " : {verdict}")?,
            _ => {}
        }
        writeln!(f)?;
    }
    Ok(())
}

fn write_chain(f: &mut Formatter<'_>, name: &str, chain: &Chain) -> Result {
    write!(f, "chain {name}")?;
    if let Some(hook) = chain.hook {
        let kind = match hook.kind {
            HookKind::Filter => "filter",
            HookKind::Nat => "nat",
        };
        let point = match hook.point {
            HookPoint::Prerouting => "prerouting",
            HookPoint::Input => "input",
            HookPoint::Forward => "forward",
            HookPoint::Output => "output",
            HookPoint::Postrouting => "postrouting",
        };
        write!(f, " {{ type {kind} hook {point} priority {} }}", hook.priority)?;
    }
    writeln!(f)?;
    for rule in &chain.rules {
        writeln!(f, "  {rule}")?;
    }
    Ok(())
}

fn kinds(kinds: &[Kind]) -> String {
    let words: Vec<_> = kinds
        .iter()
        .map(|kind| match kind {
            Kind::Address(Family::Ipv4) => "ipv4_addr",
            Kind::Address(Family::Ipv6) => "ipv6_addr",
            Kind::Protocol => "inet_proto",
            Kind::Port => "inet_service",
            Kind::Number => "mark",
        })
        .collect();
    words.join(" . ")
}

fn decode(kinds: &[Kind], key: &Key) -> String {
    let mut rest = key.0.as_slice();
    let words: Vec<_> = kinds
        .iter()
        .map(|kind| {
            let (part, after) = rest.split_at_checked(kind.width()).unwrap_or((&[], &[]));
            rest = after;
            match (kind, part) {
                (Kind::Address(_), &[a, b, c, d]) => IpAddr::from([a, b, c, d]).to_string(),
                (Kind::Address(_), part) => <[u8; 16]>::try_from(part)
                    .map(|octets| IpAddr::from(octets).to_string())
                    .unwrap_or_default(),
                (Kind::Protocol, &[6, ..]) => "tcp".into(),
                (Kind::Protocol, &[17, ..]) => "udp".into(),
                (Kind::Protocol, &[132, ..]) => "sctp".into(),
                (Kind::Protocol, part) => format!("{part:?}"),
                (Kind::Port, &[high, low, ..]) => u16::from_be_bytes([high, low]).to_string(),
                (Kind::Number, &[a, b, c, d]) => u32::from_ne_bytes([a, b, c, d]).to_string(),
                (_, part) => format!("{part:?}"),
            }
        })
        .collect();
    words.join(" . ")
}

impl Display for Verdict {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Accept => f.write_str("accept"),
            Self::Drop => f.write_str("drop"),
            Self::Return => f.write_str("return"),
            Self::Jump(chain) => write!(f, "jump {chain}"),
            Self::Goto(chain) => write!(f, "goto {chain}"),
        }
    }
}

impl Display for Rule {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let mut first = true;
        if let Some(family) = self.family {
            f.write_str(if family == Family::Ipv4 { "meta nfproto ipv4" } else { "meta nfproto ipv6" })?;
            first = false;
        }
        for statement in &self.statements {
            if !first {
                f.write_str(" ")?;
            }
            first = false;
            write_statement(f, statement, self.family)?;
        }
        Ok(())
    }
}

fn write_statement(f: &mut Formatter<'_>, statement: &Statement, family: Option<Family>) -> Result {
    let ip = if family == Some(Family::Ipv6) { "ip6" } else { "ip" };
    let not = |negated: &bool| if *negated { "!= " } else { "" };
    let side = |side: &Side| match side {
        Side::Source => "saddr",
        Side::Destination => "daddr",
    };
    let list = |fields: &[Field]| fields.iter().map(|field| word(*field, ip)).collect::<Vec<_>>().join(" . ");
    match statement {
        Statement::Within { side: of, range, negated } => {
            write!(f, "{ip} {} {}{range}", side(of), not(negated))
        }
        Statement::Local { side: of, negated } => write!(f, "fib {} type {}local", side(of), not(negated)),
        Statement::OutputLink { name, negated } => write!(f, "oifname {}\"{name}\"", not(negated)),
        Statement::Marked(bits) => write!(f, "meta mark & {bits:#x} == {bits:#x}"),
        Statement::Mark(bits) => write!(f, "meta mark set meta mark | {bits:#x}"),
        Statement::Translated => write!(f, "ct status dnat"),
        Statement::In { fields, set } => write!(f, "{} @{set}", list(fields)),
        Statement::Lookup { fields, map } => write!(f, "{} vmap @{map}", list(fields)),
        Statement::Translate { fields, map } => write!(f, "dnat {ip} to {} map @{map}", list(fields)),
        Statement::TranslateRemembered { fields, memory, valid, timeout } => {
            let (fields, timeout) = (list(fields), timeout.as_secs());
            write!(f, "dnat {ip} to {ip} saddr . {fields} map @{memory} if @{valid} (kept {timeout}s)")
        }
        Statement::TranslateAndRemember { fields, pick, map, memory, timeout } => {
            let (fields, timeout) = (list(fields), timeout.as_secs());
            write!(
                f,
                "dnat {ip} to {fields} . {} map @{map} noted in @{memory} ({timeout}s)",
                word(*pick, ip)
            )
        }
        Statement::Masquerade => write!(f, "masquerade"),
        Statement::Source(address) => write!(f, "snat {ip} to {address}"),
        Statement::Reset => write!(f, "meta l4proto tcp reject with tcp reset"),
        Statement::Reject => write!(f, "reject"),
        Statement::Verdict(verdict) => write!(f, "{verdict}"),
    }
}

fn word(field: Field, ip: &str) -> String {
    match field {
        Field::Source => format!("{ip} saddr"),
        Field::Destination => format!("{ip} daddr"),
        Field::Protocol => "meta l4proto".into(),
        Field::DestinationPort => "th dport".into(),
        Field::AnyAddress if ip == "ip6" => "::".into(),
        Field::AnyAddress => "0.0.0.0".into(),
        Field::Random { first: 0, count } => format!("numgen random mod {count}"),
        Field::Random { first, count } => format!("numgen random mod {count} offset {first}"),
    }
}
