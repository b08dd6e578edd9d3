//! `corten join`: this machine as a node of a cluster whose control plane is
//! elsewhere. Its parts get certificates of their own, asked for anew at each
//! start and before they end. The administrator's kubeconfig is used for these, and
//! to write what every cluster with nodes has.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use apimachinery::{Value, value};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use client::kubeconfig::Kubeconfig;
use client::{ListOptions, Remote, Request, Resource, Transport, Verb, WriteOptions};
use edge::Edge;
use futures::StreamExt;
use informer::Backoff;
use jiff::{SignedDuration, Timestamp};
use parking_lot::RwLock;
use pki::{Credentials, Profile, Subject, Unsigned};
use runtime::spawner::Spawner;

use crate::cli::Join;
use crate::node::{self, Identity, NetworkRecord, Node, Shown, Users, identities};
use crate::{addons, log, preflight, reach, up};

const REQUESTS: Resource = Resource::new("certificates.k8s.io", "v1", "certificatesigningrequests");
/// A signature that takes longer is worth a word.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn run(options: &Join, spawner: Spawner) -> Result<()> {
    log::start(options.logging.log_format);
    preflight::require_root()?;
    preflight::require_overlayfs()?;
    let (node, loops) = (up::runtime("node", 2)?, up::runtime("loops", 1)?);
    let edge = Edge::system_on(node.handle().clone());
    let loops_edge = Edge::system_on(loops.handle().clone());
    let result = node.block_on(async {
        let server = tokio::select! {
            server = start(options, spawner, &edge, &loops_edge) => server?,
            stopped = up::told_to_stop() => return stopped.context("signals"),
        };
        up::told_to_stop().await.context("signals")?;
        tracing::info!("stopping; containers go on, and the next `corten join` adopts them");
        for tasks in [&loops_edge.tasks, &edge.tasks] {
            tasks.stop();
        }
        drop(server);
        Ok(())
    });
    for runtime in [node, loops] {
        runtime.shutdown_timeout(Duration::from_secs(1));
    }
    result
}

async fn start(options: &Join, spawner: Spawner, edge: &Edge, loops: &Edge) -> Result<serve::Server> {
    let network = NetworkRecord::new(&options.pod_cidr, &options.cluster_cidr, &options.service_cidr)?;
    let name = options.node_name.as_deref();
    let bind = options.address.first().copied().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let mut config = node::Config::new(name, &options.data.data_dir, bind, network)?;
    if options.address.len() > 1 {
        config.addresses.clone_from(&options.address);
    }
    config.bind = listening(bind, &config.addresses);
    preflight::raise_open_files();
    preflight::data_dir(&config.data_dir)?;
    let registrar = Arc::new(Registrar::open(edge, &options.kubeconfig).await?);
    let administrator: Arc<dyn Transport> = Arc::new(registrar.administrator.clone());
    // `corten up` has written them; `corten apiserver` knows no nodes.
    if let Err(error) = addons::install(&administrator, &config.network.dns()?).await {
        tracing::warn!("what the names of services need was not written: {error:#}");
    }

    let [kubelet, proxy, names] = identities(&config.name);
    let serving = Wanted::serving(&kubelet, &config);
    let client = |identity: Identity| registrar.admit(identity);
    let (kubelet, proxy, names) = (client(kubelet).await?, client(proxy).await?, client(names).await?);
    let certificate = registrar.serve(serving, &kubelet).await?;
    tracing::info!(node = config.name, "the cluster has given this node its certificates");
    let users = Users { kubelet: Arc::new(kubelet), proxy: Arc::new(proxy), names: Arc::new(names) };
    let authority = registrar.kubeconfig("", String::new(), String::new())?.certificate_authority;
    let node = Node::open(config, spawner, edge).await?;
    node.start(users, &Shown { certificate, authority }, loops).await
}

/// A certificate to be asked for.
#[derive(Clone)]
struct Wanted {
    signer: &'static str,
    subject: Subject,
    profile: Profile,
    usage: &'static str,
}

