//! Rule sets as nlink's messages. The only place that knows registers.

use nft::{
    CmpOp, CtKey, DynsetExpr, DynsetOp, Expr, LookupExpr, MasqExpr, MetaKey, PayloadBase, RawExpr, Register,
};
use nlink::netlink::nftables as nft;

use super::{
    Chain, Family, Field, Hook, HookKind, HookPoint, Key, Kind, Rule, Set, Side, Statement, Value, ValueKind,
    Verdict,
};
use crate::Error;

/// `IPS_DST_NAT` of the kernel's conntrack status.
const STATUS_TRANSLATED: u32 = 1 << 5;
/// `RTN_LOCAL`, what `fib` calls an address of this machine.
const ROUTE_LOCAL: u32 = 2;

pub(super) fn set(table: &str, name: &str, set: &Set) -> nft::Set {
    let mut out = nft::Set::new(table, name).family(nft::Family::Inet).key_type(key_type(&set.key));
    match &set.value {
        None => {}
        Some(ValueKind::Verdict) => out = out.vmap(),
        Some(ValueKind::Data(parts)) => out = out.map(nft::SetDataType::Value(key_type(parts))),
    }
    match set.remembers {
        Some(timeout) => out.dynamic().timeout(timeout),
        None => out,
    }
}

fn key_type(kinds: &[Kind]) -> nft::SetKeyType {
    let one = |kind: &Kind| match kind {
        Kind::Address(Family::Ipv4) => nft::SetKeyType::Ipv4Addr,
        Kind::Address(Family::Ipv6) => nft::SetKeyType::Ipv6Addr,
        Kind::Protocol => nft::SetKeyType::InetProto,
        Kind::Port => nft::SetKeyType::InetService,
        Kind::Number => nft::SetKeyType::Mark,
    };
    nft::SetKeyType::Concat(kinds.iter().map(one).collect())
}

pub(super) fn element(key: &Key, value: Option<&Value>) -> Result<nft::SetElement, Error> {
    let element = nft::SetElement::new(key.0.clone());
    Ok(match value {
        None => element,
        Some(Value::Data(data)) => element.value(nft::SetElement::new(data.0.clone())),
        Some(Value::Verdict(to)) => element.verdict(verdict(to)?),
    })
}

fn verdict(verdict: &Verdict) -> Result<nft::Verdict, Error> {
    let chain = |name: &str| {
        nft::ChainName::new(name).map_err(Error::kernel(format!("take {name:?} as the name of a chain")))
    };
    Ok(match verdict {
        Verdict::Accept => nft::Verdict::Accept,
        Verdict::Drop => nft::Verdict::Drop,
        Verdict::Return => nft::Verdict::Return,
        Verdict::Jump(name) => nft::Verdict::JumpTo(chain(name)?),
        Verdict::Goto(name) => nft::Verdict::GotoTo(chain(name)?),
    })
}

pub(super) fn chain(table: &str, name: &str, chain: &Chain) -> Result<nft::Chain, Error> {
    let out = nft::Chain::new(table, name)
        .map_err(Error::kernel(format!("take {name:?} as the name of a chain")))?
        .family(nft::Family::Inet);
    Ok(match chain.hook {
        Some(at) => out.base(base(at)?),
        None => out,
    })
}

fn base(hook: Hook) -> Result<nft::BaseChain, Error> {
    let priority = nft::Priority::Custom(hook.priority);
    let chain = match (hook.kind, hook.point) {
        (HookKind::Nat, point) => {
            let point = match point {
                HookPoint::Prerouting => nft::NatHook::Prerouting,
                HookPoint::Input => nft::NatHook::Input,
                HookPoint::Output => nft::NatHook::Output,
                HookPoint::Postrouting => nft::NatHook::Postrouting,
                HookPoint::Forward => {
                    return Err(Error::Config("no address is translated at the forward hook".into()));
                }
            };
            nft::BaseChain::nat(point, priority)
        }
        (HookKind::Filter, point) => {
            let point = match point {
                HookPoint::Prerouting => nft::FilterHook::Prerouting,
                HookPoint::Input => nft::FilterHook::Input,
                HookPoint::Forward => nft::FilterHook::Forward,
                HookPoint::Output => nft::FilterHook::Output,
                HookPoint::Postrouting => nft::FilterHook::Postrouting,
            };
            nft::BaseChain::filter(point, priority)
        }
    };
    Ok(chain.policy(nft::Policy::Accept))
}

