//! Real packets through services, in network namespaces of their own, and the
//! proxy following an API.

mod api;
#[path = "../../../network/tests/it/namespaces.rs"]
mod namespaces;

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};

use edge::Edge;
use informer::ObjectKey;
use namespaces::{Namespace, ip, on_a_node};
use network::conntrack::Conntrack;
use network::rules::SERVICES_TABLE;
use network::{Config, PodNetwork, Protocol, Request, Rules};
use proxy::{Affinity, Endpoint, Node, Service, ServicePort, Slice, SlicePort, Table, Update};

/// A node with a pod network and a table of services.
struct World {
    network: PodNetwork,
    rules: Rules,
    conntrack: Conntrack,
    table: Table,
    _directory: tempfile::TempDir,
}

fn node() -> Node {
    Node {
        name: "here".into(),
        zone: None,
        cluster_ranges: vec!["10.42.0.0/16".parse().unwrap(), "fd42::/64".parse().unwrap()],
        own_addresses: vec![address("10.96.0.10")],
    }
}

impl World {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ranges = |words: [&str; 2]| words.iter().map(|word| word.parse().unwrap()).collect();
        let mut config = Config::new(
            directory.path(),
            ranges(["10.42.0.0/16", "fd42::/64"]),
            ranges(["10.96.0.0/16", "fd96::/112"]),
        );
        config.local_service_addresses = vec![address("10.96.0.10")];
        let network = PodNetwork::open(config).await.unwrap();
        let rules = Rules::open(SERVICES_TABLE).unwrap();
        let table = Table::new(node());
        rules.replace(table.rules()).await.unwrap();
        Self { network, rules, conntrack: Conntrack::open().unwrap(), table, _directory: directory }
    }

    /// A pod that answers on TCP and UDP 8080 with its name, in both families.
    async fn pod(&self, name: &'static str) -> (Namespace, Vec<IpAddr>) {
        let namespace = Namespace::new();
        let attachment = self.network.attach(name, &namespace.path(), &Request::default()).await.unwrap();
        for address in &attachment.addresses {
            namespace.serve_tcp(name, (*address, 8080));
            namespace.serve_udp(name, (*address, 8080));
        }
        (namespace, attachment.addresses)
    }

    async fn set(&mut self, service: &Service, slices: &[Slice]) {
        let mut update = Update::default();
        let slices: Vec<_> = slices.iter().collect();
        self.table.set(&service.key, Some(service), &slices, &mut update);
        self.rules.change(&update.changes).await.unwrap();
        for flows in &update.stale {
            self.conntrack.forget(flows).await.unwrap();
        }
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn at(ip: &str, port: u16) -> SocketAddr {
    (address(ip), port).into()
}

/// A Service `web` at 10.96.0.7 and fd96::7, port 80 of TCP and UDP.
fn service() -> Service {
    let port =
        |name: &str, protocol, node_port| ServicePort { name: name.into(), protocol, port: 80, node_port };
    Service {
        key: ObjectKey::new("default", "web"),
        cluster_ips: vec![address("10.96.0.7"), address("fd96::7")],
        ports: vec![port("tcp", Protocol::Tcp, 30080), port("udp", Protocol::Udp, 30080)],
        ..Service::default()
    }
}

fn slices(pods: &[&[IpAddr]]) -> Vec<Slice> {
    let port = |name: &str, protocol| SlicePort { name: name.into(), protocol, port: 8080 };
    [0, 1]
        .iter()
        .map(|family| Slice {
            key: ObjectKey::new("default", format!("web-{family}")),
            service: "web".into(),
            ports: vec![port("tcp", Protocol::Tcp), port("udp", Protocol::Udp)],
            endpoints: pods
                .iter()
                .map(|addresses| Endpoint {
                    address: addresses[*family],
                    node: Some("here".into()),
                    ready: true,
                    serving_while_terminating: false,
                    for_nodes: Vec::new(),
                    for_zones: Vec::new(),
                })
                .collect(),
        })
        .collect()
}

/// A client outside of the cluster, on a link of its own.
fn outside() -> Namespace {
    let outside = Namespace::new();
    ip(&format!("link add wan type veth peer name wan netns {}", outside.path().display()));
    ip("addr add 198.51.100.1/24 dev wan");
    ip("link set wan up");
    outside.run(|| {
        ip("addr add 198.51.100.2/24 dev wan");
        ip("link set wan up");
    });
    outside
}

fn who(said: std::io::Result<String>) -> String {
    said.unwrap().split(' ').next().unwrap().to_owned()
}

#[test]
fn a_cluster_address_spreads_over_its_pods() {
    on_a_node(|| async {
        let mut world = World::new().await;
        let (client, client_ips) = world.pod("client").await;
        let (_a, a_ips) = world.pod("a").await;
        let (b, b_ips) = world.pod("b").await;
        world.set(&service(), &slices(&[&a_ips, &b_ips])).await;
        let node = Namespace::current();
        for frontend in ["10.96.0.7", "fd96::7"] {
            let answered: BTreeSet<_> = (0..40).map(|_| who(client.ask_tcp(at(frontend, 80)))).collect();
            assert_eq!(answered, BTreeSet::from(["a".to_owned(), "b".to_owned()]), "{frontend}");
            let answered: BTreeSet<_> = (0..40).map(|_| who(client.ask_udp(at(frontend, 80)))).collect();
            assert_eq!(answered, BTreeSet::from(["a".to_owned(), "b".to_owned()]), "{frontend}");
            assert!(["a", "b"].contains(&who(node.ask_tcp(at(frontend, 80))).as_str()));
        }
        let said = client.ask_tcp(at("10.96.0.7", 80)).unwrap();
        assert!(said.ends_with(&format!("saw {}", client_ips[0])), "a pod keeps its source: {said}");
        // b reaches itself too.
        world.set(&service(), &slices(&[&b_ips])).await;
        assert_eq!(b.ask_tcp(at("10.96.0.7", 80)).unwrap(), "b saw 10.42.0.1");
        assert_eq!(b.ask_tcp(at("fd96::7", 80)).unwrap(), "b saw fd42::1");
    });
}

#[test]
fn without_endpoints_a_service_refuses_at_once() {
    on_a_node(|| async {
        let mut world = World::new().await;
        let (client, _) = world.pod("client").await;
        let outside = outside();
        let service = Service { external_ips: vec![address("198.51.100.9")], ..service() };
        world.set(&service, &[]).await;
        outside.run(|| drop(ip("route add 198.51.100.9/32 via 198.51.100.1")));
        for (who, to) in [
            (&client, at("10.96.0.7", 80)),
            (&client, at("fd96::7", 80)),
            (&Namespace::current(), at("10.96.0.7", 80)),
            (&outside, at("198.51.100.1", 30080)),
            (&outside, at("198.51.100.9", 80)),
        ] {
            let start = tokio::time::Instant::now();
            let error = who.ask_tcp(to).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{to}: {error}");
            assert!(start.elapsed().as_millis() < 500, "{to}: {:?}", start.elapsed());
        }
        assert!(client.ask_udp(at("10.96.0.7", 80)).is_err());
    });
}

#[test]
fn node_ports_and_outside_addresses() {
    on_a_node(|| async {
        let mut world = World::new().await;
        let (client, _) = world.pod("client").await;
        let (_a, a_ips) = world.pod("a").await;
        let outside = outside();
        outside.run(|| drop(ip("route add 198.51.100.9/32 via 198.51.100.1")));
        let mut service = Service { external_ips: vec![address("198.51.100.9")], ..service() };
        world.set(&service, &slices(&[&a_ips])).await;
        let node = Namespace::current();
        assert_eq!(outside.ask_tcp(at("198.51.100.1", 30080)).unwrap(), "a saw 10.42.0.1");
        assert_eq!(outside.ask_udp(at("198.51.100.1", 30080)).unwrap(), "a saw 10.42.0.1");
        assert_eq!(outside.ask_tcp(at("198.51.100.9", 80)).unwrap(), "a saw 10.42.0.1");
        assert_eq!(who(node.ask_tcp(at("198.51.100.1", 30080))), "a");
        assert_eq!(who(client.ask_tcp(at("198.51.100.1", 30080))), "a");
        assert_eq!(who(client.ask_tcp(at("10.42.0.1", 30080))), "a");
        assert!(outside.ask_tcp(at("198.51.100.1", 30081)).is_err());

        service.external_local = true;
        world.set(&service, &slices(&[&a_ips])).await;
        assert_eq!(outside.ask_tcp(at("198.51.100.1", 30080)).unwrap(), "a saw 198.51.100.2");
        let mut elsewhere = slices(&[&a_ips]);
        elsewhere.iter_mut().for_each(|slice| slice.endpoints[0].node = Some("there".into()));
        world.set(&service, &elsewhere).await;
        assert!(outside.ask_tcp(at("198.51.100.1", 30080)).is_err());
        assert_eq!(who(client.ask_tcp(at("198.51.100.1", 30080))), "a", "pods go to all endpoints");
        assert_eq!(who(node.ask_tcp(at("198.51.100.1", 30080))), "a");
    });
}

#[test]
fn a_client_stays_with_its_endpoint_until_that_goes() {
    on_a_node(|| async {
        let mut world = World::new().await;
        let (client, _) = world.pod("client").await;
        let mut pods = Vec::new();
        for name in ["a", "b", "c", "d"] {
            pods.push((name, world.pod(name).await));
        }
        let all: Vec<&[IpAddr]> = pods.iter().map(|(_, (_, ips))| ips.as_slice()).collect();
        let service = Service { affinity: Some(Affinity { timeout_seconds: 2 }), ..service() };
        for frontend in ["10.96.0.7", "fd96::7"] {
            world.set(&service, &slices(&all)).await;
            let ask = || who(client.ask_tcp(at(frontend, 80)));
            let first = ask();
            for _ in 0..20 {
                assert_eq!(ask(), first, "{frontend}");
            }
            let rest: Vec<&[IpAddr]> =
                pods.iter().filter(|(name, _)| *name != first).map(|(_, (_, ips))| ips.as_slice()).collect();
            world.set(&service, &slices(&rest)).await;
            let second = ask();
            assert_ne!(second, first);
            for _ in 0..20 {
                assert_eq!(ask(), second, "{frontend}");
            }
            // After the timeout it is free to go elsewhere.
            let mut seen = BTreeSet::new();
            for _ in 0..8 {
                tokio::time::sleep(std::time::Duration::from_millis(2200)).await;
                seen.insert(ask());
                if seen.len() > 1 {
                    break;
                }
            }
            assert!(seen.len() > 1, "{frontend}: {seen:?}");
        }
    });
}

#[test]
fn udp_clients_move_on_when_their_endpoint_goes() {
    on_a_node(|| async {
        let mut world = World::new().await;
        let (client, _) = world.pod("client").await;
        let (_a, a_ips) = world.pod("a").await;
        let (_b, b_ips) = world.pod("b").await;
        world.set(&service(), &slices(&[&a_ips])).await;
        // One socket all along: the same flow for connection tracking.
        let socket = client.run(|| {
            let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
            socket.connect("10.96.0.7:80").unwrap();
            socket.set_read_timeout(Some(namespaces::PATIENCE)).unwrap();
            socket
        });
        let ask = || {
            socket.send(b"?").unwrap();
            let mut buffer = [0; 64];
            let length = socket.recv(&mut buffer).unwrap();
            String::from_utf8_lossy(&buffer[..length]).chars().next().unwrap()
        };
        assert_eq!(ask(), 'a');
        world.set(&service(), &slices(&[&b_ips])).await;
        assert_eq!(ask(), 'b');
    });
}

#[test]
fn the_cluster_dns_address_is_the_nodes_own() {
    on_a_node(|| async {
        let mut world = World::new().await;
        let (client, _) = world.pod("client").await;
        let node = Namespace::current();
        // The Service is there, and has no endpoints.
        let mut kube_dns = service();
        kube_dns.cluster_ips = vec![address("10.96.0.10")];
        kube_dns.ports.iter_mut().for_each(|port| (port.port, port.node_port) = (53, 0));
        world.set(&kube_dns, &[]).await;
        node.serve_udp("dns", at("10.96.0.10", 53));
        node.serve_tcp("dns", at("10.96.0.10", 53));
        assert_eq!(client.ask_udp(at("10.96.0.10", 53)).unwrap(), "dns saw 10.42.0.2");
        assert_eq!(client.ask_tcp(at("10.96.0.10", 53)).unwrap(), "dns saw 10.42.0.2");
        assert!(node.ask_udp(at("10.96.0.10", 53)).is_ok());
        assert_eq!(client.ask_tcp(at("10.96.0.10", 54)).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn thousands_of_services() {
    on_a_node(|| async {
        let mut world = World::new().await;
        let (client, _) = world.pod("client").await;
        let (_a, a_ips) = world.pod("a").await;
        let mut table = Table::new(node());
        let backends = slices(&[&a_ips]);
        let numbered = |number: u32| {
            let cluster = IpAddr::from((0x0a60_1000 + number).to_be_bytes());
            let key = ObjectKey::new("default", format!("s{number}"));
            Service { key, cluster_ips: vec![cluster], ..service() }
        };
        let refs: Vec<_> = backends.iter().collect();
        for number in 0..5000 {
            let mut service = numbered(number);
            service.ports.iter_mut().for_each(|port| port.node_port = 0);
            table.set(&service.key, Some(&service), &refs, &mut Update::default());
        }
        let start = tokio::time::Instant::now();
        world.rules.replace(table.rules()).await.unwrap();
        let whole = start.elapsed();
        world.table = table;
        let mut update = Update::default();
        let one = Service {
            key: ObjectKey::new("default", "one"),
            cluster_ips: vec![address("10.96.0.6")],
            ports: vec![ServicePort { node_port: 0, ..service().ports[0].clone() }],
            ..Service::default()
        };
        let start = tokio::time::Instant::now();
        world.table.set(&one.key, Some(&one), &refs, &mut update);
        world.rules.change(&update.changes).await.unwrap();
        println!("one more TCP service in {:?}", start.elapsed());
        let start = tokio::time::Instant::now();
        world.set(&Service { cluster_ips: vec![address("10.96.0.7")], ..service() }, &backends).await;
        println!("5,000 services in {whole:?}, one more in {:?}", start.elapsed());
        assert_eq!(who(client.ask_tcp(at("10.96.0.7", 80))), "a");
        assert_eq!(who(client.ask_tcp(at("10.96.35.0", 80))), "a");
        assert!(start.elapsed().as_secs() < 5);
    });
}

#[test]
fn the_proxy_follows_the_api() {
    on_a_node(|| async {
        let world = World::new().await;
        let (client, _) = world.pod("client").await;
        let (_a, a_ips) = world.pod("a").await;
        let (_b, b_ips) = world.pod("b").await;
        let api = api::Api::default();
        api.put("services", &api::service("web", "10.96.0.7"));
        api.put("endpointslices", &api::slice("web", &[a_ips[0]]));
        let edge = Edge::system();
        let mut proxy =
            proxy::run(&edge, api.transport(), proxy::nodes(&edge, api.transport()), node()).unwrap();
        proxy.synced().await;
        assert_eq!(who(client.ask_tcp(at("10.96.0.7", 80))), "a");
        api.put("endpointslices", &api::slice("web", &[b_ips[0]]));
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        assert_eq!(who(client.ask_tcp(at("10.96.0.7", 80))), "b");
        // Each is meant for a zone, and the node moves from one to the other.
        let mut both = api::slice("web", &[a_ips[0], b_ips[0]]);
        for zone in ["a", "b"] {
            let hints = format!(r#""hints":{{"forZones":[{{"name":"{zone}"}}]}},"conditions":{{}}"#);
            both = both.replacen(r#""conditions":{"ready":true}"#, &hints, 1);
        }
        api.put("endpointslices", &both);
        for zone in ["a", "b", "a"] {
            let labels = format!(r#""labels":{{"topology.kubernetes.io/zone":"{zone}"}}"#);
            api.put(
                "nodes",
                &format!(r#"{{"apiVersion":"v1","kind":"Node","metadata":{{"name":"here",{labels}}}}}"#),
            );
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            for _ in 0..8 {
                assert_eq!(who(client.ask_tcp(at("10.96.0.7", 80))), zone);
            }
        }
        api.delete("services", "web");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        assert!(client.ask_tcp(at("10.96.0.7", 80)).is_err());
        edge.tasks.stop();
    });
}
