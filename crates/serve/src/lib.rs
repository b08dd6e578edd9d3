//! Serving HTTP over TLS: the listener with its limits, certificates that can
//! be changed while it runs, and draining when it stops; and the client that
//! verifies no server. And metric families, as they are served.
//!
//! It knows connections, certificates and numbers; it never knows a resource or
//! a user.

mod certificate;
pub mod families;
mod gathered;
mod limits;
mod lingering;
mod listener;
mod unverified;

pub use certificate::{Certificate, CertificateError, server_config};
pub use limits::Limits;
pub use listener::{Handler, Peer, Server, serve};
pub use unverified::unverified_client;
