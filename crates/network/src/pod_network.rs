//! The pod network of the node: set up, pods attached and detached, torn down.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::conntrack::{Conntrack, Flows};
use crate::links::{Ends, Links};
use crate::records::{Record, Records};
use crate::rules::change::Changes;
use crate::rules::{PODS_TABLE, SERVICES_TABLE};
use crate::{AddressPool, Attachment, Config, Error, Protocol, Request, Rules, base, sysctl};

/// What the host's ends of pod links begin with.
const LINK_PREFIX: &str = "ctn";

/// The node's pod network, in the network namespace of the thread that opened
/// it. Shared by reference; calls for different sandboxes run side by side.
pub struct PodNetwork {
    config: Config,
    links: Links,
    rules: Rules,
    conntrack: Conntrack,
    records: Records,
    /// Held only to decide, never while the kernel is asked.
    state: parking_lot::Mutex<State>,
    /// One call at a time for one sandbox.
    turns: parking_lot::Mutex<BTreeMap<String, Arc<Mutex<()>>>>,
}

struct State {
    pool: AddressPool,
    holders: BTreeMap<String, Holder>,
}

struct Holder {
    record: Record,
    /// The link was set up to its end by this process, or found whole.
    connected: bool,
}

impl PodNetwork {
    /// Sets up the node: routes that keep packets in, rules, the bridge,
    /// forwarding. What an earlier run left is adopted: sandboxes keep their
    /// addresses, links without a record are removed.
    pub async fn open(config: Config) -> Result<Self, Error> {
        config.validate()?;
        let (records, found) = Records::open(config.state_dir.join("pods"))?;
        let mut pool = AddressPool::new(&config.node_ranges);
        let mut holders = BTreeMap::new();
        let mut rules = base::rules(&config);
        let links = Links::open()?;
        let present: BTreeSet<_> = links.named(LINK_PREFIX).await?.into_iter().collect();
        for record in found {
            for address in &record.attachment.addresses {
                pool.take(&record.id, *address)?;
            }
            for (set, key, value) in base::pod_elements(&record.attachment.addresses, &record.host_ports) {
                rules.insert(&set, key, value);
            }
            let connected = record.connected && present.contains(&record.attachment.host_interface);
            holders.insert(record.id.clone(), Holder { record, connected });
        }
        for link in present {
            if !holders
                .values()
                .any(|holder| holder.connected && holder.record.attachment.host_interface == link)
            {
                links.remove(&link).await?;
            }
        }

        // The order matters: nothing may leave before it can be refused.
        for range in config.cluster_ranges.iter().chain(&config.node_ranges).chain(&config.service_ranges) {
            links.add_unreachable(*range).await?;
        }
        let table = Rules::open(PODS_TABLE)?;
        table.replace(rules).await?;
        let gateways = config.gateways();
        let bridge = links.ensure_bridge(&config.bridge, mac(&config.bridge, "bridge")).await?;
        for address in gateways.iter().chain(&config.local_service_addresses) {
            links.add_address(bridge, *address).await?;
        }
        for range in &config.service_ranges {
            let source = gateways.iter().copied().find(|gateway| gateway.is_ipv4() == range.addr().is_ipv4());
            links.add_on_link(bridge, *range, source).await?;
        }
        let all = || config.node_ranges.iter().chain(&config.service_ranges);
        let ipv6 = all().any(|range| range.addr().is_ipv6()) && sysctl::has_ipv6();
        sysctl::forward(all().any(|range| range.addr().is_ipv4()), ipv6)?;
        Ok(Self {
            links,
            rules: table,
            conntrack: Conntrack::open()?,
            records,
            state: parking_lot::Mutex::new(State { pool, holders }),
            turns: parking_lot::Mutex::default(),
            config,
        })
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Gives the sandbox `id` addresses and a link into `namespace` (a path
    /// such as `/proc/PID/ns/net`). Again for the same sandbox gives the same.
    /// On an error the address stays with the sandbox until it is detached.
    pub async fn attach(&self, id: &str, namespace: &Path, request: &Request) -> Result<Attachment, Error> {
        let turn = self.turn(id);
        let _turn = turn.lock().await;
        let (record, connected) = self.reserve(id, request)?;
        if connected {
            return Ok(record.attachment);
        }
        self.records.write(&record)?;
        let pod = File::open(namespace).map_err(Error::file("open the network namespace", namespace))?;
        // What an attempt before this one left.
        self.links.remove(&record.attachment.host_interface).await?;
        let attachment = &record.attachment;
        let ends = Ends {
            host: &attachment.host_interface,
            host_mac: mac(id, "host"),
            pod_mac: attachment.mac,
            addresses: &attachment.addresses,
            gateways: &attachment.gateways,
            mtu: self.config.mtu,
        };
        // The rules and the link do not need each other.
        let changes = pod_changes(&record, true);
        let (linked, ruled) = tokio::join!(self.links.connect(&pod, &ends), self.rules.change(&changes));
        linked?;
        ruled?;
        let record = Record { connected: true, ..record };
        self.records.write(&record)?;
        let attachment = record.attachment.clone();
        self.decide(|state| state.holders.insert(id.to_owned(), Holder { record, connected: true }));
        Ok(attachment)
    }

    /// Addresses for the sandbox, old or new.
    fn reserve(&self, id: &str, request: &Request) -> Result<(Record, bool), Error> {
        self.decide(|state| {
            if let Some(holder) = state.holders.get(id) {
                return Ok((holder.record.clone(), holder.connected));
            }
            for port in &request.host_ports {
                for (other, holder) in &state.holders {
                    if holder.record.host_ports.iter().any(|taken| port.collides(taken)) {
                        return Err(Error::HostPortTaken {
                            protocol: port.protocol.name(),
                            port: port.host_port,
                            holder: other.clone(),
                        });
                    }
                }
            }
            let addresses = state.pool.allocate(id, &request.fixed)?;
            let gateways = self.config.gateways();
            let gateway = |address: &IpAddr| {
                gateways.iter().copied().find(|gateway| gateway.is_ipv4() == address.is_ipv4())
            };
            let attachment = Attachment {
                gateways: addresses.iter().filter_map(gateway).collect(),
                addresses,
                mac: mac(id, "pod"),
                host_interface: format!("{LINK_PREFIX}{:012x}", hash(&[id]) & 0xffff_ffff_ffff),
            };
            let host_ports = request.host_ports.clone();
            let record = Record { id: id.to_owned(), attachment, host_ports, connected: false };
            state.holders.insert(id.to_owned(), Holder { record: record.clone(), connected: false });
            Ok((record, false))
        })
    }

    /// Takes back the link and then the addresses; fine when there is nothing.
    pub async fn detach(&self, id: &str) -> Result<(), Error> {
        let turn = self.turn(id);
        let held = turn.lock().await;
        let record = self.decide(|state| state.holders.get(id).map(|holder| holder.record.clone()));
        if let Some(record) = record {
            self.links.remove(&record.attachment.host_interface).await?;
            self.rules.change(&pod_changes(&record, false)).await?;
            for flows in stale_flows(&record) {
                self.conntrack.forget(&flows).await?;
            }
            self.records.remove(id)?;
            self.decide(|state| {
                state.holders.remove(id);
                state.pool.release(id);
            });
        }
        drop(held);
        self.turns.lock().remove(id);
        Ok(())
    }

    /// What an attached sandbox has.
    pub fn attachment(&self, id: &str) -> Option<Attachment> {
        self.decide(|state| {
            let holder = state.holders.get(id).filter(|holder| holder.connected)?;
            Some(holder.record.attachment.clone())
        })
    }

    /// Every sandbox that holds something, in order.
    pub fn attached(&self) -> Vec<String> {
        self.decide(|state| state.holders.keys().cloned().collect())
    }

    /// Detaches every sandbox that is not among `live`, and names them.
    pub async fn reclaim(&self, live: &BTreeSet<String>) -> Result<Vec<String>, Error> {
        let dead: Vec<_> = self.attached().into_iter().filter(|id| !live.contains(id)).collect();
        for id in &dead {
            self.detach(id).await?;
        }
        Ok(dead)
    }

    /// Writes the table anew, for when somebody else touched it.
    pub async fn rebuild(&self) -> Result<(), Error> {
        self.rules.rebuild().await
    }

    /// Removes everything that a network of this configuration ever set up in
    /// the calling thread's namespace: links, routes, both tables, records.
    /// Forwarding stays on, since others may rely on it by now.
    pub async fn teardown(config: &Config) -> Result<(), Error> {
        let links = Links::open()?;
        for link in links.named(LINK_PREFIX).await? {
            links.remove(&link).await?;
        }
        links.remove(&config.bridge).await?;
        for table in [SERVICES_TABLE, PODS_TABLE] {
            Rules::open(table)?.remove().await?;
        }
        for range in links.peer_routes().await?.into_keys() {
            links.remove_peer_route(range).await?;
        }
        for range in config.cluster_ranges.iter().chain(&config.node_ranges).chain(&config.service_ranges) {
            links.remove_unreachable(*range).await?;
        }
        let directory = config.state_dir.join("pods");
        match std::fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::file("remove", directory)(error))
            }
            _ => Ok(()),
        }
    }

    fn decide<T>(&self, decide: impl FnOnce(&mut State) -> T) -> T {
        decide(&mut self.state.lock())
    }

    fn turn(&self, id: &str) -> Arc<Mutex<()>> {
        let mut turns = self.turns.lock();
        turns.entry(id.to_owned()).or_default().clone()
    }
}

