//! Real packets through the pod network, in namespaces of their own.

mod namespaces;

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};

use namespaces::{Namespace, command, ip, on_a_node};
use network::{Config, HostPort, PodNetwork, Protocol, Request};

fn config(directory: &tempfile::TempDir) -> Config {
    let ranges = |words: [&str; 2]| words.iter().map(|word| word.parse().unwrap()).collect();
    Config::new(
        directory.path(),
        ranges(["10.42.0.0/16", "fd42::/64"]),
        ranges(["10.96.0.0/16", "fd96::/112"]),
    )
}

async fn pod(network: &PodNetwork, id: &str, request: Request) -> (Namespace, Vec<IpAddr>) {
    let namespace = Namespace::new();
    let attachment = network.attach(id, &namespace.path(), &request).await.unwrap();
    (namespace, attachment.addresses)
}

fn at(address: IpAddr, port: u16) -> SocketAddr {
    (address, port).into()
}

/// A neighbour of the node on `wan`, with no way to pods.
fn outside() -> Namespace {
    let outside = Namespace::new();
    ip(&format!("link add wan type veth peer name wan netns {}", outside.path().display()));
    ip("addr add 198.51.100.1/24 dev wan");
    ip("link set wan up");
    outside.run(|| {
        ip("link set lo up");
        ip("addr add 198.51.100.2/24 dev wan");
        ip("link set wan up");
    });
    outside
}

#[test]
fn pods_reach_each_other_the_node_and_themselves() {
    on_a_node(|| async {
        let directory = tempfile::tempdir().unwrap();
        let network = PodNetwork::open(config(&directory)).await.unwrap();
        let (a, a_ips) = pod(&network, "a", Request::default()).await;
        let (b, b_ips) = pod(&network, "b", Request::default()).await;
        assert_eq!(a_ips, ["10.42.0.2".parse::<IpAddr>().unwrap(), "fd42::2".parse().unwrap()]);
        for (index, ip) in b_ips.iter().enumerate() {
            b.serve_tcp("b", at(*ip, 80));
            let said = a.ask_tcp(at(*ip, 80)).unwrap();
            assert_eq!(said, format!("b saw {}", a_ips[index]), "pod to pod keeps its source");
            assert_eq!(b.ask_tcp(at(*ip, 80)).unwrap(), format!("b saw {ip}"));
            let node = Namespace::current();
            let gateway = network.config().gateways()[index];
            assert_eq!(node.ask_tcp(at(*ip, 80)).unwrap(), format!("b saw {gateway}"));
            node.serve_tcp("node", at(gateway, 81));
            assert_eq!(a.ask_tcp(at(gateway, 81)).unwrap(), format!("node saw {}", a_ips[index]));
        }
    });
}

#[test]
fn nothing_leaks_from_pods_or_node() {
    on_a_node(|| async {
        let directory = tempfile::tempdir().unwrap();
        let outside = outside();
        // The worst case: a route that would carry all of it away.
        ip("route add 10.0.0.0/8 via 198.51.100.2");
        let network = PodNetwork::open(config(&directory)).await.unwrap();
        let (pod, _) = pod(&network, "a", Request::default()).await;
        let node = Namespace::current();
        command("nft", "add table netdev watch");
        command("nft", "add chain netdev watch out { type filter hook egress device wan priority 0 ; }");
        command("nft", "add rule netdev watch out ip daddr { 10.42.0.0/16, 10.96.0.0/16 } counter");
        for who in [&pod, &node] {
            let refused = who.ask_tcp(at("10.96.7.7".parse().unwrap(), 80)).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "{refused}");
            let refused = who.ask_udp(at("10.96.7.7".parse().unwrap(), 53)).unwrap_err();
            // The kernel tells a sender on the node itself in its own way.
            let kinds = [ErrorKind::ConnectionRefused, ErrorKind::PermissionDenied];
            assert!(kinds.contains(&refused.kind()), "{refused}");
            let unreachable = who.ask_tcp(at("10.42.9.9".parse().unwrap(), 80)).unwrap_err();
            assert_eq!(unreachable.kind(), ErrorKind::HostUnreachable, "{unreachable}");
            let refused = who.ask_tcp(at("fd96::77".parse().unwrap(), 80)).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "{refused}");
            assert!(who.ask_tcp(at("fd42::9:9".parse().unwrap(), 80)).is_err());
        }
        let counted = command("nft", "list chain netdev watch out");
        assert!(counted.contains("packets 0 "), "{counted}");
        // The watch itself sees what does leave: the pod, masqueraded.
        outside.serve_tcp("outside", at("198.51.100.2".parse().unwrap(), 80));
        let said = pod.ask_tcp(at("198.51.100.2".parse().unwrap(), 80)).unwrap();
        assert_eq!(said, "outside saw 198.51.100.1");
    });
}

