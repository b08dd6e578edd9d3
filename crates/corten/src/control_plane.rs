//! The API server with its store, its keys and its listener: what `up` and
//! `apiserver` share.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use admission::webhooks::HttpsCaller;
use anyhow::{Context, Result, anyhow};
use apiserver::{ApiServer, Authorizer, Catalogue, HeaderIndexer, LocalTransport, SharedCatalogue, UserInfo};
use auth::{ServiceAccountTokens, X509};
use client::Transport;
use client::kubeconfig::Kubeconfig;
use edge::Edge;
use ipnet::IpNet;
use pki::{ClusterPki, ServerNames};
use registry::loops::Cluster;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serve::families::Families;
use serve::{Certificate, Limits, Server};
use store::{Plain, SharedStore, Sqlite, SqliteOptions};

use crate::connector::Dialer;
use crate::{address, preflight};

/// The cluster's DNS domain.
pub const DOMAIN: &str = "cluster.local";
/// `iss` of service account tokens.
pub const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

pub struct Config {
    pub data_dir: PathBuf,
    pub bind: SocketAddr,
    pub service_ranges: Vec<IpNet>,
    /// Addresses under which pods reach this server; none leaves the endpoints
    /// of the Service `kubernetes` alone.
    pub advertise: Vec<IpAddr>,
    /// Tell clients of kinds and fields without effect.
    pub warn_ineffective: bool,
}

/// A running API server.
pub struct ControlPlane {
    pub server: Arc<ApiServer>,
    pub pki: Arc<ClusterPki>,
    store: SharedStore,
    listener: Server,
    kubeconfig: PathBuf,
}

impl ControlPlane {
    /// Opens the data directory, serves the API and writes what every cluster has.
    pub async fn start(config: &Config, edge: &Edge) -> Result<Self> {
        // First, for it says soonest what is wrong.
        let listener = preflight::listen(config.bind)?;
        preflight::raise_open_files();
        preflight::data_dir(&config.data_dir)?;
        let catalogue: SharedCatalogue = Default::default();
        // The database is read while keys and types are made ready.
        let opening = {
            let (directory, edge) = (config.data_dir.join("store"), edge.clone());
            let indexer = Arc::new(HeaderIndexer::new(catalogue.clone()));
            (directory, edge, indexer)
        };
        let now = edge.clock.now();
        let pki = Arc::new(ClusterPki::open(&config.data_dir.join("pki"), ISSUER, now)?);
        let counted = Families::default();
        let (definitions, authorizers, tokens) = kinds(&pki, config.warn_ineffective, &counted);
        catalogue.store(Arc::new(Catalogue::new(definitions)));
        let (directory, store_edge, indexer) = opening;
        let open = move || {
            Sqlite::open(SqliteOptions {
                directory,
                edge: store_edge,
                indexer,
                transformer: Arc::new(Plain),
                limits: Default::default(),
                size_limit: None,
            })
        };
        let store: SharedStore =
            edge.tasks.spawn_blocking(open).await.context("the store's opening was interrupted")??;

        let mut builder = ApiServer::builder(store.clone(), catalogue, edge.clone())
            .authenticator(Arc::new(X509::new()))
            .authenticator(tokens.clone())
            .authorizers(authorizers.iter().cloned());
        for (path, media_type, body) in openid(&pki, config) {
            builder = builder.page(path, Box::new(move |_| (media_type, body.clone())));
        }
        let caller = Arc::new(HttpsCaller::new(edge.clone()));
        let plugins = admission::plugins(&authorizers, auth::rbac::refuse_granting, caller, &counted);
        let server = builder.plugins(plugins).build(registry::loops::STEPS);
        server.metrics().publish(move |out| counted.write(out));
        server.set_connector(Arc::new(Dialer::new(client_config(&pki, edge)?)));

        let names = server_names(config)?;
        let certificate = {
            let pki = pki.clone();
            renewing(edge, move |now| pki.server(&names, now))?
        };
        let tls = serve::server_config(&certificate, pki.authority.certificate())?;
        let listener = serve::serve(edge, listener, tls, Limits::default(), server.clone())?;

        let cluster = Cluster {
            service_ranges: config.service_ranges.clone(),
            advertise: config.advertise.clone(),
            port: config.bind.port(),
            client_authority: pki.authority.certificate().to_owned(),
        };
        registry::loops::bootstrap(&server, &cluster)
            .await
            .map_err(|status| anyhow!("the cluster's own objects could not be written: {status}"))?;
        registry::loops::track_legacy_tokens(&server, &tokens);
        let kubeconfig = config.data_dir.join("kubeconfig");
        write_kubeconfig(&kubeconfig, config.bind, &pki, now)?;
        Ok(Self { server, pki, store, listener, kubeconfig })
    }

    /// The in-process way to the API for a user.
    pub fn transport(&self, user: UserInfo, agent: &str) -> Arc<dyn Transport> {
        Arc::new(LocalTransport::new(self.server.clone(), user, agent))
    }