/// The elements of a pod, coming or going.
fn pod_changes(record: &Record, coming: bool) -> Changes {
    let mut changes = Changes::default();
    for (set, key, value) in base::pod_elements(&record.attachment.addresses, &record.host_ports) {
        let elements = changes.elements.entry(set).or_default();
        if coming {
            elements.add.insert(key, value);
        } else {
            elements.remove.push(key);
        }
    }
    changes
}

/// UDP flows that would still be sent to the pod that went.
fn stale_flows(record: &Record) -> Vec<Flows> {
    let udp = record.host_ports.iter().filter(|port| port.protocol == Protocol::Udp);
    udp.flat_map(|port| {
        record.attachment.addresses.iter().map(|address| Flows {
            protocol: Protocol::Udp,
            destination: None,
            destination_port: Some(port.host_port),
            backend: Some(*address),
            backend_port: None,
        })
    })
    .collect()
}

/// A locally administered address that is the same at every start.
fn mac(id: &str, end: &str) -> [u8; 6] {
    let [a, b, c, d, e, ..] = hash(&[id, end]).to_be_bytes();
    [0x02, a, b, c, d, e]
}

/// FNV-1a with a last mixing, so that every bit depends on every byte.
fn hash(words: &[&str]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for byte in words.iter().flat_map(|word| word.bytes().chain([0])) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(0xd6e8_feb8_6659_fd93);
    hash ^ (hash >> 32)
}