impl Wanted {
    /// A part of the node as a user of the API.
    fn client(identity: &Identity) -> Self {
        let is_node = identity.groups.contains(&"system:nodes");
        Self {
            signer: if is_node {
                "kubernetes.io/kube-apiserver-client-kubelet"
            } else {
                "kubernetes.io/kube-apiserver-client"
            },
            subject: Subject::new(identity.user.as_str(), identity.groups.first().copied()),
            profile: Profile::Client,
            usage: "client auth",
        }
    }

    /// The node's own server.
    fn serving(kubelet: &Identity, config: &node::Config) -> Self {
        Self {
            signer: "kubernetes.io/kubelet-serving",
            profile: Profile::Server { dns: vec![config.name.clone()], addresses: config.addresses.clone() },
            usage: "server auth",
            ..Self::client(kubelet)
        }
    }
}

/// Gets certificates for this node's parts with an administrator's kubeconfig, and
/// gets them anew before they end.
struct Registrar {
    edge: Edge,
    file: PathBuf,
    /// The kubeconfig as it was read last.
    text: RwLock<String>,
    administrator: Remote,
}

impl Registrar {
    /// Waits until the API answers.
    async fn open(edge: &Edge, file: &Path) -> Result<Self> {
        let text = read(file)?;
        let administrator = Remote::from_kubeconfig(&text).await?.with_agent("corten");
        let registrar =
            Self { edge: edge.clone(), file: file.to_owned(), text: RwLock::new(text), administrator };
        registrar.kubeconfig("", String::new(), String::new())?;
        let user = reach::owner(edge, &registrar.administrator).await?;
        tracing::info!(user, "the API server is reached");
        Ok(registrar)
    }

    /// The cluster of the administrator's kubeconfig, for another user.
    fn kubeconfig(&self, user: &str, certificate: String, key: String) -> Result<Kubeconfig> {
        Ok(Kubeconfig::for_user(&self.text.read(), user, certificate, key)?)
    }

    /// A part of the node as a user of the API, with a certificate of its own.
    async fn admit(self: &Arc<Self>, identity: Identity) -> Result<Remote> {
        let wanted = Wanted::client(&identity);
        let first = self.issue(&wanted, &self.administrator).await?;
        let remote = Remote::from_kubeconfig(&self.kubeconfig_of(&wanted, &first)?).await?;
        let remote = remote.with_agent(identity.agent);
        let (registrar, kept) = (self.clone(), remote.clone());
        self.edge.tasks.spawn(async move {
            let mut newest = first;
            loop {
                newest = registrar.renewed(&wanted, &registrar.administrator, newest).await;
                let replaced = match registrar.kubeconfig_of(&wanted, &newest) {
                    Ok(text) => kept.replace(&text).await.map_err(Into::into),
                    Err(error) => Err(error),
                };
                if let Err(error) = replaced {
                    tracing::error!(%error, user = wanted.subject.common_name, "a new certificate is not used");
                }
            }
        });
        Ok(remote)
    }

    fn kubeconfig_of(&self, wanted: &Wanted, credentials: &Credentials) -> Result<String> {
        let Credentials { certificate, key } = credentials.clone();
        Ok(self.kubeconfig(&wanted.subject.common_name, certificate, key)?.to_yaml())
    }

    /// The certificate of the node's server, which only the node itself may ask for.
    async fn serve(self: &Arc<Self>, wanted: Wanted, kubelet: &Remote) -> Result<serve::Certificate> {
        let first = self.issue(&wanted, kubelet).await?;
        let shown = serve::Certificate::from_pem(&first.certificate, &first.key)?;
        let (registrar, kept, kubelet) = (self.clone(), shown.clone(), kubelet.clone());
        self.edge.tasks.spawn(async move {
            let mut newest = first;
            loop {
                newest = registrar.renewed(&wanted, &kubelet, newest).await;
                if let Err(error) = kept.replace(&newest.certificate, &newest.key) {
                    tracing::error!(%error, "the new certificate of the node's server is not shown");
                }
            }
        });
        Ok(shown)
    }

