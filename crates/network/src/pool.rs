//! Which addresses of the node's ranges are free. Pure: it is told who holds
//! what and remembers it; `records` keeps it on disk.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::Error;

/// Hands out one address of each range to each holder.
///
/// The first address of a range is the gateway and the last of an IPv4 range
/// its broadcast address; neither is handed out. The search goes on behind
/// the last address given, so that a released one rests as long as it can:
/// peers may still have connections to the old holder.
#[derive(Debug)]
pub struct AddressPool {
    ranges: Vec<Range>,
    holders: BTreeMap<IpAddr, String>,
}

#[derive(Debug)]
struct Range {
    net: IpNet,
    /// Offsets from the network's address, both included.
    first: u128,
    last: u128,
    next: u128,
}

impl AddressPool {
    pub fn new(ranges: &[IpNet]) -> Self {
        let ranges = ranges
            .iter()
            .map(|net| {
                let net = net.trunc();
                let bits = u32::from(net.max_prefix_len() - net.prefix_len());
                let size = 1u128.checked_shl(bits).unwrap_or(u128::MAX);
                let last = if net.addr().is_ipv4() { size.saturating_sub(2) } else { size - 1 };
                Range { net, first: 2, last, next: 2 }
            })
            .collect();
        Self { ranges, holders: BTreeMap::new() }
    }

    /// Notes that `holder` has `address`, as read from disk or asked for.
    pub fn take(&mut self, holder: &str, address: IpAddr) -> Result<(), Error> {
        match self.holders.get(&address) {
            Some(other) if other != holder => Err(Error::Taken { address, holder: other.clone() }),
            _ => {
                self.holders.insert(address, holder.to_owned());
                Ok(())
            }
        }
    }

    /// One address a range for `holder`: those of `fixed` where they fit, and
    /// free ones. On an error nothing is held that was not held before.
    pub fn allocate(&mut self, holder: &str, fixed: &[IpAddr]) -> Result<Vec<IpAddr>, Error> {
        let mut given = Vec::new();
        for index in 0..self.ranges.len() {
            let net = self.ranges[index].net;
            let wanted = fixed.iter().copied().find(|address| address.is_ipv4() == net.addr().is_ipv4());
            let got = match wanted {
                Some(address) => self.take(holder, address).map(|()| address),
                None => self.take_free(index, holder),
            };
            match got {
                Ok(address) => given.push(address),
                Err(error) => {
                    for address in given {
                        self.holders.remove(&address);
                    }
                    return Err(error);
                }
            }
        }
        Ok(given)
    }

    fn take_free(&mut self, index: usize, holder: &str) -> Result<IpAddr, Error> {
        let range = &self.ranges[index];
        // Among as many candidates as there are holders, plus one, one is free.
        let candidates =
            (range.next..=range.last).chain(range.first..range.next).take(self.holders.len() + 1);
        for offset in candidates {
            let address = at(range.net, offset);
            if !self.holders.contains_key(&address) {
                self.ranges[index].next = if offset == range.last { range.first } else { offset + 1 };
                self.holders.insert(address, holder.to_owned());
                return Ok(address);
            }
        }
        Err(Error::Exhausted(range.net))
    }

    /// Everything that `holder` has is free again.
    pub fn release(&mut self, holder: &str) {
        self.holders.retain(|_, other| other != holder);
    }

    pub fn holder(&self, address: IpAddr) -> Option<&str> {
        self.holders.get(&address).map(String::as_str)
    }
}

fn at(net: IpNet, offset: u128) -> IpAddr {
    match net.network() {
        IpAddr::V4(base) => IpAddr::V4(Ipv4Addr::from(u32::from(base).wrapping_add(offset as u32))),
        IpAddr::V6(base) => IpAddr::V6(Ipv6Addr::from(u128::from(base).wrapping_add(offset))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(ranges: &[&str]) -> AddressPool {
        AddressPool::new(&ranges.iter().map(|range| range.parse().unwrap()).collect::<Vec<_>>())
    }

    fn ips(words: &[&str]) -> Vec<IpAddr> {
        words.iter().map(|word| word.parse().unwrap()).collect()
    }

    #[test]
    fn gateway_and_broadcast_are_not_given_out() {
        let mut pool = pool(&["10.42.0.0/29"]);
        let given: Vec<_> = (2..=6).map(|n| pool.allocate(&n.to_string(), &[]).unwrap()[0]).collect();
        assert_eq!(given, ips(&["10.42.0.2", "10.42.0.3", "10.42.0.4", "10.42.0.5", "10.42.0.6"]));
        let error = pool.allocate("late", &[]).unwrap_err();
        assert!(matches!(error, Error::Exhausted(_)), "{error}");
        pool.release("4");
        assert_eq!(pool.allocate("late", &[]).unwrap(), ips(&["10.42.0.4"]));
    }

    #[test]
    fn a_released_address_rests_until_the_others_were_used() {
        let mut pool = pool(&["10.42.0.0/29"]);
        assert_eq!(pool.allocate("a", &[]).unwrap(), ips(&["10.42.0.2"]));
        pool.release("a");
        assert_eq!(pool.allocate("b", &[]).unwrap(), ips(&["10.42.0.3"]));
    }

    #[test]
    fn dual_stack_gives_one_of_each_or_nothing() {
        let mut pool = pool(&["10.42.0.0/30", "fd00:42::/64"]);
        assert_eq!(pool.allocate("a", &[]).unwrap(), ips(&["10.42.0.2", "fd00:42::2"]));
        assert!(pool.allocate("b", &[]).is_err());
        pool.release("a");
        assert_eq!(pool.allocate("c", &[]).unwrap(), ips(&["10.42.0.2", "fd00:42::3"]));
    }

    #[test]
    fn what_was_read_from_disk_is_not_given_twice() {
        let mut pool = pool(&["10.42.0.0/29"]);
        pool.take("old", "10.42.0.2".parse().unwrap()).unwrap();
        assert_eq!(pool.allocate("new", &[]).unwrap(), ips(&["10.42.0.3"]));
        assert!(pool.allocate("thief", &ips(&["10.42.0.2"])).is_err());
        assert_eq!(pool.allocate("old", &ips(&["10.42.0.2"])).unwrap(), ips(&["10.42.0.2"]));
    }
}