pub(super) fn rule(table: &str, chain: &str, rule: &Rule) -> Result<nft::Rule, Error> {
    let mut out = nft::Rule::new(table, chain).family(nft::Family::Inet);
    let family = rule.family.unwrap_or(Family::Ipv4);
    if let Some(family) = rule.family {
        let number = if family == Family::Ipv4 { libc::NFPROTO_IPV4 } else { libc::NFPROTO_IPV6 };
        out = out.expr(Expr::Meta { dreg: word(0), key: MetaKey::NfProto }).expr(equal(
            word(0),
            vec![number as u8],
            false,
        ));
    }
    for statement in &rule.statements {
        out = append(out, statement, family)?;
    }
    Ok(out)
}

fn append(out: nft::Rule, statement: &Statement, family: Family) -> Result<nft::Rule, Error> {
    Ok(match statement {
        Statement::Within { side, range, negated } => {
            let (address, length) = (range.network(), range.prefix_len());
            match (side, negated) {
                (Side::Source, false) => out.match_saddr(address, length),
                (Side::Source, true) => out.match_saddr_not(address, length),
                (Side::Destination, false) => out.match_daddr(address, length),
                (Side::Destination, true) => out.match_daddr_not(address, length),
            }
        }
        Statement::Local { side, negated } => {
            let flags = match side {
                Side::Source => nft::FibFlags::SADDR,
                Side::Destination => nft::FibFlags::DADDR,
            };
            out.expr(Expr::Fib { dreg: word(0), result: nft::FibResult::AddrType, flags }).expr(equal(
                word(0),
                ROUTE_LOCAL.to_ne_bytes().to_vec(),
                *negated,
            ))
        }
        Statement::OutputLink { name, negated } => {
            if *negated {
                out.match_oif_not(name)
            } else {
                out.match_oif(name)
            }
        }
        Statement::Marked(bits) => out.match_mark_masked(*bits, *bits),
        Statement::Mark(bits) => out.set_mark_masked(*bits, *bits),
        Statement::Translated => {
            let bits = STATUS_TRANSLATED.to_ne_bytes().to_vec();
            out.expr(Expr::Ct { dreg: word(0), key: CtKey::Status })
                .expr(Expr::Bitwise { sreg: word(0), dreg: word(0), len: 4, mask: bits, xor: vec![0; 4] })
                .expr(equal(word(0), vec![0; 4], true))
        }
        Statement::In { fields, set } => {
            let (out, _) = load(out, fields, 0, family);
            out.expr(LookupExpr::new(set, word(0)))
        }
        Statement::Lookup { fields, map } => {
            let (out, _) = load(out, fields, 0, family);
            out.expr(LookupExpr::new(map, word(0)).dreg(Register::Verdict))
        }
        Statement::Translate { fields, map } => {
            let (out, _) = load(out, fields, 0, family);
            translate(out.expr(LookupExpr::new(map, word(0)).dreg(word(0))), 0, family)
        }
        Statement::TranslateRemembered { fields, memory, valid, timeout } => {
            // [source | fields | chosen address, port]: the memory's key
            // starts at the source, the valid set's at the fields.
            let (out, service) = load(out, &[Field::Source], 0, family);
            let (out, chosen) = load(out, fields, service, family);
            let out = out
                .expr(LookupExpr::new(memory, word(0)).dreg(word(chosen)))
                .expr(LookupExpr::new(valid, word(service)))
                .expr(remember(DynsetOp::Update, memory, chosen).timeout(*timeout));
            translate(out, chosen, family)
        }
        Statement::TranslateAndRemember { fields, pick, map, memory, timeout } => {
            let (out, service) = load(out, &[Field::Source], 0, family);
            let (out, chosen) = load(out, fields, service, family);
            let (out, _) = load(out, &[*pick], chosen, family);
            // An update of an element that is there only renews its timeout,
            // so that what was remembered has to go first.
            let out = out
                .expr(LookupExpr::new(map, word(service)).dreg(word(chosen)))
                .expr(remember(DynsetOp::Delete, memory, chosen))
                .expr(remember(DynsetOp::Update, memory, chosen).timeout(*timeout));
            translate(out, chosen, family)
        }
        Statement::Masquerade => out.expr(MasqExpr::new()),
        Statement::Source(address) => out.nat(nft::NatStatement::snat(*address)),
        Statement::Reset => out.match_l4proto(libc::IPPROTO_TCP as u8).reject_tcp_reset(),
        Statement::Reject => out.reject(),
        Statement::Verdict(to) => out.expr(Expr::Verdict(verdict(to)?)),
    })
}

