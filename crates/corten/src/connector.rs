//! Dials node servers, pods and services for the API server.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use apimachinery::Value;
use apiserver::{NodeConnector, NodeStream, node_address};
use async_trait::async_trait;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const PATIENCE: Duration = Duration::from_secs(10);

/// Real connections, with the API server's client certificate to nodes.
pub struct Dialer {
    to_nodes: Arc<ClientConfig>,
    to_anyone: Arc<ClientConfig>,
}

impl Dialer {
    /// `to_nodes` verifies nodes and bears the certificate they know the API server by.
    pub fn new(to_nodes: Arc<ClientConfig>) -> Self {
        // Upstream's proxy does not verify pods and services either.
        Self { to_nodes, to_anyone: serve::unverified_client() }
    }
}

#[async_trait]
impl NodeConnector for Dialer {
    async fn connect_node(&self, _node: &str, object: Arc<Value>) -> Result<Box<dyn NodeStream>, String> {
        let (address, port) = node_address(&object).map_err(|status| status.message)?;
        let stream = dial(&address, port).await?;
        tls(&self.to_nodes, &address, stream).await
    }

    async fn connect_address(
        &self,
        address: &str,
        port: u16,
        tls_wanted: bool,
    ) -> Result<Box<dyn NodeStream>, String> {
        let stream = dial(address, port).await?;
        if tls_wanted { tls(&self.to_anyone, address, stream).await } else { Ok(Box::new(stream)) }
    }
}

async fn dial(address: &str, port: u16) -> Result<TcpStream, String> {
    let connected = tokio::time::timeout(PATIENCE, TcpStream::connect((address, port))).await;
    let stream = connected
        .map_err(|_| format!("dial tcp {address}:{port}: i/o timeout"))?
        .map_err(|error| format!("dial tcp {address}:{port}: {}", words(&error)))?;
    // Streams of exec carry single keys.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// The kernel's words without Rust's number.
fn words(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connect: connection refused".into(),
        std::io::ErrorKind::HostUnreachable => "connect: no route to host".into(),
        _ => format!("connect: {error}"),
    }
}

async fn tls(
    config: &Arc<ClientConfig>,
    address: &str,
    stream: TcpStream,
) -> Result<Box<dyn NodeStream>, String> {
    let name = match address.parse::<IpAddr>() {
        Ok(ip) => ServerName::IpAddress(ip.into()),
        Err(_) => ServerName::try_from(address.to_owned()).map_err(|error| error.to_string())?,
    };
    let connected =
        tokio::time::timeout(PATIENCE, TlsConnector::from(config.clone()).connect(name, stream)).await;
    let stream = connected
        .map_err(|_| format!("tls: {address}: handshake timeout"))?
        .map_err(|error| format!("tls: {address}: {error}"))?;
    Ok(Box::new(stream))
}
