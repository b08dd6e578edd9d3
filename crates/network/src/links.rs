//! Links, addresses, routes and neighbours of the node and of its pods, over
//! netlink. Each function is safe to repeat.

use std::fs::File;
use std::net::IpAddr;
use std::os::fd::AsFd;

use ipnet::IpNet;
use nlink::netlink::Connection;
use nlink::netlink::link::{BridgeLink, VethLink};
use nlink::netlink::messages::{LinkMessage, RouteMessage};
use nlink::netlink::neigh::Neighbor;
use nlink::netlink::types::route::{RouteProtocol, RouteScope, RouteType};
use nlink::{Ipv4Address, Ipv4Route, Ipv6Address, Ipv6Route, Route};

use crate::Error;
use crate::peers::Ways;

/// Behind every specific route: the kernel prefers the lower metric.
pub const UNREACHABLE_METRIC: u32 = 4_278_198_272;

/// The routing protocol of routes to other nodes' pods (rtnetlink(7),
/// `rtm_protocol`); a number that nobody else has.
const PEERS: RouteProtocol = RouteProtocol::Other(67);

/// The link inside a pod.
const POD_LINK: &str = "eth0";
const LOOPBACK: u32 = 1;

/// The links of one network namespace.
pub(crate) struct Links(Connection<Route>);

/// Both ends of a pod's link.
pub(crate) struct Ends<'a> {
    pub host: &'a str,
    pub host_mac: [u8; 6],
    pub pod_mac: [u8; 6],
    pub addresses: &'a [IpAddr],
    pub gateways: &'a [IpAddr],
    pub mtu: u32,
}

impl Links {
    /// The links of the calling thread's namespace.
    pub fn open() -> Result<Self, Error> {
        Ok(Self(Connection::<Route>::new().map_err(Error::kernel("open netlink"))?))
    }

    /// The index of a link, where it exists.
    pub async fn index(&self, name: &str) -> Result<Option<u32>, Error> {
        let link = self
            .0
            .get_link_by_name(name)
            .await
            .map_err(Error::kernel(format!("look for the link {name}")))?;
        Ok(link.as_ref().map(LinkMessage::ifindex))
    }

    /// The names of all links that begin with `prefix`.
    pub async fn named(&self, prefix: &str) -> Result<Vec<String>, Error> {
        let links = self.0.get_links().await.map_err(Error::kernel("list links"))?;
        let names = links.iter().filter_map(|link| link.name());
        Ok(names.filter(|name| name.starts_with(prefix)).map(str::to_owned).collect())
    }

    pub async fn remove(&self, name: &str) -> Result<(), Error> {
        match self.0.del_link(name).await {
            Err(error) if !error.is_not_found() && !error.is_no_device() => {
                Err(Error::kernel(format!("remove the link {name}"))(error))
            }
            _ => Ok(()),
        }
    }

    /// A bridge without ports, up, with a hardware address of its own (else
    /// the kernel draws a new one at each start).
    pub async fn ensure_bridge(&self, name: &str, mac: [u8; 6]) -> Result<u32, Error> {
        if self.index(name).await?.is_none() {
            let bridge = BridgeLink::new(name).address(mac);
            self.0.add_link(bridge).await.map_err(Error::kernel(format!("make the bridge {name}")))?;
        }
        let index = self
            .index(name)
            .await?
            .ok_or_else(|| Error::Config(format!("the link {name} went away while it was set up")))?;
        self.up(index).await?;
        Ok(index)
    }

    async fn up(&self, index: u32) -> Result<(), Error> {
        self.0.set_link_up_by_index(index).await.map_err(Error::kernel("bring a link up"))
    }

