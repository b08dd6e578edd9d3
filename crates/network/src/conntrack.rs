//! Forgets connections of the kernel's connection tracking, so that packets
//! of a long-lived UDP flow meet the rules again after an endpoint went away.

use std::net::IpAddr;

use nlink::netlink::netfilter::{ConntrackFilter, IpProtocol};
use nlink::netlink::{Connection, Netfilter};

use crate::{Error, Protocol};

/// Which connections to forget. Every criterion that is set must hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flows {
    pub protocol: Protocol,
    /// Where the client sent its packets.
    pub destination: Option<IpAddr>,
    pub destination_port: Option<u16>,
    /// Who answers them, after translation.
    pub backend: Option<IpAddr>,
    pub backend_port: Option<u16>,
}

/// A handle on connection tracking in the calling thread's namespace.
pub struct Conntrack(Connection<Netfilter>);

impl Conntrack {
    pub fn open() -> Result<Self, Error> {
        Ok(Self(Connection::<Netfilter>::new().map_err(Error::kernel("open connection tracking"))?))
    }

    /// Forgets the flows. Flows with nothing to be forgotten are no error; a
    /// criterion without an address (a node port) looks at both families.
    pub async fn forget(&self, flows: &Flows) -> Result<(), Error> {
        let mut filter = ConntrackFilter::new().proto(match flows.protocol {
            Protocol::Tcp => IpProtocol::Tcp,
            Protocol::Udp => IpProtocol::Udp,
            Protocol::Sctp => IpProtocol::Other(Protocol::Sctp.number()),
        });
        if let Some(address) = flows.destination {
            filter = filter.orig_dst(address);
        }
        if let Some(port) = flows.destination_port {
            filter = filter.orig_dst_port(port);
        }
        if let Some(address) = flows.backend {
            filter = filter.reply_src(address);
        }
        if let Some(port) = flows.backend_port {
            filter = filter.reply_src_port(port);
        }
        self.0.flush_conntrack_matching(&filter).await.map_err(Error::kernel("forget connections"))
    }
}
