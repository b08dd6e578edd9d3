//! Streams of bytes through HTTP upgrades, as kubectl and other clients want
//! them: the channel protocols of exec and attach over WebSocket, and the
//! SPDY/3.1 framing of port-forward, plain or inside a WebSocket.
//!
//! It knows no container and no pod: what it serves is a [`Process`] or a
//! function that dials a port.

mod error;
mod portforward;
mod process;
mod remotecommand;
pub mod spdy;
mod status;
pub mod websocket;

/// How long a client that was told everything may take to close its end.
const LINGER: std::time::Duration = std::time::Duration::from_secs(10);

pub use error::Error;
pub use portforward::{Dial, Duplex, PORTFORWARD_PROTOCOL, port_forward};
pub use process::{Exit, Input, Output, Process, Streams, TerminalSize};
pub use remotecommand::{Accepted, Tailing, accept, tail};