    /// Gives the link an address of its own, with no route to a network.
    pub async fn add_address(&self, index: u32, address: IpAddr) -> Result<(), Error> {
        let result = match address {
            IpAddr::V4(v4) => self.0.replace_address(Ipv4Address::with_index(index, v4, 32)).await,
            // No duplicate address detection: nobody else is on the link, and
            // on a link without carrier it would never end.
            IpAddr::V6(v6) => {
                self.0.replace_address(Ipv6Address::with_index(index, v6, 128).nodad().noprefixroute()).await
            }
        };
        result.map_err(Error::kernel(format!("add the address {address}")))
    }

    /// All packets to `range` end here with "unreachable", unless another
    /// route is better.
    pub async fn add_unreachable(&self, range: IpNet) -> Result<(), Error> {
        let result = match range {
            IpNet::V4(net) => {
                let route = Ipv4Route::from_addr(net.network(), net.prefix_len());
                let route = route.route_type(RouteType::Unreachable).metric(UNREACHABLE_METRIC);
                self.0.replace_route(route.scope(RouteScope::Universe)).await
            }
            IpNet::V6(net) => {
                let route = Ipv6Route::from_addr(net.network(), net.prefix_len());
                let route = route.route_type(RouteType::Unreachable).metric(UNREACHABLE_METRIC);
                self.0.replace_route(route.dev_index(LOOPBACK)).await
            }
        };
        result.map_err(Error::kernel(format!("add the unreachable route for {range}")))
    }

    pub async fn remove_unreachable(&self, range: IpNet) -> Result<(), Error> {
        let result = match range {
            IpNet::V4(net) => {
                let route = Ipv4Route::from_addr(net.network(), net.prefix_len());
                let route = route.route_type(RouteType::Unreachable).metric(UNREACHABLE_METRIC);
                self.0.del_route_if_exists(route.scope(RouteScope::Universe)).await
            }
            IpNet::V6(net) => {
                let route = Ipv6Route::from_addr(net.network(), net.prefix_len());
                let route = route.route_type(RouteType::Unreachable).metric(UNREACHABLE_METRIC);
                self.0.del_route_if_exists(route.dev_index(LOOPBACK)).await
            }
        };
        result.map(drop).map_err(Error::kernel(format!("remove the unreachable route for {range}")))
    }

    /// The routes that [`Links::add_peer_route`] has made, here or in an earlier run.
    pub async fn peer_routes(&self) -> Result<Ways, Error> {
        let routes = self.0.get_routes().await.map_err(Error::kernel("list routes"))?;
        let own = routes.iter().filter(|route| route.protocol() == PEERS);
        let way = |route: &RouteMessage| {
            let range = IpNet::new(*route.destination()?, route.dst_len()).ok()?;
            Some((range, *route.gateway()?))
        };
        Ok(own.filter_map(way).collect())
    }

    /// `range` lies behind the node at `gateway`.
    pub async fn add_peer_route(&self, range: IpNet, gateway: IpAddr) -> Result<(), Error> {
        let result = match (range, gateway) {
            (IpNet::V4(net), IpAddr::V4(gateway)) => {
                let route = Ipv4Route::from_addr(net.network(), net.prefix_len());
                self.0.replace_route(route.gateway(gateway).protocol(PEERS)).await
            }
            (IpNet::V6(net), IpAddr::V6(gateway)) => {
                let route = Ipv6Route::from_addr(net.network(), net.prefix_len());
                self.0.replace_route(route.gateway(gateway).protocol(PEERS)).await
            }
            _ => return Err(Error::Config(format!("{gateway} is no way to {range}: another family"))),
        };
        result.map_err(Error::kernel(format!("add the route to {range} by {gateway}")))
    }

    pub async fn remove_peer_route(&self, range: IpNet) -> Result<(), Error> {
        let result = match range {
            IpNet::V4(net) => {
                let route = Ipv4Route::from_addr(net.network(), net.prefix_len());
                // Without a gateway the route would be taken for one of a link.
                self.0.del_route_if_exists(route.protocol(PEERS).scope(RouteScope::Universe)).await
            }
            IpNet::V6(net) => {
                let route = Ipv6Route::from_addr(net.network(), net.prefix_len());
                self.0.del_route_if_exists(route.protocol(PEERS)).await
            }
        };
        result.map(drop).map_err(Error::kernel(format!("remove the route to {range}")))
    }

