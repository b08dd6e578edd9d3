//! Follows Services, EndpointSlices and this node's zone, and keeps the kernel's
//! table in step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use client::{Resource, Transport};
use edge::Edge;
use informer::{Index, Informer, ObjectKey, Options};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use network::Rules;
use network::conntrack::Conntrack;
use network::rules::SERVICES_TABLE;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::health::Health;
use crate::model::{NodeView, Service, Slice};
use crate::plan::Node;
use crate::table::{Table, Update};

/// Changes within this time are applied together.
const GATHER: Duration = Duration::from_millis(10);
/// How long to wait after the kernel refused, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));
const BY_SERVICE: &str = "service";

/// A running proxy. It ends with the task group it was started in; the rules
/// stay in the kernel, and go with `network::PodNetwork::teardown`.
#[derive(Clone)]
pub struct Proxy {
    synced: watch::Receiver<bool>,
}

impl Proxy {
    /// Waits until every Service that the first list had is in the kernel.
    pub async fn synced(&mut self) {
        // An error means that the task group ended: nobody waits then.
        let _ = self.synced.wait_for(|synced| *synced).await;
    }
}

/// The Nodes, for the proxy and for the routes between them.
pub fn nodes(edge: &Edge, transport: Arc<dyn Transport>) -> Informer<NodeView> {
    Informer::start(edge, transport, Resource::of::<core::Node>(), Options::default())
}

/// Starts the proxy in the network namespace of the calling thread.
pub fn run(
    edge: &Edge,
    transport: Arc<dyn Transport>,
    nodes: Informer<NodeView>,
    node: Node,
) -> Result<Proxy, network::Error> {
    let services = Informer::<Service>::start(
        edge,
        transport.clone(),
        Resource::of::<core::Service>(),
        Options::default(),
    );
    let index = Index {
        name: BY_SERVICE,
        values: |slice: &Slice| match slice.service.as_str() {
            "" => Vec::new(),
            service => vec![ObjectKey::new(&slice.key.namespace, service).to_string()],
        },
    };
    let slices = Informer::<Slice>::start(
        edge,
        transport,
        Resource::of::<discovery::EndpointSlice>(),
        Options::indexed(vec![index]),
    );
    let (synced, receiver) = watch::channel(false);
    let follower = Follower {
        services,
        slices,
        nodes,
        own: ObjectKey::cluster(node.name.clone()),
        table: Table::new(node),
        rules: Rules::open(SERVICES_TABLE)?,
        conntrack: Conntrack::open()?,
        health: Health::new(edge.clone()),
        health_ports: BTreeMap::new(),
        changed: Arc::default(),
        synced,
    };
    edge.tasks.spawn(follower.run());
    Ok(Proxy { synced: receiver })
}

/// The Services that changed since they were last looked at.
#[derive(Default)]
struct Changed {
    keys: Mutex<BTreeSet<ObjectKey>>,
    bell: Notify,
}

impl Changed {
    fn add(&self, key: ObjectKey) {
        self.keys.lock().insert(key);
        self.bell.notify_one();
    }
}

struct Follower {
    services: Informer<Service>,
    slices: Informer<Slice>,
    nodes: Informer<NodeView>,
    /// This node's key.
    own: ObjectKey,
    table: Table,
    rules: Rules,
    conntrack: Conntrack,
    health: Health,
    /// The Services with a health check port.
    health_ports: BTreeMap<ObjectKey, u16>,
    changed: Arc<Changed>,
    synced: watch::Sender<bool>,
}

impl Follower {
    async fn run(mut self) {
        self.services.synced().await;
        self.slices.synced().await;
        self.nodes.synced().await;
        let changed = self.changed.clone();
        self.services.on_change(move |change| changed.add(change.key.clone()));
        let changed = self.changed.clone();
        self.slices.on_change(move |change| {
            for slice in [change.old, change.new].into_iter().flatten() {
                if !slice.service.is_empty() {
                    changed.add(ObjectKey::new(&slice.key.namespace, &slice.service));
                }
            }
        });
        let (changed, own) = (self.changed.clone(), self.own.clone());
        self.nodes.on_change(move |change| {
            let zone = |node: Option<&Arc<NodeView>>| node.and_then(|node| node.zone.clone());
            if *change.key == own && zone(change.old) != zone(change.new) {
                changed.bell.notify_one();
            }
        });
        // The whole at once: what an earlier run left works until then.
        let update = self.observe();
        let rules = self.table.rules();
        let first = self.rules.replace(rules).await;
        self.settle(first, update).await;
        self.synced.send_replace(true);
        loop {
            self.changed.bell.notified().await;
            tokio::time::sleep(GATHER).await;
            let update = self.observe();
            let applied = self.rules.change(&update.changes).await;
            self.settle(applied, update).await;
        }
    }

    /// Plans every Service that changed; all of them if the node's zone did.
    fn observe(&mut self) -> Update {
        let mut update = Update::default();
        let mut keys = std::mem::take(&mut *self.changed.keys.lock());
        let zone = self.nodes.get(&self.own).and_then(|node| node.zone.clone());
        if self.table.set_zone(zone) {
            keys.extend(self.services.list().iter().map(|service| service.key.clone()));
        }
        while let Some(key) = keys.pop_first() {
            let service = self.services.get(&key);
            let slices = self.slices.by_index(BY_SERVICE, &key.to_string());
            let slices: Vec<&Slice> = slices.iter().map(AsRef::as_ref).collect();
            self.table.set(&key, service.as_deref(), &slices, &mut update);
            keys.append(&mut update.again);
            match service.as_deref().filter(|service| service.external_local) {
                Some(service) if service.health_check_node_port != 0 => {
                    self.health_ports.insert(key, service.health_check_node_port);
                }
                _ => drop(self.health_ports.remove(&key)),
            }
        }
        update
    }

    /// Tries until the kernel has what it should, then forgets old flows.
    async fn settle(&mut self, mut applied: Result<(), network::Error>, update: Update) {
        let mut pause = RETRY.0;
        while let Err(error) = applied {
            tracing::error!(%error, ?pause, "services are not in the kernel; trying again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY.1);
            applied = self.rules.rebuild().await;
        }
        let ports = self.health_ports.iter();
        let states = ports.map(|(key, port)| (*port, (key.clone(), self.table.local_endpoints(key))));
        self.health.set(states.collect());
        for flows in &update.stale {
            if let Err(error) = self.conntrack.forget(flows).await {
                tracing::warn!(%error, ?flows, "old connections may go on to an endpoint that is gone");
            }
        }
    }
}