fn remember(op: DynsetOp, memory: &str, chosen: usize) -> DynsetExpr {
    DynsetExpr::new(op, memory, word(0)).sreg_data(word(chosen))
}

/// Loads the fields into registers from word `at` on; also gives the word
/// behind them.
fn load(mut out: nft::Rule, fields: &[Field], mut at: usize, family: Family) -> (nft::Rule, usize) {
    let (width, source, destination) = match family {
        Family::Ipv4 => (4, 12, 16),
        Family::Ipv6 => (16, 8, 24),
    };
    let address =
        |at, offset| Expr::Payload { dreg: word(at), base: PayloadBase::Network, offset, len: width };
    for field in fields {
        let (expression, words) = match field {
            Field::Source => (address(at, source), width / 4),
            Field::Destination => (address(at, destination), width / 4),
            Field::AnyAddress => {
                (Expr::Immediate { dreg: word(at), data: vec![0; width as usize] }, width / 4)
            }
            Field::Protocol => (Expr::Meta { dreg: word(at), key: MetaKey::L4Proto }, 1),
            Field::DestinationPort => {
                (Expr::Payload { dreg: word(at), base: PayloadBase::Transport, offset: 2, len: 2 }, 1)
            }
            Field::Random { first, count } => {
                let kind = nft::NumgenKind::Random;
                (Expr::Numgen { dreg: word(at), kind, modulus: (*count).max(1), offset: *first }, 1)
            }
        };
        out = out.expr(expression);
        at += words as usize;
    }
    (out, at)
}

/// `dnat` to the address at word `at` and the port behind it.
fn translate(out: nft::Rule, at: usize, family: Family) -> nft::Rule {
    // nlink builds this expression only from constants; the attributes are
    // those of `enum nft_nat_attributes` in linux/netfilter/nf_tables.h.
    const TYPE: u16 = 1;
    const FAMILY: u16 = 2;
    const ADDRESS_FROM: u16 = 3;
    const ADDRESS_TO: u16 = 4;
    const PORT_FROM: u16 = 5;
    const PORT_TO: u16 = 6;
    const DNAT: u32 = 1;
    let (number, words) = match family {
        Family::Ipv4 => (libc::NFPROTO_IPV4, 1),
        Family::Ipv6 => (libc::NFPROTO_IPV6, 4),
    };
    let (address, port) = (word(at).wire(), word(at + words).wire());
    let mut data = Vec::new();
    for (attribute, value) in [
        (TYPE, DNAT),
        (FAMILY, number as u32),
        (ADDRESS_FROM, address),
        (ADDRESS_TO, address),
        (PORT_FROM, port),
        (PORT_TO, port),
    ] {
        data.extend(8u16.to_ne_bytes());
        data.extend(attribute.to_ne_bytes());
        data.extend(value.to_be_bytes());
    }
    out.expr(RawExpr::new("nat", data))
}

fn equal(sreg: Register, data: Vec<u8>, negated: bool) -> Expr {
    Expr::Cmp { sreg, op: if negated { CmpOp::Neq } else { CmpOp::Eq }, data }
}

fn word(index: usize) -> Register {
    Register::word(index).expect("no rule needs more than the 16 words that the kernel has")
}
