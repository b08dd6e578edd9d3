//! Serving HTTP over TLS: the listener with its limits, certificates that can
//! be changed while it runs, and draining when it stops; and the client that
//! verifies no server.
//!
//! It knows connections and certificates; it never knows a resource or a user.

mod certificate;
mod gathered;
mod limits;
mod listener;
mod unverified;

pub use certificate::{Certificate, CertificateError, server_config};
pub use limits::Limits;
pub use listener::{Handler, Peer, Server, serve};
pub use unverified::unverified_client;
