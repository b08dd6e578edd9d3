//! Services as kernel rules: kube-proxy's work on this node; and the routes to
//! other nodes' pods ([`follow_peers`]).
//!
//! [`Service`] and [`Slice`] are what is kept of a Service and of an
//! EndpointSlice; [`plan`] turns one Service with its slices into elements of
//! nftables maps (pure); [`Table`] keeps the plans of all and says what must
//! change in the kernel when one does (pure); [`run`] follows the API and
//! applies it. This crate never writes to the API.
//!
//! # The rules
//!
//! A packet to a service costs two hash lookups, however many services there
//! are. The first maps address, protocol and port to a chain; the chain, one
//! for each *number* of endpoints and shared by all services with that many,
//! draws a random number; the second lookup maps address, protocol, port and
//! that number to an endpoint. So a Service is only elements, and a change
//! touches only its own.

mod chains;
mod health;
mod model;
mod peers;
mod plan;
mod run;
mod table;

#[cfg(test)]
mod tests;

pub use chains::{Picker, Reach, skeleton};
pub use model::{Affinity, Endpoint, NodeView, Service, ServicePort, Slice, SlicePort};
pub use peers::follow_peers;
pub use plan::{Node, Plan, plan};
pub use run::{Proxy, nodes, run};
pub use table::{Table, Update};
