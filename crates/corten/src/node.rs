//! A node without its control plane: kubelet, proxy and names on this machine's
//! runtime, images and network. What `up` and `join` share.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use client::{Resource, Transport};
use edge::Edge;
use informer::{Informer, Options, Whole};
use ipnet::IpNet;
use k8s_openapi::api::core::v1::Node as Object;
use runtime::spawner::Spawner;
use serde::{Deserialize, Serialize};

use crate::control_plane::DOMAIN;
use crate::machine::{Machine, NetworkPlan, Places};
use crate::{addons, address, images, preflight};

/// The port of every node's server.
const PORT: u16 = 10250;
/// Where the node's own name servers stand.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// What a node is told.
pub struct Config {
    pub name: String,
    pub data_dir: PathBuf,
    /// Where its server listens.
    pub bind: IpAddr,
    /// Its addresses, the primary first.
    pub addresses: Vec<IpAddr>,
    pub network: NetworkRecord,
}

impl Config {
    /// Names and addresses that were not given are this machine's.
    pub fn new(name: Option<&str>, data_dir: &Path, bind: IpAddr, network: NetworkRecord) -> Result<Self> {
        let name = name.map_or_else(address::host_name, |name| Ok(name.to_owned()))?;
        let ranges: Vec<IpNet> = network.ranges().collect();
        let is_cluster = |address| ranges.iter().any(|range: &IpNet| range.contains(&address));
        let addresses = address::of_node(bind, is_cluster)?;
        Ok(Self { name, data_dir: data_dir.to_owned(), bind, addresses, network })
    }
}

/// The identities of a node's parts.
pub struct Users {
    pub kubelet: Arc<dyn Transport>,
    pub proxy: Arc<dyn Transport>,
    pub names: Arc<dyn Transport>,
}

/// As whom a part of a node speaks to the API.
pub struct Identity {
    pub user: String,
    pub groups: Vec<&'static str>,
    /// The User-Agent.
    pub agent: &'static str,
}

/// Kubelet, proxy and names of the node `name`, in the order of [`Users`].
pub fn identities(name: &str) -> [Identity; 3] {
    [
        Identity { user: format!("system:node:{name}"), groups: vec!["system:nodes"], agent: "kubelet" },
        Identity {
            user: "system:kube-proxy".into(),
            groups: vec!["system:node-proxier"],
            agent: "kube-proxy",
        },
        Identity { user: account(addons::DNS_ACCOUNT), groups: ACCOUNT_GROUPS.into(), agent: "coredns" },
    ]
}

/// The groups of every account of kube-system.
pub const ACCOUNT_GROUPS: [&str; 2] = ["system:serviceaccounts", "system:serviceaccounts:kube-system"];

/// The user of an account of kube-system.
pub fn account(name: &str) -> String {
    format!("system:serviceaccount:kube-system:{name}")
}

/// How the node's server shows itself, and the authority (PEM) of its clients.
pub struct Shown {
    pub certificate: serve::Certificate,
    pub authority: String,
}

/// A node whose machine is open.
pub struct Node {
    config: Config,
    machine: Machine,
    edge: Edge,
}

impl Node {
    /// Opens this machine's parts; what runs already is adopted. The data
    /// directory must be surely nobody else's.
    pub async fn open(config: Config, spawner: Spawner, edge: &Edge) -> Result<Self> {
        config.network.write(&config.data_dir)?;
        let plan = config.network.plan()?;
        let machine = Machine::open(&Places::new(&config.data_dir), &plan, spawner, edge).await?;
        Ok(Self { config, machine, edge: edge.clone() })
    }

