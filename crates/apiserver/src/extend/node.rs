//! The way from the API server to a node's server (the kubelet).

use std::sync::Arc;

use apimachinery::{Status, Value};
use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};

/// A connection's bytes in both directions.
pub trait NodeStream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> NodeStream for T {}

/// Dials nodes, pods and services. Over TLS, with the API server's own client
/// certificate, or in process; the caller speaks HTTP/1.1 on the stream.
#[async_trait]
pub trait NodeConnector: Send + Sync + 'static {
    /// To the server of a node.
    ///
    /// # Errors
    /// A sentence that says what was tried and what went wrong.
    async fn connect_node(&self, node: &str, object: Arc<Value>) -> Result<Box<dyn NodeStream>, String>;

    /// To `port` of `address` (a pod or an endpoint), TLS without verification where `tls`.
    ///
    /// # Errors
    /// As [`NodeConnector::connect_node`].
    async fn connect_address(
        &self,
        address: &str,
        port: u16,
        tls: bool,
    ) -> Result<Box<dyn NodeStream>, String>;
}

/// The port of a node's server where the node tells none.
const DEFAULT_PORT: u16 = 10250;

/// Where a Node says that its server listens.
///
/// # Errors
/// It has told no address.
pub fn node_address(node: &Value) -> Result<(String, u16), Status> {
    let status = &node["status"];
    let known = status["addresses"].items();
    let of = |kind: &&str| known.iter().find(|address| address["type"].text() == *kind);
    let Some(address) = ["InternalIP", "ExternalIP", "Hostname"].iter().find_map(of) else {
        let told: Vec<String> = known
            .iter()
            .map(|address| format!("{{{} {}}}", address["type"].text(), address["address"].text()))
            .collect();
        let told = told.join(" ");
        return Err(Status::unknown(format!("no preferred addresses found; known addresses: [{told}]")));
    };
    let port = status["daemonEndpoints"]["kubeletEndpoint"]["Port"].as_i64();
    let port = port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0);
    Ok((address["address"].text().to_owned(), port.unwrap_or(DEFAULT_PORT)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::value;

    #[test]
    fn a_node_is_found_at_its_internal_address() {
        let node = value!({"status": {
            "addresses": [
                {"type": "Hostname", "address": "n1"},
                {"type": "InternalIP", "address": "192.0.2.10"}
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10251}}
        }});
        assert_eq!(node_address(&node), Ok(("192.0.2.10".into(), 10251)));
        let unknown = value!({"status": {"addresses": [{"type": "InternalDNS", "address": "n"}]}});
        assert_eq!(
            node_address(&unknown).map_err(|status| status.message),
            Err("no preferred addresses found; known addresses: [{InternalDNS n}]".into())
        );
    }
}
