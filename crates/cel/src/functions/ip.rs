//! The libraries of addresses and ranges.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use crate::error::Error;
use crate::value::Val;

/// A range: an address and how many bits of it count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    bits: u8,
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl Cidr {
    fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |why: &str| {
            Error::failed(format!(
                "CIDR parse error during conversion from string: network address parse error during conversion from string: netip.ParsePrefix({text:?}): {why}"
            ))
        };
        let (address, bits) = text.rsplit_once('/').ok_or_else(|| refuse("no '/'"))?;
        let address: IpAddr = address.parse().map_err(|_| refuse("unable to parse IP"))?;
        if mapped(&address) {
            return Err(refuse("IPv4-mapped IPv6 address is not allowed"));
        }
        let is_plain =
            bits.bytes().all(|byte| byte.is_ascii_digit()) && (bits == "0" || !bits.starts_with('0'));
        let most = if address.is_ipv4() { 32 } else { 128 };
        match bits.parse::<u8>() {
            Ok(number) if is_plain && number <= most => Ok(Self { address, bits: number }),
            _ => Err(refuse("bad bits after slash: prefix length out of range")),
        }
    }

    pub(crate) fn bytes(self) -> u64 {
        if self.address.is_ipv4() { 4 } else { 16 }
    }

    fn masked(self) -> Self {
        Self { address: masked(self.address, self.bits), bits: self.bits }
    }

    fn holds(self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4()
            && masked(address, self.bits) == masked(self.address, self.bits)
    }
}

fn masked(address: IpAddr, bits: u8) -> IpAddr {
    let keep = u32::from(bits);
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - keep).unwrap_or(0);
            IpAddr::V4((u32::from(v4) & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - keep).unwrap_or(0);
            IpAddr::V6((u128::from(v6) & mask).into())
        }
    }
}

fn mapped(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some())
}

fn parse(text: &str) -> Result<IpAddr, Error> {
    let refuse = |why: String| {
        Error::failed(format!("IP Address {text:?} parse error during conversion from string: {why}"))
    };
    let address: IpAddr =
        text.parse().map_err(|_| refuse(format!("ParseAddr({text:?}): unable to parse IP")))?;
    if mapped(&address) {
        return Err(refuse("IPv4-mapped IPv6 address is not allowed".to_owned()));
    }
    Ok(address)
}

fn is_global_unicast(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            !v4.is_unspecified()
                && !v4.is_loopback()
                && !v4.is_multicast()
                && !v4.is_link_local()
                && !v4.is_broadcast()
        }
        IpAddr::V6(v6) => {
            !v6.is_unspecified() && !v6.is_loopback() && !v6.is_multicast() && !is_link_local(v6)
        }
    }
}

fn is_link_local(address: &Ipv6Addr) -> bool {
    address.segments()[0] & 0xffc0 == 0xfe80
}

pub(super) fn call<'a>(function: &str, args: &[Val<'a>]) -> Result<Val<'a>, Error> {
    use Val::{Bool, Int, Ip, String};
    Ok(match (function, args) {
        ("ip", [String(text)]) => Ip(parse(text)?),
        ("isIP", [String(text)]) => Bool(parse(text).is_ok()),
        ("ip.isCanonical", [String(text)]) => Bool(parse(text)?.to_string() == **text),
        ("cidr", [String(text)]) => Val::Cidr(Cidr::parse(text)?),
        ("isCIDR", [String(text)]) => Bool(Cidr::parse(text).is_ok()),
        ("string", [Ip(address)]) => Val::string(address.to_string()),
        ("family", [Ip(address)]) => Int(if address.is_ipv4() { 4 } else { 6 }),
        ("isUnspecified", [Ip(address)]) => Bool(address.is_unspecified()),
        ("isLoopback", [Ip(address)]) => Bool(address.is_loopback()),
        ("isLinkLocalMulticast", [Ip(address)]) => Bool(match address {
            IpAddr::V4(v4) => v4.octets()[..3] == [224, 0, 0],
            IpAddr::V6(v6) => v6.segments()[0] & 0xff0f == 0xff02,
        }),
        ("isLinkLocalUnicast", [Ip(address)]) => Bool(match address {
            IpAddr::V4(v4) => v4.is_link_local(),
            IpAddr::V6(v6) => is_link_local(v6),
        }),
        ("isGlobalUnicast", [Ip(address)]) => Bool(is_global_unicast(address)),
        ("containsIP", [Val::Cidr(cidr), Ip(address)]) => Bool(cidr.holds(*address)),
        ("containsIP", [Val::Cidr(cidr), String(text)]) => Bool(cidr.holds(parse(text)?)),
        ("containsCIDR", [Val::Cidr(cidr), Val::Cidr(part)]) => {
            Bool(part.bits >= cidr.bits && cidr.holds(part.address))
        }
        ("containsCIDR", [Val::Cidr(cidr), String(text)]) => {
            let part = Cidr::parse(text)?;
            Bool(part.bits >= cidr.bits && cidr.holds(part.address))
        }
        ("ip", [Val::Cidr(cidr)]) => Ip(cidr.address),
        ("masked", [Val::Cidr(cidr)]) => Val::Cidr(cidr.masked()),
        ("prefixLength", [Val::Cidr(cidr)]) => Int(cidr.bits.into()),
        _ => return Err(Error::no_overload()),
    })
}