    /// Starts what speaks to the API, and waits until the node is Ready or a
    /// minute is over. `loops` takes what needs no driver.
    pub async fn start(&self, users: Users, shown: &Shown, loops: &Edge) -> Result<serve::Server> {
        let Config { name, network, .. } = &self.config;
        let dns = network.dns()?;
        start_names(&self.edge, loops, users.names, network, &dns)?;
        let node = proxy::Node {
            name: name.clone(),
            // Its Node tells.
            zone: None,
            cluster_ranges: network.cluster_ranges.clone(),
            own_addresses: dns.clone(),
        };
        let nodes = proxy::nodes(&self.edge, users.proxy.clone());
        let mut proxy = proxy::run(&self.edge, users.proxy, nodes.clone(), node)?;
        proxy::follow_peers(&self.edge, nodes, name)?;
        let server = self.start_kubelet(users.kubelet.clone(), shown, dns).await?;
        images::listen(&self.edge, &self.config.data_dir, self.machine.images.clone())?;
        proxy.synced().await;

        let ready = ready(loops, users.kubelet, name);
        if tokio::time::timeout(Duration::from_secs(60), ready).await.is_err() {
            tracing::warn!(node = name, "the node is not Ready yet; see `kubectl describe node {name}`");
        } else {
            tracing::info!(node = name, address = %self.config.addresses[0], "the node is Ready");
        }
        Ok(server)
    }

    async fn start_kubelet(
        &self,
        transport: Arc<dyn Transport>,
        shown: &Shown,
        dns: Vec<IpAddr>,
    ) -> Result<serve::Server> {
        let places = Places::new(&self.config.data_dir);
        let mut config =
            kubelet::Config::new(&self.config.name, places.kubelet(), self.config.addresses.clone());
        config.pod_cidrs = self.config.network.pod_ranges.iter().map(IpNet::to_string).collect();
        config.cluster_dns = dns;
        config.cluster_domain = DOMAIN.into();
        config.resolv_conf = RESOLV_CONF.into();
        config.port = PORT;
        config.version = crate::version::VERSION.into();
        let drivers = self.machine.drivers(transport, &self.edge);
        let kubelet = Arc::new(kubelet::Kubelet::start(config, drivers).await?);

        let tls = serve::server_config(&shown.certificate, &shown.authority)?;
        let listener =
            preflight::listen(SocketAddr::new(self.config.bind, PORT)).context("the node's server")?;
        let handler = Arc::new(Handler(kubelet::NodeServer::new(kubelet)));
        Ok(serve::serve(&self.edge, listener, tls, serve::Limits::default(), handler)?)
    }
}

fn start_names(
    edge: &Edge,
    loops: &Edge,
    transport: Arc<dyn Transport>,
    network: &NetworkRecord,
    dns: &[IpAddr],
) -> Result<()> {
    let view = Arc::new(dns::ApiView::start(loops, transport));
    let addresses: Vec<_> = dns.iter().map(|address| SocketAddr::new(*address, 53)).collect();
    let resolv_conf = std::fs::read_to_string(RESOLV_CONF).unwrap_or_default();
    let upstreams = dns::upstreams(&resolv_conf, &addresses);
    let config = dns::Config::new(DOMAIN, network.ranges().collect());
    // The socket belongs to the runtime on which it was made.
    dns::Server::start(edge, view, config, &addresses, upstreams)?;
    Ok(())
}

/// Waits until the node says that it is Ready.
async fn ready(edge: &Edge, transport: Arc<dyn Transport>, name: &str) {
    let edge = edge.with_tasks(edge.tasks.child());
    let nodes = Informer::<Whole<Object>>::start(
        &edge,
        transport,
        Resource::of::<Object>(),
        Options::fields(format!("metadata.name={name}")),
    );
    let (sender, mut receiver) = tokio::sync::watch::channel(false);
    nodes.on_change(move |change| {
        let conditions = change
            .new
            .iter()
            .flat_map(|node| node.status.iter().flat_map(|status| status.conditions.iter().flatten()));
        let ready =
            conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
        sender.send_replace(ready);
    });
    let _ = receiver.wait_for(|ready| *ready).await;
    edge.tasks.stop();
}

/// The node's server behind a listener.
struct Handler(kubelet::NodeServer);

impl serve::Handler for Handler {
    type Body = kubelet::Body;

