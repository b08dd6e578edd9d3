//! Keeps the addresses of Services and their IPAddresses together (upstream's
//! repair of addresses): one that somebody deleted comes back, and one whose
//! Service has gone, or another address, goes.
//!
//! A Service and its IPAddresses are written in one transaction, so that there
//! is something to repair only where somebody wrote an IPAddress by hand.
//! Looks whenever one of both changed, and never on a period.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use apimachinery::Status;
use apiserver::{ApiServer, Changes, DeleteOptions, Stored, View};

use super::{ignore_absent, own_user};
use crate::core::service::allocation::take_address;

const SERVICES: (&str, &str) = ("", "services");
const ADDRESSES: (&str, &str) = ("networking.k8s.io", "ipaddresses");
const MANAGED_BY: &str = "ipaddress.kubernetes.io/managed-by";
const ALLOCATOR: &str = "ipallocator.k8s.io";

/// Namespace and name of a Service.
type Place = (String, String);

/// What is remembered of an object between passes: its revision, and what it
/// says.
type Known<T> = BTreeMap<Place, (u64, T)>;

/// The loop's memory.
pub(super) struct Addresses {
    changes: Option<(Changes, Changes)>,
    /// The addresses of Services.
    services: Known<BTreeSet<IpAddr>>,
    /// The Services of IPAddresses that the allocator made; None for others.
    taken: Known<Option<Place>>,
}

impl Addresses {
    /// Changes count from here on.
    pub fn new(server: &ApiServer) -> Self {
        let changes = server.changes(SERVICES.0, SERVICES.1).zip(server.changes(ADDRESSES.0, ADDRESSES.1));
        Self { changes, services: BTreeMap::new(), taken: BTreeMap::new() }
    }

    /// Passes at once and whenever something changed, until the store closes.
    pub async fn run(mut self, server: Arc<ApiServer>) {
        let Some((mut services, mut addresses)) = self.changes.take() else { return };
        loop {
            if let Err(status) = self.pass(&server).await {
                tracing::warn!(why = status.message, "addresses of services could not be repaired");
            }
            let open = tokio::select! {
                biased;
                open = services.next() => open,
                open = addresses.next() => open,
            };
            if !open {
                return;
            }
        }
    }

    async fn pass(&mut self, server: &ApiServer) -> Result<(), Status> {
        let view = server.view();
        observe(&view, SERVICES, &mut self.services, addresses_of);
        observe(&view, ADDRESSES, &mut self.taken, holder_of);
        let Plan { missing, orphans } = plan(&self.services, &self.taken);
        let made = missing.into_iter().map(|((namespace, name), address)| {
            let service = apimachinery::value!({"metadata": {"name": name}});
            take_address(&service, &namespace, &address)
        });
        let made: Vec<_> = made.collect();
        if !made.is_empty() {
            server.seed(made).await?;
        }
        for name in orphans {
            let options = DeleteOptions::default();
            ignore_absent(server.delete_as(&own_user(), ADDRESSES, ("", &name), &options).await)?;
        }
        Ok(())
    }
}

/// Brings `known` up to date, reading what changed alone.
fn observe<T>(view: &View, (group, plural): (&str, &str), known: &mut Known<T>, read: fn(&Stored) -> T) {
    let mut present = BTreeSet::new();
    for stored in view.list(group, plural, "") {
        let place = (stored.namespace().to_owned(), stored.name().to_owned());
        if known.get(&place).is_none_or(|(revision, _)| *revision != stored.revision()) {
            known.insert(place.clone(), (stored.revision(), read(&stored)));
        }
        present.insert(place);
    }
    known.retain(|place, _| present.contains(place));
}

fn addresses_of(service: &Stored) -> BTreeSet<IpAddr> {
    let service = service.tree();
    service["spec"]["clusterIPs"].items().iter().filter_map(|address| address.text().parse().ok()).collect()
}

fn holder_of(address: &Stored) -> Option<Place> {
    if address.label(MANAGED_BY) != Some(ALLOCATOR) {
        return None;
    }
    let tree = address.tree();
    let parent = &tree["spec"]["parentRef"];
    let is_service = parent["group"].text().is_empty() && parent["resource"].text() == "services";
    is_service.then(|| (parent["namespace"].text().to_owned(), parent["name"].text().to_owned()))
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    /// Addresses of Services that nobody holds.
    missing: Vec<(Place, IpAddr)>,
    /// IPAddresses that hold nothing.
    orphans: Vec<String>,
}

fn plan(services: &Known<BTreeSet<IpAddr>>, taken: &Known<Option<Place>>) -> Plan {
    let mut plan = Plan::default();
    for (place, (_, addresses)) in services {
        for address in addresses {
            if !taken.contains_key(&(String::new(), address.to_string())) {
                plan.missing.push((place.clone(), *address));
            }
        }
    }
    for ((_, name), (_, holder)) in taken {
        let Some(holder) = holder else { continue };
        let holds = services.get(holder).is_some_and(|(_, addresses)| {
            name.parse().is_ok_and(|address: IpAddr| addresses.contains(&address))
        });
        if !holds {
            plan.orphans.push(name.clone());
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str) -> Place {
        ("n".to_owned(), name.to_owned())
    }

    #[test]
    fn addresses_without_a_service_go_and_those_of_services_come() {
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let services: Known<BTreeSet<IpAddr>> = [
            (place("a"), (1, [address("10.96.0.5"), address("fd00::5")].into())),
            (place("b"), (2, [address("10.96.0.6")].into())),
            (place("headless"), (3, BTreeSet::new())),
        ]
        .into();
        let own = |name: &str| (String::new(), name.to_owned());
        let taken: Known<Option<Place>> = [
            (own("10.96.0.5"), (1, Some(place("a")))),
            (own("10.96.0.6"), (2, Some(place("b")))),
            // Of a Service that has another one, of one that is gone, and somebody's own.
            (own("10.96.0.7"), (3, Some(place("b")))),
            (own("10.96.0.8"), (4, Some(place("gone")))),
            (own("10.96.0.9"), (5, None)),
        ]
        .into();
        assert_eq!(
            plan(&services, &taken),
            Plan {
                missing: vec![(place("a"), address("fd00::5"))],
                orphans: vec!["10.96.0.7".into(), "10.96.0.8".into()],
            }
        );
    }
}
