//! `corten up`: a node with its control plane in one process. This file is the
//! order of start and stop.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use apiserver::UserInfo;
use client::{Resource, Transport};
use edge::Edge;
use informer::{Informer, Options, Whole};
use ipnet::IpNet;
use k8s_openapi::api::core::v1::Node;
use runtime::spawner::Spawner;
use scheduler::{Placement, Scheduler};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::Up;
use crate::control_plane::{Config, ControlPlane, DOMAIN};
use crate::machine::{Machine, NetworkPlan, Places};
use crate::signer::AuthoritySigner;
use crate::{addons, address, images, log, preflight};

/// The port of every node's server.
const NODE_PORT: u16 = 10250;

pub fn run(options: &Up, spawner: Spawner) -> Result<()> {
    log::start(options.logging.log_format);
    preflight::require_root()?;
    preflight::require_overlayfs()?;
    // Executors of their own, so that none of API, node and loops starves another.
    let (api, node, loops) = (runtime("api", 2)?, runtime("node", 2)?, runtime("loops", 1)?);
    let edges = Edges {
        api: Edge::system_on(api.handle().clone()),
        node: Edge::system_on(node.handle().clone()),
        loops: Edge::system_on(loops.handle().clone()),
    };
    let result = node.block_on(async {
        let up = tokio::select! {
            up = start(options, spawner, &edges) => up?,
            // Told to stop before all is up: nothing needs an orderly end.
            stopped = told_to_stop() => return stopped.context("signals"),
        };
        told_to_stop().await.context("signals")?;
        tracing::info!("stopping; containers go on, and the next `corten up` adopts them");
        up.stop(&edges).await;
        Ok(())
    });
    for runtime in [node, loops, api] {
        runtime.shutdown_timeout(Duration::from_secs(1));
    }
    result
}

struct Edges {
    api: Edge,
    node: Edge,
    loops: Edge,
}

/// Everything that runs.
struct Running {
    control_plane: ControlPlane,
    node_server: serve::Server,
}

impl Running {
    async fn stop(self, edges: &Edges) {
        // Users of the API first, so that none of them sees it go.
        edges.loops.tasks.stop();
        edges.node.tasks.stop();
        let ended = async {
            edges.loops.tasks.ended().await;
            edges.node.tasks.ended().await;
        };
        let _ = tokio::time::timeout(Duration::from_secs(5), ended).await;
        drop(self.node_server);
        self.control_plane.stop().await;
        edges.api.tasks.stop();
    }
}

/// A runtime with so many workers.
pub fn runtime(name: &'static str, workers: usize) -> Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_name(format!("corten-{name}"))
        .enable_all()
        .build()
        .context("starting threads")
}

/// Waits for Ctrl-C or SIGTERM.
pub async fn told_to_stop() -> std::io::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

async fn start(options: &Up, spawner: Spawner, edges: &Edges) -> Result<Running> {
    let name = match &options.node_name {
        Some(name) => name.clone(),
        None => address::host_name()?,
    };
    let ranges: Vec<IpNet> = options.pod_cidr.iter().chain(&options.service_cidr).copied().collect();
    let addresses =
        address::of_node(options.bind.ip(), |address| ranges.iter().any(|range| range.contains(&address)))?;
    let dns = dns_addresses(&options.service_cidr)?;

    let config = Config {
        data_dir: options.data.data_dir.clone(),
        bind: options.bind,
        service_ranges: options.service_cidr.clone(),
        advertise: addresses.clone(),
        warn_ineffective: true,
    };
    let started = {
        let edge = edges.api.clone();
        edges.api.tasks.spawn(async move { ControlPlane::start(&config, &edge).await })
    };
    let control_plane = started.await.context("the API server's start was interrupted")??;
    // Only now is it sure that the data directory is nobody else's.
    let record =
        NetworkRecord { pod_ranges: options.pod_cidr.clone(), service_ranges: options.service_cidr.clone() };
    record.write(&options.data.data_dir)?;
    let places = Places::new(&options.data.data_dir);
    let machine = Machine::open(&places, &record.plan(), spawner, &edges.node).await?;
    tracing::info!(
        address = %control_plane.address(), kubeconfig = %control_plane.kubeconfig().display(), "the API is served"
    );

    let system = control_plane.transport(UserInfo::new("system:apiserver", &["system:masters"]), "corten");
    addons::install(&system, &dns).await?;
    start_loops(&control_plane, edges);
    start_names(&control_plane, options, edges, &dns)?;
    let proxy = start_proxy(&control_plane, options, edges, &name, &dns)?;
    let node_server = start_kubelet(
        &control_plane,
        options,
        edges,
        machine.drivers(node_transport(&control_plane, &name), &edges.node),
        &name,
        &addresses,
        &dns,
    )
    .await?;
    images::listen(&edges.node, &options.data.data_dir, machine.images.clone())?;
    let mut proxy = proxy;
    proxy.synced().await;

    let ready = ready(&edges.loops, system, &name);
    if tokio::time::timeout(Duration::from_secs(60), ready).await.is_err() {
        tracing::warn!(node = name, "the node is not Ready yet; see `kubectl describe node {name}`");
    } else {
        tracing::info!(node = name, address = %addresses[0], "the node is Ready");
    }
    Ok(Running { control_plane, node_server })
}