    async fn handle(
        &self,
        request: http::Request<hyper::body::Incoming>,
        peer: &serve::Peer,
    ) -> http::Response<Self::Body> {
        let certificate = peer.certificates.first().and_then(|der| pki::read_peer(der));
        let caller = match certificate {
            Some(peer) => kubelet::Caller::Certificate { user: peer.common_name, groups: peer.organizations },
            None => kubelet::Caller::Unknown,
        };
        self.0.handle(request, &caller).await
    }
}

/// The ranges of this node's network, written down for `corten down`.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkRecord {
    /// This node's pods.
    pub pod_ranges: Vec<IpNet>,
    /// The pods of all nodes.
    #[serde(default)]
    pub cluster_ranges: Vec<IpNet>,
    pub service_ranges: Vec<IpNet>,
}

impl NetworkRecord {
    const FILE: &str = "network.json";

    /// # Errors
    /// Where a pod range is in none of the cluster's.
    pub fn new(pod_ranges: &[IpNet], cluster_ranges: &[IpNet], service_ranges: &[IpNet]) -> Result<Self> {
        let cluster_ranges = if cluster_ranges.is_empty() { pod_ranges } else { cluster_ranges };
        for range in pod_ranges {
            if !cluster_ranges.iter().any(|cluster| cluster.contains(range)) {
                bail!(
                    "the node's pod range {range} (--pod-cidr) is in none of the cluster's (--cluster-cidr)"
                );
            }
        }
        Ok(Self {
            pod_ranges: pod_ranges.to_vec(),
            cluster_ranges: cluster_ranges.to_vec(),
            service_ranges: service_ranges.to_vec(),
        })
    }

    pub fn read(data_dir: &Path) -> Result<Self> {
        let path = data_dir.join(Self::FILE);
        let text = std::fs::read(&path)
            .with_context(|| format!("cannot read {}: no node ran there", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} cannot be understood", path.display()))
    }

    fn write(&self, data_dir: &Path) -> Result<()> {
        let path = data_dir.join(Self::FILE);
        let text = serde_json::to_vec(self).context("the network's ranges")?;
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// All ranges that are the cluster's own.
    fn ranges(&self) -> impl Iterator<Item = IpNet> {
        self.cluster_ranges.iter().chain(&self.pod_ranges).chain(&self.service_ranges).copied()
    }

    /// The cluster DNS: the tenth address of each service range.
    pub fn dns(&self) -> Result<Vec<IpAddr>> {
        if self.service_ranges.is_empty() {
            bail!("--service-cidr names no range");
        }
        let tenth = |range: &IpNet| {
            address::nth(range, 10).ok_or_else(|| {
                anyhow!("the service range {range} is too small: it needs 16 addresses at least")
            })
        };
        self.service_ranges.iter().map(tenth).collect()
    }

    pub fn plan(&self) -> Result<NetworkPlan> {
        Ok(NetworkPlan {
            pod_ranges: self.pod_ranges.clone(),
            cluster_ranges: if self.cluster_ranges.is_empty() {
                self.pod_ranges.clone()
            } else {
                self.cluster_ranges.clone()
            },
            service_ranges: self.service_ranges.clone(),
            own_addresses: self.dns()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_its_part_of_the_cluster() {
        let ranges = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpNet>>();
        let services = ranges(&["10.96.0.0/16"]);
        let record =
            |pods: &[&str], cluster: &[&str]| NetworkRecord::new(&ranges(pods), &ranges(cluster), &services);
        let alone = record(&["10.42.0.0/16"], &[]).unwrap();
        assert_eq!(alone.cluster_ranges, alone.pod_ranges);
        assert_eq!(alone.dns().unwrap(), ["10.96.0.10".parse::<IpAddr>().unwrap()]);
        assert!(record(&["10.42.1.0/24"], &["10.42.0.0/16"]).is_ok());
        let refused = record(&["10.43.1.0/24"], &["10.42.0.0/16"]).err().unwrap().to_string();
        assert!(refused.contains("10.43.1.0/24 (--pod-cidr) is in none"), "{refused}");
    }
}
