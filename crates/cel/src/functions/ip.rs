//! The libraries of addresses and ranges.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use apimachinery::field::quote;
use apimachinery::netip;

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
        const WHAT: &str = "network address parse error during conversion from string: ";
        let refuse = |why: String| Error::failed(format!("{WHAT}{why}"));
        let (address, bits) = netip::parse_prefix(text).map_err(|why| refuse(format!("{WHAT}{why}")))?;
        if mapped(&address) {
            return Err(refuse(format!("IPv4-mapped IPv6 address {} is not allowed", quote(text))));
        }
        Ok(Self { address, bits })
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
    let shown = quote(text);
    let address = netip::parse_addr(text).map_err(|why| {
        Error::failed(format!("IP Address {shown} parse error during conversion from string: {why}"))
    })?;
    if !address.zone.is_empty() {
        return Err(Error::failed(format!("IP address {shown} with zone value is not allowed")));
    }
    if address.is_mapped() {
        return Err(Error::failed(format!("IPv4-mapped IPv6 address {shown} is not allowed")));
    }
    Ok(address.ip)
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