    /// Where the API is served.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Ends watches, lets open requests end, then closes the store.
    pub async fn stop(self) {
        self.store.end_watches();
        self.listener.stop().await;
        self.store.close().await;
    }
}

type Authorizers = Arc<[Arc<dyn Authorizer>]>;

/// The table of kinds, and who decides in which order.
fn kinds(
    pki: &Arc<ClusterPki>,
    warn_ineffective: bool,
    families: &Families,
) -> (Vec<apiserver::Definition>, Authorizers, Arc<ServiceAccountTokens>) {
    let keys = pki.service_accounts.clone();
    let tokens = Arc::new(ServiceAccountTokens::new(keys.clone(), families));
    let authorizers = registry::authorizers();
    let settings = registry::Settings {
        authorizers: authorizers.clone(),
        tokens: tokens.clone(),
        keys,
        // `corten up` has nodes; the API alone says no more than upstream's.
        metrics: warn_ineffective,
        warn_ineffective,
    };
    (registry::definitions(&settings), authorizers, tokens)
}

/// What verifiers of service account tokens read: path, media type and body.
fn openid(pki: &ClusterPki, config: &Config) -> [(&'static str, &'static str, Vec<u8>); 2] {
    const KEYS: &str = "/openid/v1/jwks";
    let host = config.advertise.first().copied().unwrap_or_else(|| config.bind.ip());
    let address = SocketAddr::new(host, config.bind.port());
    let keys = &pki.service_accounts;
    let configuration = keys.openid_configuration(&format!("https://{address}{KEYS}"));
    [
        (KEYS, "application/jwk-set+json", keys.jwks().to_string().into_bytes()),
        ("/.well-known/openid-configuration", "application/json", configuration.to_string().into_bytes()),
    ]
}

/// Every name under which this server is reached.
fn server_names(config: &Config) -> Result<ServerNames> {
    let first_service = config.service_ranges.first().and_then(|range| address::nth(range, 1));
    let host = address::host_name()?;
    let own = if config.bind.ip().is_unspecified() { address::own() } else { vec![config.bind.ip()] };
    Ok(ServerNames::new(DOMAIN, first_service, &host, &own))
}

/// How the API server shows itself to nodes.
fn client_config(pki: &Arc<ClusterPki>, edge: &Edge) -> Result<Arc<rustls::ClientConfig>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pki.authority.certificate().as_bytes())?)?;
    let certificate = {
        let pki = pki.clone();
        renewing(edge, move |now| pki.kubelet_client(now))?
    };
    let config = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_client_cert_resolver(Arc::new(certificate));
    Ok(Arc::new(config))
}

/// A certificate of the cluster's authority that is replaced before it expires.
pub fn renewing(
    edge: &Edge,
    issue: impl Fn(jiff::Timestamp) -> Result<pki::Credentials, pki::Error> + Send + 'static,
) -> Result<Certificate> {
    let first = issue(edge.clock.now())?;
    let certificate = Certificate::from_pem(&first.certificate, &first.key)?;
    edge.tasks.spawn(renew(edge.clone(), issue, certificate.clone()));
    Ok(certificate)
}

async fn renew(
    edge: Edge,
    issue: impl Fn(jiff::Timestamp) -> Result<pki::Credentials, pki::Error>,
    certificate: Certificate,
) {
    loop {
        let now = edge.clock.now();
        let renewed = issue(now).map_err(anyhow::Error::from).and_then(|pair| {
            certificate.replace(&pair.certificate, &pair.key)?;
            Ok(pki::renew_at(&pair.certificate))
        });
        let pause = match renewed {
            Ok(at) => at.and_then(|at| std::time::Duration::try_from(at.duration_since(now)).ok()),
            Err(error) => {
                tracing::error!(%error, "a certificate was not renewed");
                None
            }
        };
        // tokio's timers end at some two years.
        let day = std::time::Duration::from_secs(86_400);
        tokio::time::sleep(pause.unwrap_or(day).clamp(day / 24, day * 365)).await;
    }
}

fn write_kubeconfig(path: &Path, bind: SocketAddr, pki: &ClusterPki, now: jiff::Timestamp) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;

    let admin = pki.admin(now)?;
    let host = match bind.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(_) => IpAddr::from(std::net::Ipv6Addr::LOCALHOST),
    };
    let text = Kubeconfig {
        server: format!("https://{}", SocketAddr::new(host, bind.port())),
        cluster: "corten".into(),
        user: "admin".into(),
        certificate_authority: pki.authority.certificate().to_owned(),
        client_certificate: admin.certificate,
        client_key: admin.key,
    }
    .to_yaml();
    // By rename: whoever waits for the file sees it whole.
    let new = path.with_extension("new");
    let written = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new);
    written
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| std::fs::rename(&new, path))
        .with_context(|| format!("cannot write {}", path.display()))
}