/// The cluster DNS: the tenth address of each service range.
fn dns_addresses(ranges: &[IpNet]) -> Result<Vec<IpAddr>> {
    if ranges.is_empty() {
        bail!("--service-cidr names no range");
    }
    // The first host of a range is its first address, so the tenth is nine on.
    let tenth = |range: &IpNet| {
        range
            .hosts()
            .nth(9)
            .ok_or_else(|| anyhow!("the service range {range} is too small: it needs 16 addresses at least"))
    };
    ranges.iter().map(tenth).collect()
}

/// An account of kube-system, as its token would say it.
fn service_account(name: &str) -> UserInfo {
    UserInfo::new(
        format!("system:serviceaccount:kube-system:{name}"),
        &["system:serviceaccounts", "system:serviceaccounts:kube-system"],
    )
}

fn start_loops(control_plane: &ControlPlane, edges: &Edges) {
    let transports = Transports::of(control_plane);
    let identities: controllers::Identities = Arc::new(move |name: &str| transports.controller(name));
    let authority = control_plane.pki.authority.certificate().to_owned();
    controllers::start_all(
        &controllers::Context::new(edges.loops.clone(), identities)
            .with_root_ca(authority)
            .with_signer(Arc::new(AuthoritySigner(control_plane.pki.clone()))),
    );
    let user = UserInfo::new("system:kube-scheduler", &[]);
    Scheduler::start(&edges.loops, control_plane.transport(user, "kube-scheduler"), Placement::OwnThread);
}

fn node_transport(control_plane: &ControlPlane, name: &str) -> Arc<dyn Transport> {
    control_plane.transport(UserInfo::new(format!("system:node:{name}"), &["system:nodes"]), "kubelet")
}

/// Makes transports for whoever asks by name.
struct Transports(Arc<apiserver::ApiServer>);

impl Transports {
    fn of(control_plane: &ControlPlane) -> Self {
        Self(control_plane.server.clone())
    }

    fn controller(&self, name: &str) -> Arc<dyn Transport> {
        let user = match name {
            "kube-controller-manager" => UserInfo::new("system:kube-controller-manager", &[]),
            account => service_account(account),
        };
        Arc::new(apiserver::LocalTransport::new(self.0.clone(), user, "kube-controller-manager"))
    }
}

fn start_names(control_plane: &ControlPlane, options: &Up, edges: &Edges, dns: &[IpAddr]) -> Result<()> {
    let transport = control_plane.transport(service_account(addons::DNS_ACCOUNT), "coredns");
    let ranges = options.pod_cidr.iter().chain(&options.service_cidr).copied().collect();
    let view = Arc::new(dns::ApiView::start(&edges.loops, transport));
    let addresses: Vec<_> = dns.iter().map(|address| SocketAddr::new(*address, 53)).collect();
    let resolv_conf = std::fs::read_to_string(RESOLV_CONF).unwrap_or_default();
    let upstreams = dns::upstreams(&resolv_conf, &addresses);
    // The socket belongs to the runtime on which it was made.
    dns::Server::start(&edges.node, view, dns::Config::new(DOMAIN, ranges), &addresses, upstreams)?;
    Ok(())
}

