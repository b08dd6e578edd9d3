//! `corten up`: a node with its control plane in one process. This file is the
//! order of start and stop.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use apiserver::UserInfo;
use client::Transport;
use edge::Edge;
use jiff::SignedDuration;
use runtime::spawner::Spawner;
use scheduler::{Placement, Scheduler};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::Up;
use crate::control_plane::{Config, ControlPlane, renewing};
use crate::node::{self, NetworkRecord, Node, Shown, Users, identities};
use crate::signer::{AuthoritySigner, TokenSigner};
use crate::{addons, log, preflight};

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
    let network = NetworkRecord::new(&options.pod_cidr, &options.cluster_cidr, &options.service_cidr)?;
    let dns = network.dns()?;
    let name = options.node_name.as_deref();
    let node = node::Config::new(name, &options.data.data_dir, options.bind.ip(), network)?;
    let (name, addresses) = (node.name.clone(), node.addresses.clone());

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
    let node = Node::open(node, spawner, &edges.node).await?;
    tracing::info!(
        address = %control_plane.address(), kubeconfig = %control_plane.kubeconfig().display(), "the API is served"
    );

    let system = control_plane.transport(UserInfo::new("system:apiserver", &["system:masters"]), "corten");
    addons::install(&system, &dns).await?;
    start_loops(&control_plane, edges);
    let shown = Shown {
        certificate: {
            let (pki, name) = (control_plane.pki.clone(), name.clone());
            renewing(&edges.node, move |now| pki.kubelet_server(&name, &addresses, now))?
        },
        authority: control_plane.pki.authority.certificate().to_owned(),
    };
    let node_server = node.start(users(&control_plane, &name), &shown, &edges.loops).await?;
    Ok(Running { control_plane, node_server })
}

/// The node's parts as users in process.
fn users(control_plane: &ControlPlane, name: &str) -> Users {
    let [kubelet, proxy, names] = identities(name).map(|identity| {
        let user = UserInfo::new(identity.user, &identity.groups);
        control_plane.transport(user, identity.agent)
    });
    Users { kubelet, proxy, names }
}

/// As whom the scheduler speaks to the API.
pub const SCHEDULER_USER: &str = "system:kube-scheduler";
/// As whom the controllers read what several of them need.
const MANAGER_USER: &str = "system:kube-controller-manager";

/// As whom a controller speaks to the API: an account of kube-system, but for the
/// name `kube-controller-manager`.
pub fn controller(name: &str) -> String {
    if name == "kube-controller-manager" { MANAGER_USER.to_owned() } else { node::account(name) }
}

fn start_loops(control_plane: &ControlPlane, edges: &Edges) {
    let transports = Transports::of(control_plane);
    let identities: controllers::Identities = Arc::new(move |name: &str| transports.controller(name));
    let authority = control_plane.pki.authority.certificate().to_owned();
    let context = controllers::Context::new(edges.loops.clone(), identities)
        .with_root_ca(authority)
        .with_signer(Arc::new(AuthoritySigner {
            pki: control_plane.pki.clone(),
            longest: SignedDuration::MAX,
        }))
        .with_token_signer(Arc::new(TokenSigner(control_plane.pki.clone())));
    controllers::start_all(&context);
    let counted = context.metrics().clone();
    control_plane.server.metrics().publish(move |out| counted.write(out));
    registry::loops::check_policy_types(&control_plane.server);
    let user = UserInfo::new(SCHEDULER_USER, &[]);
    Scheduler::start(&edges.loops, control_plane.transport(user, "kube-scheduler"), Placement::OwnThread);
}

/// Makes transports for whoever asks by name.
struct Transports(Arc<apiserver::ApiServer>);

impl Transports {
    fn of(control_plane: &ControlPlane) -> Self {
        Self(control_plane.server.clone())
    }

    fn controller(&self, name: &str) -> Arc<dyn Transport> {
        let user = controller(name);
        let groups: &[&str] = if user == MANAGER_USER { &[] } else { &node::ACCOUNT_GROUPS };
        let user = UserInfo::new(user, groups);
        Arc::new(apiserver::LocalTransport::new(self.0.clone(), user, "kube-controller-manager"))
    }
}
