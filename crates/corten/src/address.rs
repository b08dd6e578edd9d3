//! Names and addresses of this machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use anyhow::{Context, Result, bail};
use ipnet::IpNet;

/// The host's name in the form of a node's: lower case.
pub fn host_name() -> Result<String> {
    let name = nix::unistd::gethostname().context("the host's name")?;
    Ok(name.to_string_lossy().to_lowercase())
}

/// Every address of this machine but loopback and link-local ones.
pub fn own() -> Vec<IpAddr> {
    let Ok(links) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    let addresses = links.filter_map(|link| {
        let address = link.address?;
        let four = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        four.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    });
    addresses.filter(|address| is_global(*address)).collect()
}

fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => !four.is_loopback() && !four.is_link_local() && !four.is_unspecified(),
        IpAddr::V6(six) => !six.is_loopback() && !six.is_unicast_link_local() && !six.is_unspecified(),
    }
}

/// The node's addresses, the primary first: a specific `bind` address, or the
/// one that the machine's default route leaves from, or else its first.
/// `cluster` tells addresses that are Corten's own.
pub fn of_node(bind: IpAddr, cluster: impl Fn(IpAddr) -> bool) -> Result<Vec<IpAddr>> {
    if !bind.is_unspecified() {
        return Ok(vec![bind]);
    }
    choose(routed(), own().into_iter().filter(|address| !cluster(*address)).collect())
}

fn choose(routed: Vec<IpAddr>, own: Vec<IpAddr>) -> Result<Vec<IpAddr>> {
    let mut chosen: Vec<IpAddr> = routed.into_iter().filter(|address| own.contains(address)).collect();
    for of_family in [IpAddr::is_ipv4, IpAddr::is_ipv6] {
        if !chosen.iter().any(of_family) {
            chosen.extend(own.iter().copied().find(of_family));
        }
    }
    if chosen.is_empty() {
        bail!(
            "this machine has no address but loopback: give it one, or name the one to use with --bind IP:6443"
        );
    }
    Ok(chosen)
}

/// The sources that the kernel would choose for far destinations. Connecting
/// a datagram socket sends nothing.
fn routed() -> Vec<IpAddr> {
    let source = |from: IpAddr, to: IpAddr| {
        let socket = UdpSocket::bind(SocketAddr::new(from, 0)).ok()?;
        socket.connect(SocketAddr::new(to, 9)).ok()?;
        Some(socket.local_addr().ok()?.ip()).filter(|address| is_global(*address))
    };
    // Documentation's addresses (RFC 5737, RFC 3849).
    let four = source(Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into());
    let six = source(Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into());
    four.into_iter().chain(six).collect()
}

/// The address that is so far behind a range's first, in either family.
pub fn nth(range: &IpNet, distance: u32) -> Option<IpAddr> {
    let address = match range.network() {
        IpAddr::V4(four) => IpAddr::V4(u32::from(four).checked_add(distance)?.into()),
        IpAddr::V6(six) => IpAddr::V6(u128::from(six).checked_add(distance.into())?.into()),
    };
    range.contains(&address).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_counted_alike_in_both_families() {
        let at = |range: &str, distance| nth(&range.parse().unwrap(), distance).map(|ip| ip.to_string());
        assert_eq!(at("10.96.0.0/16", 1).as_deref(), Some("10.96.0.1"));
        assert_eq!(at("10.96.0.0/28", 10).as_deref(), Some("10.96.0.10"));
        assert_eq!(at("fd00:96::/112", 10).as_deref(), Some("fd00:96::a"));
        assert_eq!(at("10.96.0.0/29", 10), None);
    }

    #[test]
    fn the_routed_address_is_first_and_each_family_has_one() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let own = vec![ip("192.0.2.1"), ip("198.51.100.7"), ip("2001:db8::7")];
        assert_eq!(
            choose(vec![ip("198.51.100.7")], own.clone()).unwrap(),
            [ip("198.51.100.7"), ip("2001:db8::7")]
        );
        assert_eq!(choose(vec![], own.clone()).unwrap(), [ip("192.0.2.1"), ip("2001:db8::7")]);
        assert!(choose(vec![ip("203.0.113.1")], vec![]).is_err());
    }
}
