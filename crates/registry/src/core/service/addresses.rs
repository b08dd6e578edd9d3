//! Which cluster address a Service gets: the order in which addresses of a
//! range are tried, and which are no candidates.
//!
//! Pure. That nobody gets an address twice is the store's doing: the
//! IPAddress object is created in the transaction of the Service.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// At most this many addresses of a range are looked at, as upstream does.
const MOST: u128 = 1 << 20;

/// A service range with its first address and count of usable addresses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AddressRange {
    net: IpNet,
    /// The first address that can be given: the one behind the network's own.
    first: u128,
    count: u128,
}

impl AddressRange {
    pub fn new(net: IpNet) -> Self {
        let net = net.trunc();
        let size = 1u128.checked_shl(u32::from(net.max_prefix_len() - net.prefix_len())).unwrap_or(u128::MAX);
        // IPv4 ranges do not give their broadcast address either.
        let reserved = if net.addr().is_ipv4() { 2 } else { 1 };
        let single = size <= 2;
        let first = number(net.network()) + u128::from(!single);
        let count = if single { size } else { (size - reserved).min(MOST) };
        Self { net, first, count }
    }

    /// The address of the `kubernetes` Service.
    pub fn first(&self) -> IpAddr {
        self.address(0)
    }

    /// Whether a client may ask for `address` in this range.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.net.contains(&address)
            && number(address) >= self.first
            && (self.net.addr().is_ipv6() || number(address) - self.first < self.count)
    }

    pub fn net(&self) -> IpNet {
        self.net
    }

    fn address(&self, at: u128) -> IpAddr {
        let number = self.first + at;
        match self.net.addr() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from(number as u32)),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from(number)),
        }
    }

    /// How many addresses at the start are left for those who ask for one by
    /// name, until the rest is used up (KEP-3070).
    fn reserved(&self) -> u128 {
        let offset = (self.count / 16).clamp(16, 256);
        if offset >= self.count { 0 } else { offset }
    }

    /// Every address once: from a random one of the dynamic band around it,
    /// then the band kept for fixed addresses.
    pub fn candidates(&self, random: u64) -> impl Iterator<Item = IpAddr> + '_ {
        let reserved = self.reserved();
        let dynamic = self.count - reserved;
        let start = if dynamic == 0 { 0 } else { u128::from(random) % dynamic };
        (0..dynamic)
            .map(move |step| reserved + (start + step) % dynamic)
            .chain(0..reserved)
            .map(|at| self.address(at))
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(four) => u32::from(four).into(),
        IpAddr::V6(six) => six.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn range(net: &str) -> AddressRange {
        AddressRange::new(net.parse().expect("a range"))
    }

    #[test]
    fn network_and_broadcast_are_never_given() {
        let range = range("10.96.0.0/24");
        assert_eq!(range.first(), "10.96.0.1".parse::<IpAddr>().expect("an address"));
        let all: BTreeSet<IpAddr> = range.candidates(7).collect();
        assert_eq!(all.len(), 254);
        assert!(!range.contains("10.96.0.0".parse().expect("an address")));
        assert!(!range.contains("10.96.0.255".parse().expect("an address")));
        assert!(!range.contains("10.97.0.1".parse().expect("an address")));
    }

    #[test]
    fn the_first_addresses_are_given_last() {
        let range = range("10.96.0.0/24");
        let order: Vec<IpAddr> = range.candidates(u64::MAX).collect();
        let low = |address: &IpAddr| number(*address) - range.first < 16;
        assert!(order[..238].iter().all(|address| !low(address)));
        assert!(order[238..].iter().all(low));
    }

    proptest! {
        #[test]
        fn every_address_comes_once(prefix in 20u8..=32, random in any::<u64>()) {
            let range = AddressRange::new(IpNet::new(IpAddr::from([10, 96, 0, 0]), prefix).expect("a range"));
            let mut seen = BTreeSet::new();
            for address in range.candidates(random) {
                prop_assert!(range.contains(address), "{address}");
                prop_assert!(seen.insert(address), "{address} twice");
            }
            prop_assert_eq!(seen.len() as u128, range.count);
        }

        #[test]
        fn large_ranges_are_bounded(random in any::<u64>()) {
            let range = range("fd00::/64");
            let mut first: Vec<IpAddr> = range.candidates(random).take(100).collect();
            first.dedup();
            prop_assert_eq!(first.len(), 100);
        }
    }
}
