//! What a client may take before it is refused or cut off.

use std::time::Duration;

/// Bounds of one listener. The defaults are those of kube-apiserver where it
/// has them.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open connections; one more is closed at once.
    pub connections: usize,
    /// From the connection to the end of the TLS handshake.
    pub handshake: Duration,
    /// From the first byte of a request to the end of its headers (HTTP/1).
    pub headers: Duration,
    /// Bytes of all headers of one request.
    pub header_bytes: u32,
    /// Requests under way on one HTTP/2 connection
    /// (`--http2-max-streams-per-connection`).
    pub streams: u32,
    /// Streams that a peer may reset before they were accepted (rapid reset).
    pub pending_resets: usize,
    /// Silence after which an HTTP/2 connection is asked whether it lives.
    pub keep_alive: Duration,
    /// How long open requests may go on when the listener stops.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            handshake: Duration::from_secs(10),
            headers: Duration::from_secs(32),
            header_bytes: 1 << 20,
            streams: 1000,
            pending_resets: 100,
            keep_alive: Duration::from_secs(30),
            drain: Duration::from_secs(10),
        }
    }
}
