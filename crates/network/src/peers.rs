//! The ways to the pods of other nodes: a route for each of their ranges, by
//! the address of its node.
//!
//! They bear a routing protocol number of their own, by which a later run
//! finds what an earlier one left.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::Error;
use crate::links::Links;

/// Ranges, and the address of the node that has each.
pub type Ways = BTreeMap<IpNet, IpAddr>;

/// The routes to other nodes' pods in one network namespace.
pub struct Peers(Links);

impl Peers {
    /// Those of the calling thread's namespace.
    pub fn open() -> Result<Self, Error> {
        Ok(Self(Links::open()?))
    }

    /// Makes the kernel have these ways and no others.
    ///
    /// # Errors
    /// What the kernel refused first; the others are set all the same. A node
    /// that is not on a link of this one cannot be a gateway.
    pub async fn set(&self, wanted: &Ways) -> Result<(), Error> {
        let (gone, new) = difference(&self.0.peer_routes().await?, wanted);
        let mut result = Ok(());
        for range in gone {
            result = result.and(self.0.remove_peer_route(range).await);
        }
        for (range, gateway) in new {
            result = result.and(self.0.add_peer_route(range, gateway).await);
        }
        result
    }
}

/// What must go and what must come.
fn difference(present: &Ways, wanted: &Ways) -> (Vec<IpNet>, Vec<(IpNet, IpAddr)>) {
    let gone = present.keys().filter(|range| !wanted.contains_key(range)).copied().collect();
    let new = wanted
        .iter()
        .filter(|(range, gateway)| present.get(range) != Some(gateway))
        .map(|(range, gateway)| (*range, *gateway))
        .collect();
    (gone, new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ways(list: &[(&str, &str)]) -> Ways {
        list.iter().map(|(range, gateway)| (range.parse().unwrap(), gateway.parse().unwrap())).collect()
    }

    #[test]
    fn only_what_differs_changes() {
        let present = ways(&[
            ("10.42.1.0/24", "192.0.2.1"),
            ("10.42.2.0/24", "192.0.2.2"),
            ("10.42.3.0/24", "192.0.2.3"),
        ]);
        let wanted = ways(&[
            ("10.42.1.0/24", "192.0.2.1"),
            ("10.42.2.0/24", "192.0.2.9"),
            ("fd42::/64", "2001:db8::2"),
        ]);
        let (gone, new) = difference(&present, &wanted);
        assert_eq!(gone, ["10.42.3.0/24".parse::<IpNet>().unwrap()]);
        let new: Ways = new.into_iter().collect();
        assert_eq!(new, ways(&[("10.42.2.0/24", "192.0.2.9"), ("fd42::/64", "2001:db8::2")]));
        assert_eq!(difference(&wanted, &wanted), (vec![], vec![]));
    }
}
