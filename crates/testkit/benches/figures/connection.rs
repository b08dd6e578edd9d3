//! Keep-alive connections over TLS with the administrator's certificate, in
//! HTTP/1.1 and HTTP/2.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::client::conn::http2;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Where and how to connect.
#[derive(Clone)]
pub struct Target {
    address: SocketAddr,
    tls: TlsConnector,
}

impl Target {
    pub fn read(kubeconfig: &Path) -> Self {
        Self::try_read(kubeconfig).expect("the program wrote a kubeconfig")
    }

    /// None where the file is not whole yet.
    pub fn try_read(kubeconfig: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(kubeconfig).ok()?;
        let config: Value = serde_saphyr::from_str(&text).ok()?;
        let cluster = &config["clusters"][0]["cluster"];
        let user = &config["users"][0]["user"];
        let pem = |value: &Value| STANDARD.decode(value.as_str().expect("embedded")).expect("base64");
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem(&cluster["certificate-authority-data"])) {
            roots.add(certificate.expect("a certificate")).expect("an authority");
        }
        let chain = CertificateDer::pem_slice_iter(&pem(&user["client-certificate-data"]))
            .collect::<Result<Vec<_>, _>>()
            .expect("a certificate");
        let key = PrivateKeyDer::from_pem_slice(&pem(&user["client-key-data"])).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has them")
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .expect("the pair fits");
        let server = cluster["server"].as_str()?.trim_start_matches("https://");
        Some(Self { address: server.parse().ok()?, tls: TlsConnector::from(Arc::new(tls)) })
    }

    pub async fn connect(&self) -> Connection {
        self.try_connect().await.expect("the server listens")
    }

    /// A connection that carries many requests at once.
    pub async fn multiplexed(&self) -> Multiplexed {
        let mut config = self.tls.config().as_ref().clone();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let stream = self.dial(&TlsConnector::from(Arc::new(config))).await.expect("the server listens");
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .expect("the server speaks HTTP/2");
        tokio::spawn(connection);
        Multiplexed { sender, host: self.address.to_string() }
    }

    async fn dial(&self, tls: &TlsConnector) -> Option<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await.ok()?;
        stream.set_nodelay(true).ok()?;
        tls.connect(ServerName::IpAddress(self.address.ip().into()), stream).await.ok()
    }

    /// None where nobody listens yet.
    pub async fn try_connect(&self) -> Option<Connection> {
        let stream = self.dial(&self.tls).await?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(connection);
        Some(Connection { sender, host: self.address.to_string(), encoding: "identity" })
    }
}

/// One connection of HTTP/2.
#[derive(Clone)]
pub struct Multiplexed {
    sender: http2::SendRequest<Full<Bytes>>,
    host: String,
}

impl Multiplexed {
    /// Begins a GET and gives its answer as it comes.
    pub async fn start(&mut self, path: &str) -> Response<Incoming> {
        let request = Request::builder()
            .uri(format!("https://{}{path}", self.host))
            .header("Accept", "application/json")
            .body(Full::default())
            .expect("a request");
        self.sender.ready().await.expect("an open connection");
        self.sender.send_request(request).await.expect("an answer")
    }

    /// Sends and reads the whole answer.
    ///
    /// # Panics
    /// Where it is no success.
    pub async fn ask(&mut self, method: &str, path: &str, kind: &str, body: String) -> Bytes {
        let (status, bytes) = self.try_ask(method, path, kind, body).await;
        assert!(status.is_success(), "{method} {path}: {status}: {}", String::from_utf8_lossy(&bytes));
        bytes
    }

    /// Sends and reads the whole answer, whatever it is.
    pub async fn try_ask(
        &mut self,
        method: &str,
        path: &str,
        kind: &str,
        body: String,
    ) -> (StatusCode, Bytes) {
        let request = Request::builder()
            .method(method)
            .uri(format!("https://{}{path}", self.host))
            .header("Accept", "application/json")
            .header("Content-Type", kind)
            .body(Full::new(body.into()))
            .expect("a request");
        self.sender.ready().await.expect("an open connection");
        let response = self.sender.send_request(request).await.expect("an answer");
        let status = response.status();
        (status, response.into_body().collect().await.expect("a body").to_bytes())
    }
}

pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    /// What answers may be encoded in.
    encoding: &'static str,
}

impl Connection {
    /// Takes answers compressed.
    pub fn compressed(mut self) -> Self {
        self.encoding = "gzip";
        self
    }

    pub async fn start(&mut self, method: &str, path: &str, kind: &str, body: &str) -> Response<Incoming> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("Host", &self.host)
            .header("Accept", "application/json")
            .header("Accept-Encoding", self.encoding)
            .header("Content-Type", kind)
            .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
            .expect("a request");
        self.sender.ready().await.expect("an open connection");
        self.sender.send_request(request).await.expect("an answer")
    }

    /// Sends and reads the whole answer.
    ///
    /// # Panics
    /// Where it is no success.
    pub async fn ask(&mut self, method: &str, path: &str, kind: &str, body: &str) -> Bytes {
        let (status, bytes) = self.try_ask(method, path, kind, body).await;
        assert!(status.is_success(), "{method} {path}: {status}: {}", String::from_utf8_lossy(&bytes));
        bytes
    }

    pub async fn try_ask(&mut self, method: &str, path: &str, kind: &str, body: &str) -> (StatusCode, Bytes) {
        let response = self.start(method, path, kind, body).await;
        let status = response.status();
        (status, response.into_body().collect().await.expect("a body").to_bytes())
    }
}
