//! What can go wrong between Corten and the kernel's network.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;

/// Every failure of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused a request over netlink.
    #[error("the kernel refused to {action}: {source}")]
    Kernel { action: String, source: nlink::Error },

    #[error("cannot {action} {}: {source}", path.display())]
    File { action: &'static str, path: PathBuf, source: std::io::Error },

    /// Every address of the node's range belongs to a pod.
    #[error("no address is left in the node's pod range {0}; delete pods or give the node a wider range")]
    Exhausted(IpNet),

    #[error("the pod range {0} has no room for a gateway and a pod; give the node a wider one")]
    RangeTooSmall(IpNet),

    #[error("the address {address} is already held by {holder}")]
    Taken { address: IpAddr, holder: String },

    #[error("{protocol} port {port} of the host is already given to {holder}")]
    HostPortTaken { protocol: &'static str, port: u16, holder: String },

    #[error("the configuration of the pod network is wrong: {0}")]
    Config(String),
}

impl Error {
    /// Names what was tried when netlink refused.
    pub(crate) fn kernel(action: impl Into<String>) -> impl FnOnce(nlink::Error) -> Self {
        let action = action.into();
        move |source| Self::Kernel { action, source }
    }

    pub(crate) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }
}
