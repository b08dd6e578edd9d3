//! The plans of all Services together, and what must change in the kernel
//! when one changes. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use informer::ObjectKey;
use network::Protocol;
use network::conntrack::Flows;
use network::rules::RuleSet;
use network::rules::change::Changes;

use crate::chains::{Picker, skeleton};
use crate::model::{Service, Slice};
use crate::plan::{Node, Plan, plan_owned};

/// An outside address that only one Service can have.
type Claim = (IpAddr, Protocol, u16);

/// What is in the kernel, by Service.
pub struct Table {
    node: Node,
    plans: BTreeMap<ObjectKey, Plan>,
    /// Chains that exist. They stay until the next start: a few rules each,
    /// one for each number of endpoints that ever was.
    pickers: BTreeSet<Picker>,
    claims: BTreeMap<Claim, BTreeSet<ObjectKey>>,
    claimed: BTreeMap<ObjectKey, BTreeSet<Claim>>,
}

/// What a change of some Services means.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Update {
    pub changes: Changes,
    /// Connections that would go on to endpoints that are no more.
    pub stale: BTreeSet<Flows>,
    /// Services that must be looked at again, since an address that they share
    /// with this one got or lost its owner.
    pub again: BTreeSet<ObjectKey>,
}

impl Table {
    pub fn new(node: Node) -> Self {
        Self {
            node,
            plans: BTreeMap::new(),
            pickers: BTreeSet::new(),
            claims: BTreeMap::new(),
            claimed: BTreeMap::new(),
        }
    }

    /// Takes in the node's zone. Whether it is another one: every Service must
    /// be looked at again then.
    pub fn set_zone(&mut self, zone: Option<String>) -> bool {
        let differs = self.node.zone != zone;
        self.node.zone = zone;
        differs
    }

    /// Takes in the state of one Service (None: it is gone) and adds what
    /// follows to `update`.
    pub fn set(
        &mut self,
        key: &ObjectKey,
        service: Option<&Service>,
        slices: &[&Slice],
        update: &mut Update,
    ) {
        let owned = self.claim(key, service, &mut update.again);
        let new = match service {
            Some(service) => {
                plan_owned(service, slices.iter().copied(), &self.node, |address, protocol, port| {
                    owned.contains(&(address, protocol, port))
                })
            }
            None => Plan::default(),
        };
        let old = self.plans.remove(key).unwrap_or_default();
        self.compare(&old, &new, update);
        if service.is_some() && new != Plan::default() {
            self.plans.insert(key.clone(), new);
        }
    }

    fn compare(&mut self, old: &Plan, new: &Plan, update: &mut Update) {
        for picker in &new.pickers {
            if self.pickers.insert(*picker) {
                update.changes.chains.insert(picker.to_string(), picker.chain(&self.node.cluster_ranges));
            }
        }
        let none = BTreeMap::new();
        let sets: BTreeSet<_> = old.elements.keys().chain(new.elements.keys()).collect();
        for set in sets {
            let before = old.elements.get(set).unwrap_or(&none);
            update.changes.compare_elements(set, before, new.elements.get(set).unwrap_or(&none));
        }
        for (frontend, backends) in &old.udp {
            let still = new.udp.get(frontend);
            for backend in
                backends.iter().filter(|backend| !still.is_some_and(|still| still.contains(backend)))
            {
                update.stale.insert(frontend.flows(Some(*backend)));
            }
        }
        for (frontend, backends) in &new.udp {
            // Packets from before the first endpoint may have made an entry
            // that leads nowhere.
            if !backends.is_empty() && old.udp.get(frontend).is_none_or(BTreeSet::is_empty) {
                update.stale.insert(frontend.flows(None));
            }
        }
    }

    /// Notes which outside addresses the Service wants, and answers with those
    /// that are its own: the first by name has them.
    fn claim(
        &mut self,
        key: &ObjectKey,
        service: Option<&Service>,
        again: &mut BTreeSet<ObjectKey>,
    ) -> BTreeSet<Claim> {
        let wanted: BTreeSet<Claim> = service
            .into_iter()
            .flat_map(|service| {
                let ports = service.ports.iter().map(|port| (port.protocol, port.port));
                ports.flat_map(|(protocol, port)| {
                    service.external_ips.iter().map(move |ip| (*ip, protocol, port))
                })
            })
            .collect();
        let before = self.claimed.remove(key).unwrap_or_default();
        for claim in before.symmetric_difference(&wanted) {
            let claimants = self.claims.entry(*claim).or_default();
            if wanted.contains(claim) {
                claimants.insert(key.clone());
            } else {
                claimants.remove(key);
            }
            again.extend(claimants.iter().filter(|other| *other != key).cloned());
            if claimants.is_empty() {
                self.claims.remove(claim);
            }
        }
        let first = |claim: &&Claim| self.claims.get(claim).and_then(BTreeSet::first) == Some(key);
        let owned = wanted.iter().filter(first).copied().collect();
        if !wanted.is_empty() {
            self.claimed.insert(key.clone(), wanted);
        }
        owned
    }

    /// Everything, as one rule set.
    pub fn rules(&self) -> RuleSet {
        let mut rules = skeleton();
        for picker in &self.pickers {
            rules.chains.insert(picker.to_string(), picker.chain(&self.node.cluster_ranges));
        }
        for plan in self.plans.values() {
            for (set, elements) in &plan.elements {
                for (key, value) in elements {
                    rules.insert(set, key.clone(), value.clone());
                }
            }
        }
        rules
    }

    /// How many ready endpoints of the Service are on this node.
    pub fn local_endpoints(&self, key: &ObjectKey) -> usize {
        self.plans.get(key).map_or(0, |plan| plan.local_endpoints)
    }
}
