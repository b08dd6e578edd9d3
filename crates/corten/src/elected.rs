//! `corten controller-manager` and `corten scheduler`: the loops of the control
//! plane against an API that is elsewhere. Of several of a kind, one is elected.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use client::kubeconfig::Kubeconfig;
use client::{Remote, Transport};
use edge::Edge;
use informer::Election;
use jiff::SignedDuration;
use pki::ClusterPki;
use scheduler::{Placement, Scheduler};

use crate::cli;
use crate::control_plane::ISSUER;
use crate::signer::{AuthoritySigner, TokenSigner};
use crate::{address, log, reach, up};

const CONTROLLER_MANAGER: &str = "kube-controller-manager";
const SCHEDULER: &str = "kube-scheduler";

/// The controllers' loops.
pub fn controller_manager(options: &cli::ControllerManager) -> Result<()> {
    run(&options.loops, CONTROLLER_MANAGER, async |edge: &Edge, api: &Api| {
        let authority = Kubeconfig::for_user(&api.kubeconfig, "", String::new(), String::new())?;
        let authority: Arc<str> = authority.certificate_authority.into();
        let pki = match &options.pki {
            Some(directory) => Some(Arc::new(copied_pki(directory, &authority, edge)?)),
            None => {
                tracing::warn!("no --pki: certificate requests are not signed, and Secrets get no tokens");
                None
            }
        };
        // Any of the accounts stands for all.
        api.may_act_as(edge, &up::controller("deployment-controller")).await?;
        let api = api.clone();
        let longest = SignedDuration::try_from(options.cluster_signing_duration)?;
        Ok(move |edge: &Edge| {
            let api = api.clone();
            let identities = move |name: &str| api.acting_as(&up::controller(name));
            let context = controllers::Context::new(edge.clone(), Arc::new(identities));
            let mut context = context.with_root_ca(authority.clone());
            if let Some(pki) = &pki {
                context = context
                    .with_signer(Arc::new(AuthoritySigner { pki: pki.clone(), longest }))
                    .with_token_signer(Arc::new(TokenSigner(pki.clone())));
            }
            controllers::start_all(&context);
        })
    })
}

/// The scheduler.
pub fn scheduler(options: &cli::Scheduler) -> Result<()> {
    run(&options.loops, SCHEDULER, async |_: &Edge, api: &Api| {
        let transport = api.acting_as(up::SCHEDULER_USER);
        Ok(move |edge: &Edge| Scheduler::start(edge, transport.clone(), Placement::OwnThread))
    })
}

/// The API elsewhere, and whose kubeconfig leads there.
#[derive(Clone)]
struct Api {
    remote: Remote,
    kubeconfig: Arc<str>,
    owner: Arc<str>,
}

impl Api {
    /// A component's or account's way to the API. Who is somebody already needs no
    /// right to act as them.
    fn acting_as(&self, user: &str) -> Arc<dyn Transport> {
        Arc::new(self.remote_as(user))
    }

    fn remote_as(&self, user: &str) -> Remote {
        if *self.owner == *user { self.remote.clone() } else { self.remote.as_user(user, &[]) }
    }

    /// Ends the start where the kubeconfig's user lacks the right.
    async fn may_act_as(&self, edge: &Edge, user: &str) -> Result<()> {
        let why = match reach::user(edge, &self.remote_as(user)).await {
            Ok(seen) if seen == user => return Ok(()),
            Ok(seen) => format!("the API server sees {seen}"),
            Err(error) => format!("{error:#}"),
        };
        bail!(
            "the kubeconfig's user {:?} must be allowed to impersonate users, and service accounts of kube-system: {why}",
            self.owner
        )
    }
}

/// Runs what `prepare` makes ready whenever it is this process' turn, until it is
/// told to stop.
fn run<L>(
    options: &cli::Loops,
    component: &'static str,
    prepare: impl AsyncFnOnce(&Edge, &Api) -> Result<L>,
) -> Result<()>
where
    L: Fn(&Edge),
{
    log::start(options.logging.log_format);
    let timing = options.timing();
    timing
        .check()
        .map_err(|why| anyhow!("the times of the leader election (--leader-elect-…) do not fit: {why}"))?;
    let file = &options.kubeconfig;
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let runtime = up::runtime("loops", 2)?;
    let edge = Edge::system_on(runtime.handle().clone());
    let result = runtime.block_on(async {
        let stop = up::told_to_stop();
        tokio::pin!(stop);
        let start = async {
            let remote = Remote::from_kubeconfig(&text).await?.with_agent(component);
            let owner = reach::owner(&edge, &remote).await?.into();
            let api = Api { remote, kubeconfig: text.as_str().into(), owner };
            let user = format!("system:{component}");
            api.may_act_as(&edge, &user).await?;
            let lead = prepare(&edge, &api).await?;
            tracing::info!(component, user = %api.owner, "the API server is reached");
            Ok::<_, anyhow::Error>((api.acting_as(&user), lead))
        };
        let (transport, lead) = tokio::select! {
            started = start => started?,
            stopped = &mut stop => return stopped.context("signals"),
        };
        if options.leader_elect {
            let election = Election::new(&edge, transport, component, identity(&edge)?, timing);
            let mut stopped = Ok(());
            election.run(async { stopped = stop.await }, lead).await;
            stopped.context("signals")?;
        } else {
            lead(&edge);
            stop.await.context("signals")?;
        }
        tracing::info!("stopping");
        edge.tasks.stop();
        let _ = tokio::time::timeout(Duration::from_secs(5), edge.tasks.ended()).await;
        Ok(())
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

/// Who this process is among the candidates: its host, and a name that no other
/// process ever has.
fn identity(edge: &Edge) -> Result<String> {
    let bits = u128::from(edge.random.next_u64()) << 64 | u128::from(edge.random.next_u64());
    let unique = uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid();
    Ok(format!("{}_{unique}", address::host_name()?))
}

/// The cluster's keys in a copy of its `pki` directory.
fn copied_pki(directory: &Path, authority: &str, edge: &Edge) -> Result<ClusterPki> {
    let pki = ClusterPki::open_copy(directory, ISSUER, edge.clock.now())
        .context("--pki takes a copy of the directory pki in the API server's data directory")?;
    if pki.authority.certificate().trim() != authority.trim() {
        bail!("the authority in {} (--pki) is not the one of the kubeconfig's cluster", directory.display());
    }
    Ok(pki)
}