    /// `range` is on this link; `source` is the node's address towards it.
    pub async fn add_on_link(&self, index: u32, range: IpNet, source: Option<IpAddr>) -> Result<(), Error> {
        let result = match (range, source) {
            (IpNet::V4(net), source) => {
                let mut route = Ipv4Route::from_addr(net.network(), net.prefix_len()).dev_index(index);
                if let Some(IpAddr::V4(source)) = source {
                    route = route.prefsrc(source);
                }
                self.0.replace_route(route.scope(RouteScope::Link)).await
            }
            (IpNet::V6(net), source) => {
                let mut route = Ipv6Route::from_addr(net.network(), net.prefix_len()).dev_index(index);
                if let Some(IpAddr::V6(source)) = source {
                    route = route.prefsrc(source);
                }
                self.0.replace_route(route).await
            }
        };
        result.map_err(Error::kernel(format!("add the route to {range}")))
    }

    /// Makes the pod's link with both ends, and everything that routes over it.
    pub async fn connect(&self, pod: &File, ends: &Ends<'_>) -> Result<(), Error> {
        let action = |what: &str| Error::kernel(format!("{what} {}", ends.host));
        let veth = VethLink::new(ends.host, POD_LINK)
            .peer_netns_fd(pod)
            .mtu(ends.mtu)
            .address(ends.host_mac)
            .peer_address(ends.pod_mac);
        self.0.add_link(veth).await.map_err(action("make the link"))?;
        let host = self
            .index(ends.host)
            .await?
            .ok_or_else(|| Error::Config(format!("the link {} went away while it was set up", ends.host)))?;
        self.up(host).await?;
        for (address, gateway) in ends.addresses.iter().zip(ends.gateways) {
            self.add_on_link(host, IpNet::from(*address), Some(*gateway)).await?;
            self.add_neighbor(host, *address, ends.pod_mac).await?;
        }
        inside(pod, ends).await
    }

    /// Both ends know each other, so that nobody has to ask.
    async fn add_neighbor(&self, index: u32, address: IpAddr, mac: [u8; 6]) -> Result<(), Error> {
        let neighbor = Neighbor::with_index(index, address).lladdr(mac).permanent();
        self.0.replace_neighbor(neighbor).await.map_err(Error::kernel(format!("add the neighbour {address}")))
    }

    async fn add_default(&self, index: u32, gateway: IpAddr) -> Result<(), Error> {
        let result = match gateway {
            IpAddr::V4(gateway) => {
                self.0
                    .replace_route(Ipv4Route::default_route().gateway(gateway).dev_index(index).onlink())
                    .await
            }
            IpAddr::V6(gateway) => {
                self.0
                    .replace_route(Ipv6Route::default_route().gateway(gateway).dev_index(index).onlink())
                    .await
            }
        };
        result.map_err(Error::kernel(format!("add the default route by {gateway}")))
    }
}

/// The pod's end: loopback, addresses, the gateway and the way to it.
async fn inside(pod: &File, ends: &Ends<'_>) -> Result<(), Error> {
    let links = Links(
        Connection::<Route>::new_in(pod.as_fd()).map_err(Error::kernel("enter a pod's network namespace"))?,
    );
    links.up(LOOPBACK).await?;
    let eth0 = links
        .index(POD_LINK)
        .await?
        .ok_or_else(|| Error::Config("the pod's end of its link went away while it was set up".into()))?;
    links.up(eth0).await?;
    for (address, gateway) in ends.addresses.iter().zip(ends.gateways) {
        links.add_address(eth0, *address).await?;
        links.add_neighbor(eth0, *gateway, ends.host_mac).await?;
        links.add_default(eth0, *gateway).await?;
    }
    Ok(())
}