#[test]
fn host_ports_lead_to_the_pod() {
    on_a_node(|| async {
        let directory = tempfile::tempdir().unwrap();
        let outside = outside();
        let network = PodNetwork::open(config(&directory)).await.unwrap();
        let port = |host_ip: Option<&str>, host_port, protocol| HostPort {
            host_ip: host_ip.map(|ip| ip.parse().unwrap()),
            host_port,
            container_port: 80,
            protocol,
        };
        let request = Request {
            host_ports: vec![
                port(None, 8080, Protocol::Tcp),
                port(Some("198.51.100.1"), 8081, Protocol::Tcp),
                port(Some("192.0.2.9"), 8082, Protocol::Tcp),
                port(None, 8080, Protocol::Udp),
            ],
            ..Request::default()
        };
        let (a, ips) = pod(&network, "a", request).await;
        a.serve_tcp("a", at(ips[0], 80));
        a.serve_udp("a", at(ips[0], 80));
        let wan = "198.51.100.1".parse().unwrap();
        assert_eq!(outside.ask_tcp(at(wan, 8080)).unwrap(), "a saw 198.51.100.2");
        assert_eq!(outside.ask_tcp(at(wan, 8081)).unwrap(), "a saw 198.51.100.2");
        assert_eq!(outside.ask_udp(at(wan, 8080)).unwrap(), "a saw 198.51.100.2");
        assert!(outside.ask_tcp(at(wan, 8082)).is_err());
        // Through the node back to itself: the node's address stands between.
        assert_eq!(a.ask_tcp(at(wan, 8080)).unwrap(), "a saw 10.42.0.1");
        assert!(Namespace::current().ask_tcp(at(wan, 8080)).is_ok());
        let taken = Request { host_ports: vec![port(None, 8081, Protocol::Tcp)], ..Request::default() };
        let error = network.attach("b", &Namespace::new().path(), &taken).await.unwrap_err();
        assert!(error.to_string().contains("8081"), "{error}");
        network.detach("a").await.unwrap();
        assert!(outside.ask_tcp(at(wan, 8080)).is_err());
    });
}

#[test]
fn addresses_survive_a_restart_and_garbage_does_not() {
    on_a_node(|| async {
        let directory = tempfile::tempdir().unwrap();
        let network = PodNetwork::open(config(&directory)).await.unwrap();
        let (a, a_ips) = pod(&network, "a", Request::default()).await;
        let (_b, _) = pod(&network, "b", Request::default()).await;
        a.serve_tcp("a", at(a_ips[0], 80));
        drop(network); // as kill -9 would: nothing is taken back

        ip("link add ctnstray type veth peer name stray");
        let network = PodNetwork::open(config(&directory)).await.unwrap();
        assert_eq!(network.attached(), ["a", "b"]);
        assert_eq!(network.attachment("a").unwrap().addresses, a_ips);
        assert_eq!(network.attach("a", &a.path(), &Request::default()).await.unwrap().addresses, a_ips);
        assert!(Namespace::current().ask_tcp(at(a_ips[0], 80)).is_ok());
        assert!(!ip("link show").contains("ctnstray"));
        let (_c, c_ips) = pod(&network, "c", Request::default()).await;
        assert_eq!(c_ips[0], "10.42.0.4".parse::<IpAddr>().unwrap());

        let live = BTreeSet::from(["a".to_owned()]);
        assert_eq!(network.reclaim(&live).await.unwrap(), ["b", "c"]);
        assert_eq!(network.attached(), ["a"]);
        network.detach("a").await.unwrap();
        network.detach("a").await.unwrap();
        assert!(!ip("link show").contains("ctn"));
    });
}

#[test]
fn an_attachment_that_broke_off_is_finished() {
    on_a_node(|| async {
        let directory = tempfile::tempdir().unwrap();
        let network = PodNetwork::open(config(&directory)).await.unwrap();
        network.attach("a", "/proc/self/no-such-namespace".as_ref(), &Request::default()).await.unwrap_err();
        assert_eq!(network.attachment("a"), None);
        let (a, ips) = pod(&network, "a", Request::default()).await;
        a.serve_tcp("a", at(ips[0], 80));
        assert_eq!(ips[0], "10.42.0.2".parse::<IpAddr>().unwrap());
        assert!(Namespace::current().ask_tcp(at(ips[0], 80)).is_ok());
    });
}

#[test]
fn the_table_is_healed_after_somebody_flushed_it() {
    on_a_node(|| async {
        let directory = tempfile::tempdir().unwrap();
        let network = PodNetwork::open(config(&directory)).await.unwrap();
        let before = command("nft", "list table inet corten");
        command("nft", "flush ruleset");
        let (_a, _) = pod(&network, "a", Request::default()).await;
        network.detach("a").await.unwrap();
        assert_eq!(command("nft", "list table inet corten"), before);
    });
}

#[test]
fn teardown_leaves_nothing() {
    on_a_node(|| async {
        let directory = tempfile::tempdir().unwrap();
        let picture =
            || [ip("addr show"), ip("route show table all"), ip("-6 route show table all")].concat();
        let before = picture();
        let network = PodNetwork::open(config(&directory)).await.unwrap();
        let (_a, _) = pod(&network, "a", Request::default()).await;
        assert_ne!(picture(), before);
        PodNetwork::teardown(&config(&directory)).await.unwrap();
        assert_eq!(picture(), before);
        assert_eq!(command("nft", "list tables"), "");
        PodNetwork::teardown(&config(&directory)).await.unwrap();
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    });
}

#[test]
fn attaching_is_fast() {
    on_a_node(|| async {
        let directory = tempfile::tempdir().unwrap();
        let network = PodNetwork::open(config(&directory)).await.unwrap();
        let pods: Vec<_> = (0..30).map(|n| (format!("pod-{n}"), Namespace::new())).collect();
        let start = tokio::time::Instant::now();
        for (id, namespace) in &pods {
            network.attach(id, &namespace.path(), &Request::default()).await.unwrap();
        }
        let each = start.elapsed() / 30;
        println!("attach: {each:?} a pod");
        assert!(each.as_millis() < 50, "{each:?}");
    });
}