/// Where the node's own name servers stand.
const RESOLV_CONF: &str = "/etc/resolv.conf";

fn start_proxy(
    control_plane: &ControlPlane,
    options: &Up,
    edges: &Edges,
    name: &str,
    dns: &[IpAddr],
) -> Result<proxy::Proxy> {
    let transport =
        control_plane.transport(UserInfo::new("system:kube-proxy", &["system:node-proxier"]), "kube-proxy");
    let node = proxy::Node {
        name: name.into(),
        cluster_ranges: options.pod_cidr.clone(),
        own_addresses: dns.to_vec(),
    };
    Ok(proxy::run(&edges.node, transport, node)?)
}

async fn start_kubelet(
    control_plane: &ControlPlane,
    options: &Up,
    edges: &Edges,
    drivers: kubelet::Drivers,
    name: &str,
    addresses: &[IpAddr],
    dns: &[IpAddr],
) -> Result<serve::Server> {
    let places = Places::new(&options.data.data_dir);
    let mut config = kubelet::Config::new(name, places.kubelet(), addresses.to_vec());
    config.pod_cidrs = options.pod_cidr.iter().map(IpNet::to_string).collect();
    config.cluster_dns = dns.to_vec();
    config.cluster_domain = DOMAIN.into();
    config.resolv_conf = RESOLV_CONF.into();
    config.port = NODE_PORT;
    config.version = crate::version::VERSION.into();
    let kubelet = Arc::new(kubelet::Kubelet::start(config, drivers).await?);

    let now = edges.node.clock.now();
    let shown = control_plane.pki.kubelet_server(name, addresses, now)?;
    let certificate = serve::Certificate::from_pem(&shown.certificate, &shown.key)?;
    let tls = serve::server_config(&certificate, control_plane.pki.authority.certificate())?;
    let bind = SocketAddr::new(options.bind.ip(), NODE_PORT);
    let listener = preflight::listen(bind).context("the node's server")?;
    let handler = Arc::new(NodeHandler(kubelet::NodeServer::new(kubelet)));
    Ok(serve::serve(&edges.node, listener, tls, serve::Limits::default(), handler)?)
}

/// The node's server behind a listener.
struct NodeHandler(kubelet::NodeServer);

impl serve::Handler for NodeHandler {
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
    pod_ranges: Vec<IpNet>,
    service_ranges: Vec<IpNet>,
}

impl NetworkRecord {
    const FILE: &str = "network.json";

    pub fn read(data_dir: &Path) -> Result<Self> {
        let path = data_dir.join(Self::FILE);
        let text = std::fs::read(&path)
            .with_context(|| format!("cannot read {}: no `corten up` ran there", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} cannot be understood", path.display()))
    }

    fn write(&self, data_dir: &Path) -> Result<()> {
        let path = data_dir.join(Self::FILE);
        let text = serde_json::to_vec(self).context("the network's ranges")?;
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    pub fn plan(&self) -> NetworkPlan {
        NetworkPlan {
            pod_ranges: self.pod_ranges.clone(),
            service_ranges: self.service_ranges.clone(),
            own_addresses: dns_addresses(&self.service_ranges).unwrap_or_default(),
        }
    }
}

/// Waits until the node says that it is Ready.
async fn ready(edge: &Edge, transport: Arc<dyn Transport>, name: &str) {
    let edge = edge.with_tasks(edge.tasks.child());
    let nodes = Informer::<Whole<Node>>::start(
        &edge,
        transport,
        Resource::of::<Node>(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_served_at_the_tenth_address() {
        let ranges = ["10.96.0.0/16".parse().unwrap(), "fd00:96::/112".parse().unwrap()];
        let wanted: Vec<IpAddr> = vec!["10.96.0.10".parse().unwrap(), "fd00:96::9".parse().unwrap()];
        assert_eq!(dns_addresses(&ranges[..1]).unwrap(), wanted[..1]);
        assert_eq!(dns_addresses(&ranges).unwrap()[0], wanted[0]);
        assert!(dns_addresses(&["10.96.0.0/30".parse().unwrap()]).is_err());
    }
}
