//! The way out to webhooks: HTTPS, one connection a call. Errors are told in
//! the words of Go's dialer and TLS, which clients know from kube-apiserver.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use edge::Edge;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, InvalidMessage, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Answer, Destination};

/// The longest answer that is read.
const MAX_ANSWER: usize = 3 * 1024 * 1024;

/// Why no answer came.
#[derive(Debug)]
pub enum Error {
    /// The configuration is no good for anybody.
    Unusable(String),
    /// Nobody answered.
    Unreached(String),
}

/// Who carries questions to webhooks.
#[async_trait]
pub trait Caller: Send + Sync + 'static {
    /// Posts a JSON body.
    ///
    /// # Errors
    /// Nobody answered in time.
    async fn post(&self, to: &Destination, body: Vec<u8>, patience: Duration) -> Result<Answer, Error>;
}

/// Calls over TLS.
pub struct HttpsCaller {
    edge: Edge,
    /// The configuration without a bundle of authorities, made when first needed.
    trusting_machine: OnceLock<Arc<ClientConfig>>,
}

impl HttpsCaller {
    pub fn new(edge: Edge) -> Self {
        Self { edge, trusting_machine: OnceLock::new() }
    }

    fn config(&self, authorities: &[u8]) -> Result<Arc<ClientConfig>, String> {
        let trusting =
            |roots| Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth());
        if authorities.is_empty() {
            let machine = || {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                trusting(roots)
            };
            return Ok(self.trusting_machine.get_or_init(machine).clone());
        }
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authorities).flatten() {
            // One that cannot be read vouches for nobody.
            let _ = roots.add(certificate);
        }
        if roots.is_empty() {
            return Err("unable to load root certificates: unable to parse bytes as PEM block".to_owned());
        }
        Ok(trusting(roots))
    }

    async fn exchange(&self, to: &Destination, body: Vec<u8>) -> Result<Answer, Error> {
        let unreached = |why: String| Error::Unreached(why);
        let config = self.config(&to.authorities).map_err(Error::Unusable)?;
        let stream = TcpStream::connect((to.host.as_str(), to.port)).await.map_err(|error| {
            unreached(format!("dial tcp {}: {}", address(to), dial_words(&error, &to.host)))
        })?;
        let name = ServerName::try_from(to.server_name.clone())
            .map_err(|error| unreached(format!("tls: {error}")))?;
        let stream = TlsConnector::from(config)
            .connect(name, stream)
            .await
            .map_err(|error| unreached(tls_words(&error, &to.server_name)))?;
        let broken = |error: hyper::Error| unreached(error.to_string());
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        self.edge.tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to a webhook ended");
            }
        });
        let request = Request::builder()
            .method(Method::POST)
            .uri(&to.path)
            .header(header::HOST, format!("{}:{}", to.server_name, to.port))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json, */*")
            .header(header::USER_AGENT, "kube-apiserver-admission")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| unreached(error.to_string()))?;
        let answer = sender.send_request(request).await.map_err(broken)?;
        let code = answer.status().as_u16();
        let content_type = answer.headers().get(header::CONTENT_TYPE);
        let content_type = content_type.and_then(|sort| sort.to_str().ok()).unwrap_or("").to_owned();
        let body = Limited::new(answer.into_body(), MAX_ANSWER)
            .collect()
            .await
            .map_err(|error| unreached(error.to_string()))?
            .to_bytes()
            .to_vec();
        Ok(Answer { code, content_type, body })
    }
}

#[async_trait]
impl Caller for HttpsCaller {
    async fn post(&self, to: &Destination, body: Vec<u8>, patience: Duration) -> Result<Answer, Error> {
        match tokio::time::timeout(patience, self.exchange(to, body)).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::Unreached("context deadline exceeded".to_owned())),
        }
    }
}

fn address(to: &Destination) -> String {
    if to.host.contains(':') {
        format!("[{}]:{}", to.host, to.port)
    } else {
        format!("{}:{}", to.host, to.port)
    }
}

fn dial_words(error: &io::Error, host: &str) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connect: connection refused".into(),
        io::ErrorKind::HostUnreachable => "connect: no route to host".into(),
        io::ErrorKind::NetworkUnreachable => "connect: network is unreachable".into(),
        io::ErrorKind::TimedOut => "connect: connection timed out".into(),
        _ if error.raw_os_error().is_none() => format!("lookup {host}: no such host"),
        _ => format!("connect: {error}"),
    }
}

fn tls_words(error: &io::Error, name: &str) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let why = match inner {
        Some(rustls::Error::InvalidCertificate(why)) => why,
        Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            return "tls: first record does not look like a TLS handshake".to_owned();
        }
        _ if error.kind() == io::ErrorKind::UnexpectedEof => return "EOF".to_owned(),
        _ => return format!("tls: {error}"),
    };
    let why = match why {
        CertificateError::UnknownIssuer => "certificate signed by unknown authority".to_owned(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "certificate has expired or is not yet valid".to_owned()
        }
        CertificateError::NotValidForNameContext { presented, .. } => not_for(name, presented),
        CertificateError::NotValidForName => not_for(name, &[]),
        other => other.to_string(),
    };
    format!("tls: failed to verify certificate: x509: {why}")
}

/// A certificate for others than `name`; `presented` are theirs, each with its
/// sort around it: `DnsName("a.b")`.
fn not_for(name: &str, presented: &[String]) -> String {
    let of = |sort: &str| {
        let names = presented.iter().filter_map(|shown| {
            let inner = shown.strip_prefix(sort)?.strip_prefix('(')?.strip_suffix(')')?;
            Some(inner.trim_matches('"').to_owned())
        });
        names.collect::<Vec<_>>()
    };
    let is_address = name.parse::<IpAddr>().is_ok();
    let names = of(if is_address { "IpAddress" } else { "DnsName" });
    match names.is_empty() {
        true if is_address => {
            format!("cannot validate certificate for {name} because it doesn't contain any IP SANs")
        }
        true => format!("certificate is not valid for any names, but wanted to match {name}"),
        false => format!("certificate is valid for {}, not {name}", names.join(", ")),
    }
}
