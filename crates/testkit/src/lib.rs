//! Clusters in tests: one line starts one, and whatever happens it is
//! cleaned up.
//!
//! A cluster is the real program in a network namespace of its own, which has
//! no default route: no packet of a test leaves the machine. It speaks to the
//! cluster only as users do, by kubectl and the wire.

mod background;
mod cluster;
mod helm;
mod images;
mod joined;
mod kubectl;
mod namespace;
mod part;
mod process;
mod wait;

pub use background::Background;
pub use cluster::{Builder, Cluster, program};
pub use helm::Helm;
pub use images::{nginx_archive, redis_archive};
pub use joined::Joined;
pub use kubectl::{Kubectl, Ran, every_kubectl};
pub use namespace::{NODE_ADDRESS, Namespace, Network, SECOND_ADDRESS};
pub use part::Part;
pub use wait::eventually;