    /// Waits until a certificate has but a part of its life left, and gets the next one.
    async fn renewed(&self, wanted: &Wanted, asker: &Remote, old: Credentials) -> Credentials {
        let end = pki::Leaf::of(old.certificate.as_bytes()).map_or(Timestamp::UNIX_EPOCH, |leaf| leaf.ends);
        let at = renew_at(self.edge.clock.now(), end, self.edge.random.fraction());
        let mut backoff = Backoff::new(Duration::from_secs(10), Duration::from_secs(3600));
        loop {
            while let Ok(left) = Duration::try_from(at.duration_since(self.edge.clock.now()))
                && !left.is_zero()
            {
                // A clock that is put right, or a machine that slept, is noticed within a day.
                tokio::time::sleep(left.min(Duration::from_secs(86_400))).await;
            }
            self.read_again().await;
            match self.issue(wanted, asker).await {
                Ok(new) => {
                    tracing::info!(
                        user = wanted.subject.common_name,
                        usage = wanted.usage,
                        "renewed a certificate"
                    );
                    return new;
                }
                Err(error) => {
                    let pause = backoff.pause(self.edge.random.fraction());
                    let error = format!("{error:#}");
                    tracing::warn!(error, ?pause, "a certificate was not renewed, and is asked for again");
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// The administrator's own certificate may be another by now.
    async fn read_again(&self) {
        let used = match read(&self.file) {
            Ok(text) if text == *self.text.read() => return,
            Ok(text) => self.administrator.replace(&text).await.map(|()| *self.text.write() = text),
            Err(error) => return tracing::warn!("the kubeconfig as it was is used: {error:#}"),
        };
        if let Err(error) = used {
            tracing::warn!(%error, "the kubeconfig as it was is used");
        }
    }

    /// Asks as `asker`, has it approved, and waits for the signature.
    async fn issue(&self, wanted: &Wanted, asker: &Remote) -> Result<Credentials> {
        let who = &wanted.subject.common_name;
        let unsigned = Unsigned::generate(&wanted.subject, &wanted.profile)?;
        let usages: Vec<Value> = ["digital signature", wanted.usage].map(Value::from).into();
        let object = value!({
            "metadata": {"generateName": "join-"},
            "spec": {
                "request": STANDARD.encode(&unsigned.request),
                "signerName": wanted.signer,
                "usages": usages,
            },
        });
        let verb = Verb::Create { object, options: WriteOptions::default() };
        let made = self.call(asker, None, None, verb).await;
        let made = made.with_context(|| format!("asking for the certificate of {who}"))?;
        let name = made["metadata"]["name"].text().to_owned();
        self.approve(&name).await.with_context(|| format!("approving the certificate of {who}"))?;
        let signed = self.signed(&name).await.with_context(|| format!("the certificate of {who}"))?;
        Ok(unsigned.with_certificate(signed))
    }

    /// One request, made again for as long as the API is not reached.
    async fn call(
        &self,
        remote: &Remote,
        name: Option<&str>,
        subresource: Option<&'static str>,
        verb: Verb,
    ) -> Result<Value, client::Error> {
        let request = Request {
            resource: REQUESTS,
            namespace: None,
            name: name.map(str::to_owned),
            subresource: subresource.map(Into::into),
            verb,
        };
        let ask = || {
            let request = request.clone();
            async move { remote.call(request).await?.tree() }
        };
        reach::patiently(&self.edge, ask).await
    }

    /// Approves a request, if the controller that knows nodes' requests was not quicker.
    async fn approve(&self, name: &str) -> Result<(), client::Error> {
        loop {
            let mut object = self.call(&self.administrator, Some(name), None, Verb::Get).await?;
            if condition(&object, "Approved").is_some() {
                return Ok(());
            }
            let approved = value!({
                "type": "Approved",
                "status": "True",
                "reason": "NodeJoins",
                "message": "The administrator whose kubeconfig `corten join` was given lets this node in.",
            });
            object.set_at(&["status", "conditions"], vec![approved]);
            let verb = Verb::Update { object, options: WriteOptions::default() };
            match self.call(&self.administrator, Some(name), Some("approval"), verb).await {
                Err(error) if error.is_conflict() => {}
                result => return result.map(drop),
            }
        }
    }

    /// Waits for the certificate (PEM) of a request.
    async fn signed(&self, name: &str) -> Result<String> {
        loop {
            let object = self.call(&self.administrator, Some(name), None, Verb::Get).await?;
            if let Some(certificate) = outcome(&object)? {
                return Ok(certificate);
            }
            let revision = object["metadata"]["resourceVersion"].text().to_owned();
            match tokio::time::timeout(PATIENCE, self.changed(name, revision)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::debug!(%error, "looks again for the certificate");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                Err(_) => tracing::warn!(
                    request = name,
                    "nobody has signed a certificate request yet: is there a controller manager with the cluster's keys?"
                ),
            }
        }
    }

    /// Waits until the request is another than at this revision.
    async fn changed(&self, name: &str, revision: String) -> Result<(), client::Error> {
        let options = ListOptions {
            resource_version: Some(revision),
            ..ListOptions::fields(format!("metadata.name={name}"))
        };
        let mut events = self.administrator.watch(&REQUESTS, None, &options).await?;
        events.next().await.transpose().map(drop)
    }
}

/// Where the node's server listens, so that it is reached at all its addresses.
fn listening(bind: IpAddr, addresses: &[IpAddr]) -> IpAddr {
    match addresses {
        [one] if *one == bind => bind,
        // Of both families, where the system has both.
        _ if addresses.iter().any(IpAddr::is_ipv6) => Ipv6Addr::UNSPECIFIED.into(),
        _ => Ipv4Addr::UNSPECIFIED.into(),
    }
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// When a certificate that is new now is to be renewed: with a tenth to three
/// tenths of its life left, as `fraction` chooses; kubelet's rule.
fn renew_at(now: Timestamp, end: Timestamp, fraction: f64) -> Timestamp {
    let life = end.duration_since(now).max(SignedDuration::ZERO);
    let wait = SignedDuration::try_from_secs_f64(life.as_secs_f64() * (0.7 + 0.2 * fraction));
    now.saturating_add(wait.unwrap_or(SignedDuration::ZERO)).unwrap_or(end)
}

/// The certificate (PEM) of a request, once it is there.
fn outcome(object: &Value) -> Result<Option<String>> {
    for kind in ["Denied", "Failed"] {
        if let Some(condition) = condition(object, kind) {
            bail!("{kind}: {}", condition["message"].text());
        }
    }
    let certificate = object["status"]["certificate"].text();
    if certificate.is_empty() {
        return Ok(None);
    }
    let bytes = STANDARD.decode(certificate).context("status.certificate")?;
    Ok(Some(String::from_utf8(bytes).context("status.certificate")?))
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"].items().iter().find(|condition| condition["type"].text() == kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_renewed_in_the_last_third_of_its_life() {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(renew_at(at(1000), at(2000), 0.0), at(1700));
        assert_eq!(renew_at(at(1000), at(2000), 0.5), at(1800));
        // One that has ended is renewed at once.
        assert_eq!(renew_at(at(1000), at(900), 0.5), at(1000));
    }

    #[test]
    fn a_node_is_reached_at_all_its_addresses() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let any = ip("0.0.0.0");
        for (bind, addresses, wanted) in [
            (any, vec![ip("192.0.2.7")], any),
            (any, vec![ip("2001:db8::7")], ip("::")),
            (any, vec![ip("192.0.2.7"), ip("2001:db8::7")], ip("::")),
            (ip("192.0.2.7"), vec![ip("192.0.2.7")], ip("192.0.2.7")),
            (ip("192.0.2.7"), vec![ip("192.0.2.7"), ip("2001:db8::7")], ip("::")),
        ] {
            assert_eq!(listening(bind, &addresses), wanted, "{bind} {addresses:?}");
        }
    }

    #[test]
    fn a_request_ends_with_a_certificate_or_a_word() {
        let with = |status: Value| value!({"status": status});
        assert_eq!(outcome(&with(value!({}))).unwrap(), None);
        assert_eq!(outcome(&with(value!({"certificate": "UEVN"}))).unwrap().as_deref(), Some("PEM"));
        let denied = value!({"conditions": [{"type": "Denied", "message": "not here"}]});
        assert_eq!(outcome(&with(denied)).unwrap_err().to_string(), "Denied: not here");
    }
}
