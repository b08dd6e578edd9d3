//! The cluster's DNS: names of Services and pods by the Kubernetes DNS
//! specification 1.1.0, and everything else from the node's own name servers.
//!
//! [`answer`] is pure: a question and a [`View`] give records. [`Server`]
//! listens and forwards, [`ApiView`] is the view that informers keep. This
//! crate never writes to the API, and sends no packet where no name server
//! is configured.

mod answer;
mod cache;
mod forward;
mod model;
mod server;
mod view;
mod wire;

#[cfg(test)]
mod tests;

pub use answer::{Answer, Config, answer};
pub use forward::upstreams;
pub use model::{Endpoint, Port, Service, Slice};
pub use server::{Error, Server};
pub use view::{ApiView, View};
