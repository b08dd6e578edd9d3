//! `corten join`: this machine as a node of a cluster whose control plane is
//! elsewhere. Its parts get certificates of their own, asked for anew at each
//! start; the administrator's kubeconfig is used for nothing else.

use std::net::{IpAddr, Ipv4Addr};
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
use pki::{Credentials, Profile, Subject, Unsigned};
use runtime::spawner::Spawner;

use crate::cli::Join;
use crate::node::{self, Identity, NetworkRecord, Node, Shown, Users, identities};
use crate::{log, preflight, up};

const REQUESTS: Resource = Resource::new("certificates.k8s.io", "v1", "certificatesigningrequests");
/// How long a certificate may take to be signed.
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
    let bind = options.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let config = node::Config::new(options.node_name.as_deref(), &options.data.data_dir, bind, network)?;
    preflight::raise_open_files();
    preflight::data_dir(&config.data_dir)?;
    let file = &options.kubeconfig;
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let administrator: Arc<dyn Transport> = Arc::new(Remote::from_kubeconfig(&text).await?);

    let [kubelet, proxy, names] = identities(&config.name);
    let client = |identity: Identity| admit(&administrator, &text, identity);
    let users =
        Users { kubelet: client(kubelet).await?, proxy: client(proxy).await?, names: client(names).await? };
    let profile = Profile::Server { dns: vec![config.name.clone()], addresses: config.addresses.clone() };
    let [own, ..] = identities(&config.name);
    let credentials = Certificate {
        signer: "kubernetes.io/kubelet-serving",
        subject: Subject::new(own.user, own.groups.first().copied()),
        profile,
        usage: "server auth",
    };
    let credentials = credentials.request(&users.kubelet, &administrator).await?;
    let authority = Kubeconfig::for_user(&text, "", String::new(), String::new())?.certificate_authority;
    tracing::info!(node = config.name, "the cluster has given this node its certificates");
    let node = Node::open(config, spawner, edge).await?;
    node.start(users, &Shown { credentials, authority }, loops).await
}

/// A part of the node as a user of the API, with a certificate of its own.
async fn admit(
    administrator: &Arc<dyn Transport>,
    text: &str,
    identity: Identity,
) -> Result<Arc<dyn Transport>> {
    let is_node = identity.groups.contains(&"system:nodes");
    let certificate = Certificate {
        signer: if is_node {
            "kubernetes.io/kube-apiserver-client-kubelet"
        } else {
            "kubernetes.io/kube-apiserver-client"
        },
        subject: Subject::new(identity.user.as_str(), identity.groups.first().copied()),
        profile: Profile::Client,
        usage: "client auth",
    };
    let Credentials { certificate, key } = certificate.request(administrator, administrator).await?;
    let config = Kubeconfig::for_user(text, &identity.user, certificate, key)?;
    Ok(Arc::new(Remote::from_kubeconfig(&config.to_yaml()).await?))
}

/// A certificate to be asked for.
struct Certificate {
    signer: &'static str,
    subject: Subject,
    profile: Profile,
    usage: &'static str,
}

impl Certificate {
    /// Asks as `asker`, has it approved, and waits for the signature.
    async fn request(
        self,
        asker: &Arc<dyn Transport>,
        administrator: &Arc<dyn Transport>,
    ) -> Result<Credentials> {
        let who = self.subject.common_name.clone();
        let unsigned = Unsigned::generate(&self.subject, &self.profile)?;
        let usages: Vec<Value> = ["digital signature", self.usage].map(Value::from).into();
        let object = value!({
            "metadata": {"generateName": "join-"},
            "spec": {
                "request": STANDARD.encode(&unsigned.request),
                "signerName": self.signer,
                "usages": usages,
            },
        });
        let verb = Verb::Create { object, options: WriteOptions::default() };
        let made = call(asker, None, None, verb)
            .await
            .with_context(|| format!("asking for the certificate of {who}"))?;
        let name = made["metadata"]["name"].text().to_owned();
        approve(administrator, &name).await.with_context(|| format!("approving the certificate of {who}"))?;
        let signed = tokio::time::timeout(PATIENCE, signed(administrator, &name)).await;
        let certificate = signed
            .with_context(|| format!("nobody has signed the certificate of {who} ({name})"))?
            .with_context(|| format!("the certificate of {who}"))?;
        Ok(unsigned.with_certificate(certificate))
    }
}

async fn call(
    transport: &Arc<dyn Transport>,
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
    transport.call(request).await?.tree()
}

/// Approves a request, if the controller that knows nodes' requests was not quicker.
async fn approve(administrator: &Arc<dyn Transport>, name: &str) -> Result<(), client::Error> {
    loop {
        let mut object = call(administrator, Some(name), None, Verb::Get).await?;
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
        match call(administrator, Some(name), Some("approval"), verb).await {
            Err(error) if error.is_conflict() => {}
            result => return result.map(drop),
        }
    }
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"].items().iter().find(|condition| condition["type"].text() == kind)
}

/// Waits for the certificate (PEM) of a request.
async fn signed(administrator: &Arc<dyn Transport>, name: &str) -> Result<String> {
    let options = ListOptions {
        // With what is there already.
        resource_version: Some("0".into()),
        ..ListOptions::fields(format!("metadata.name={name}"))
    };
    loop {
        let mut events = administrator.watch(&REQUESTS, None, &options).await?;
        while let Some(event) = events.next().await {
            let object = event?.object.tree()?;
            for kind in ["Denied", "Failed"] {
                if let Some(condition) = condition(&object, kind) {
                    bail!("{kind}: {}", condition["message"].text());
                }
            }
            let certificate = object["status"]["certificate"].text();
            if !certificate.is_empty() {
                let bytes = STANDARD.decode(certificate).context("status.certificate")?;
                return String::from_utf8(bytes).context("status.certificate");
            }
        }
    }
}
