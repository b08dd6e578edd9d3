//! The way from the API server to a node's server (the kubelet).

use std::sync::Arc;

use apimachinery::Value;
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
