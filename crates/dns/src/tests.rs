//! Answers by tables, and a server that is asked over real sockets.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use edge::Edge;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::BinDecodable;
use informer::ObjectKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use crate::{Answer, Config, Endpoint, Port, Server, Service, Slice, View, answer};

#[derive(Default)]
struct Fixture {
    services: BTreeMap<ObjectKey, Arc<Service>>,
    slices: Vec<Arc<Slice>>,
}

impl View for Fixture {
    fn has_namespace(&self, name: &str) -> bool {
        ["default", "prod"].contains(&name)
    }

    fn service(&self, namespace: &str, name: &str) -> Option<Arc<Service>> {
        self.services.get(&ObjectKey::new(namespace, name)).cloned()
    }

    fn slices(&self, namespace: &str, service: &str) -> Vec<Arc<Slice>> {
        let own = |slice: &&Arc<Slice>| slice.key.namespace == namespace && slice.service == service;
        self.slices.iter().filter(own).cloned().collect()
    }

    fn services_at(&self, address: IpAddr) -> Vec<Arc<Service>> {
        self.services.values().filter(|service| service.cluster_ips.contains(&address)).cloned().collect()
    }

    fn slices_at(&self, address: IpAddr) -> Vec<Arc<Slice>> {
        let there = |slice: &&Arc<Slice>| slice.endpoints.iter().any(|endpoint| endpoint.address == address);
        self.slices.iter().filter(there).cloned().collect()
    }
}

fn cluster() -> Fixture {
    let port = |name: &str, number| Port { name: name.into(), protocol: "tcp".into(), number };
    let mut services = BTreeMap::new();
    let mut add = |name: &str, cluster_ips: &[&str], external_name: Option<&str>| {
        let key = ObjectKey::new("default", name);
        let service = Service {
            key: key.clone(),
            cluster_ips: cluster_ips.iter().map(|ip| ip.parse().unwrap()).collect(),
            ports: vec![port("http", 80), port("", 81)],
            external_name: external_name.map(str::to_owned),
        };
        services.insert(key, Arc::new(service));
    };
    add("web", &["10.96.0.7", "fd96::7"], None);
    add("db", &[], None);
    add("empty", &[], None);
    add("outside", &[], Some("Example.org"));
    add("alias", &[], Some("web.default.svc.cluster.local"));
    add("loop", &[], Some("loop.default.svc.cluster.local"));
    let endpoint = |address: &str, hostname: Option<&str>| Endpoint {
        address: address.parse().unwrap(),
        hostname: hostname.map(str::to_owned),
    };
    let slice = Slice {
        key: ObjectKey::new("default", "db-x"),
        service: "db".into(),
        ports: vec![port("http", 8080)],
        endpoints: vec![endpoint("10.42.0.3", Some("db-1")), endpoint("10.42.0.2", None)],
    };
    Fixture { services, slices: vec![Arc::new(slice)] }
}

fn config() -> Config {
    Config::new("cluster.local", vec!["10.42.0.0/16".parse().unwrap(), "10.96.0.0/16".parse().unwrap()])
}

fn name(text: &str) -> Name {
    Name::from_ascii(format!("{text}.")).unwrap()
}

/// The data of the answers, or what stands in their place.
fn ask(text: &str, kind: RecordType) -> String {
    match answer(&name(text), kind, &cluster(), &config()) {
        Answer::Records { answers, unfinished, .. } => {
            let mut words: Vec<_> = answers.iter().map(|record| record.data.to_string()).collect();
            words.extend(unfinished.map(|name| format!("ask {name}")));
            words.join(", ")
        }
        Answer::NoData(_) => "no data".into(),
        Answer::NoName(_) => "no name".into(),
        Answer::Elsewhere => "elsewhere".into(),
    }
}

#[test]
fn names_of_the_specification() {
    use RecordType::{A, AAAA, CNAME, MX, NS, PTR, SOA, SRV, TXT};
    let cases = [
        ("web.default.svc.cluster.local", A, "10.96.0.7"),
        ("WEB.Default.svc.CLUSTER.local", A, "10.96.0.7"),
        ("web.default.svc.cluster.local", AAAA, "fd96::7"),
        ("web.default.svc.cluster.local", MX, "no data"),
        ("web.prod.svc.cluster.local", A, "no name"),
        ("web.nowhere.svc.cluster.local", A, "no name"),
        ("x.web.default.svc.cluster.local", A, "no name"),
        ("_http._tcp.web.default.svc.cluster.local", SRV, "0 100 80 web.default.svc.cluster.local."),
        ("_http._tcp.web.default.svc.cluster.local", A, "no data"),
        ("_http._udp.web.default.svc.cluster.local", SRV, "no name"),
        ("_none._tcp.web.default.svc.cluster.local", SRV, "no name"),
        ("_tcp.web.default.svc.cluster.local", SRV, "no data"),
        // headless
        ("db.default.svc.cluster.local", A, "10.42.0.2, 10.42.0.3"),
        ("db.default.svc.cluster.local", AAAA, "no data"),
        ("db-1.db.default.svc.cluster.local", A, "10.42.0.3"),
        ("10-42-0-2.db.default.svc.cluster.local", A, "10.42.0.2"),
        ("db-9.db.default.svc.cluster.local", A, "no name"),
        (
            "_http._tcp.db.default.svc.cluster.local",
            SRV,
            "0 100 8080 10-42-0-2.db.default.svc.cluster.local., 0 100 8080 db-1.db.default.svc.cluster.local.",
        ),
        ("empty.default.svc.cluster.local", A, "no data"),
        // external names
        ("outside.default.svc.cluster.local", A, "example.org., ask example.org."),
        ("outside.default.svc.cluster.local", CNAME, "example.org."),
        ("alias.default.svc.cluster.local", A, "web.default.svc.cluster.local., 10.96.0.7"),
        // pods
        ("10-42-0-9.default.pod.cluster.local", A, "10.42.0.9"),
        ("fd42--9.default.pod.cluster.local", AAAA, "fd42::9"),
        ("10-42-0-9.default.pod.cluster.local", AAAA, "no data"),
        ("10-42-0-9.nowhere.pod.cluster.local", A, "no name"),
        ("nonsense.default.pod.cluster.local", A, "no name"),
        // addresses
        ("7.0.96.10.in-addr.arpa", PTR, "web.default.svc.cluster.local."),
        ("7.0.96.10.in-addr.arpa", A, "no data"),
        ("3.0.42.10.in-addr.arpa", PTR, "db-1.db.default.svc.cluster.local."),
        ("8.0.96.10.in-addr.arpa", PTR, "no name"),
        ("1.2.0.192.in-addr.arpa", PTR, "elsewhere"),
        (
            "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.d.f.ip6.arpa",
            PTR,
            "web.default.svc.cluster.local.",
        ),
        // the zone
        ("dns-version.cluster.local", TXT, "1.1.0"),
        ("dns-version.cluster.local", A, "no data"),
        ("svc.cluster.local", A, "no data"),
        ("default.svc.cluster.local", A, "no data"),
        ("nowhere.svc.cluster.local", A, "no name"),
        ("cluster.local", A, "no data"),
        ("cluster.local", NS, "ns.dns.cluster.local."),
        ("cluster.local", SOA, "ns.dns.cluster.local. hostmaster.cluster.local. 1 7200 1800 86400 5"),
        ("other.cluster.local", A, "no name"),
        ("example.org", A, "elsewhere"),
        ("example.org.default.svc.cluster.local", A, "no name"),
        ("local", A, "elsewhere"),
    ];
    for (text, kind, expected) in cases {
        assert_eq!(ask(text, kind), expected, "{text} {kind}");
    }
}

#[test]
fn an_alias_of_itself_ends() {
    assert!(ask("loop.default.svc.cluster.local", RecordType::A).matches("loop").count() <= 8);
}

#[test]
fn targets_of_srv_come_with_their_addresses() {
    let asked = name("_http._tcp.web.default.svc.cluster.local");
    let Answer::Records { additional, .. } = answer(&asked, RecordType::SRV, &cluster(), &config()) else {
        panic!("no records");
    };
    let words: Vec<_> = additional.iter().map(|record| record.data.to_string()).collect();
    assert_eq!(words, ["10.96.0.7", "fd96::7"]);
}

fn question(text: &str, payload: Option<u16>) -> Message {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name(text), RecordType::A));
    if let Some(payload) = payload {
        let mut edns = Edns::new();
        edns.set_max_payload(payload);
        message.set_edns(edns);
    }
    message
}

async fn over_udp(server: SocketAddr, bytes: &[u8]) -> Message {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(bytes, server).await.unwrap();
    let mut buffer = vec![0; 4096];
    let wait = tokio::time::timeout(std::time::Duration::from_secs(5), socket.recv(&mut buffer));
    let length = wait.await.expect("an answer in time").unwrap();
    Message::from_bytes(&buffer[..length]).unwrap()
}

async fn over_tcp(server: SocketAddr, message: &Message) -> Message {
    let mut stream = TcpStream::connect(server).await.unwrap();
    let bytes = message.to_vec().unwrap();
    stream.write_u16(bytes.len() as u16).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    let mut answer = vec![0; stream.read_u16().await.unwrap().into()];
    stream.read_exact(&mut answer).await.unwrap();
    Message::from_bytes(&answer).unwrap()
}

fn start(edge: &Edge, view: Fixture, upstreams: Vec<SocketAddr>) -> SocketAddr {
    let listen = ["127.0.0.1:0".parse().unwrap()];
    let view = Arc::new(view);
    // A port that UDP was given may be somebody's over TCP.
    let mut tries = (0..20).map(|_| Server::start(edge, view.clone(), config(), &listen, upstreams.clone()));
    tries.find_map(Result::ok).expect("a port that is free for both").addresses()[0]
}

#[tokio::test]
async fn a_server_answers_over_udp_and_tcp() {
    let edge = Edge::system();
    let server = start(&edge, cluster(), Vec::new());
    let asked = question("web.default.svc.cluster.local", None);
    for said in [over_udp(server, &asked.to_vec().unwrap()).await, over_tcp(server, &asked).await] {
        assert_eq!(said.metadata.id, 7);
        assert!(said.metadata.authoritative && said.metadata.recursion_available);
        assert_eq!(said.answers[0].data.to_string(), "10.96.0.7");
        assert_eq!(said.answers[0].ttl, 5);
    }
    let said = over_udp(server, &question("no.default.svc.cluster.local", None).to_vec().unwrap()).await;
    assert_eq!(said.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(said.authorities[0].record_type(), RecordType::SOA);
    // Nobody to ask: refused at once.
    let said = over_udp(server, &question("example.org", None).to_vec().unwrap()).await;
    assert_eq!(said.metadata.response_code, ResponseCode::Refused);
    edge.tasks.stop();
}

#[tokio::test]
async fn bad_messages_are_answered_or_passed_over() {
    let edge = Edge::system();
    let server = start(&edge, cluster(), Vec::new());
    let mut garbage = question("web.default.svc.cluster.local", None).to_vec().unwrap();
    garbage.truncate(20);
    assert_eq!(over_udp(server, &garbage).await.metadata.response_code, ResponseCode::FormErr);
    let mut update = question("cluster.local", None);
    update.metadata.op_code = OpCode::Update;
    update.queries.clear();
    assert_eq!(
        over_udp(server, &update.to_vec().unwrap()).await.metadata.response_code,
        ResponseCode::NotImp
    );
    let none = Message::new(7, MessageType::Query, OpCode::Query);
    assert_eq!(over_udp(server, &none.to_vec().unwrap()).await.metadata.response_code, ResponseCode::FormErr);
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for silent in [&b""[..], b"abc", &Message::response(7, OpCode::Query).to_vec().unwrap()] {
        socket.send_to(silent, server).await.unwrap();
    }
    let mut buffer = [0; 512];
    let wait = tokio::time::timeout(std::time::Duration::from_millis(200), socket.recv(&mut buffer));
    assert!(wait.await.is_err());
    edge.tasks.stop();
}

#[tokio::test]
async fn long_answers_are_cut_over_udp_and_whole_over_tcp() {
    let mut view = cluster();
    let endpoint = |number: u32| Endpoint {
        address: IpAddr::from((0x0a2a_0100 + number).to_be_bytes()),
        hostname: None,
    };
    let slice = Slice { endpoints: (0..200).map(endpoint).collect(), ..(*view.slices[0]).clone() };
    view.slices = vec![Arc::new(slice)];
    let edge = Edge::system();
    let server = start(&edge, view, Vec::new());
    for (payload, limit) in [(None, 512), (Some(1232), 1232), (Some(4096), 1232), (Some(100), 512)] {
        let asked = question("db.default.svc.cluster.local", payload);
        let said = over_udp(server, &asked.to_vec().unwrap()).await;
        assert!(said.metadata.truncation, "{payload:?}");
        assert!(said.to_vec().unwrap().len() <= limit, "{payload:?}");
        assert_eq!(said.edns.is_some(), payload.is_some());
        let said = over_tcp(server, &asked).await;
        assert!(!said.metadata.truncation);
        assert_eq!(said.answers.len(), 200);
    }
    edge.tasks.stop();
}

#[tokio::test]
async fn other_names_come_from_the_name_servers_and_are_kept() {
    let edge = Edge::system();
    let upstream = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = upstream.local_addr().unwrap();
    let counted = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counter = counted.clone();
    edge.tasks.spawn(async move {
        let mut buffer = vec![0; 1500];
        while let Ok((length, peer)) = upstream.recv_from(&mut buffer).await {
            counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let asked = Message::from_bytes(&buffer[..length]).unwrap();
            let mut said = Message::response(asked.metadata.id, OpCode::Query);
            said.add_query(asked.queries[0].clone());
            let data = RData::A(A([192, 0, 2, 80].into()));
            said.add_answer(Record::from_rdata(asked.queries[0].name.clone(), 60, data));
            // A forger's answer with another id comes first and is passed over.
            let mut forged = said.clone();
            forged.metadata.id ^= 1;
            upstream.send_to(&forged.to_vec().unwrap(), peer).await.unwrap();
            upstream.send_to(&said.to_vec().unwrap(), peer).await.unwrap();
        }
    });
    let server = start(&edge, cluster(), vec![address]);
    for _ in 0..3 {
        let said = over_udp(server, &question("example.org", None).to_vec().unwrap()).await;
        assert_eq!(said.metadata.id, 7);
        assert_eq!(said.answers[0].data.to_string(), "192.0.2.80");
    }
    assert_eq!(counted.load(std::sync::atomic::Ordering::SeqCst), 1);
    let said = over_udp(server, &question("outside.default.svc.cluster.local", None).to_vec().unwrap()).await;
    let words: Vec<_> = said.answers.iter().map(|record| record.data.to_string()).collect();
    assert_eq!(words, ["example.org.", "192.0.2.80"]);
    edge.tasks.stop();
}

#[tokio::test]
async fn name_servers_out_of_reach_fail_the_question() {
    let edge = Edge::system();
    // A port on loopback that nobody listens on.
    let closed = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let server = start(&edge, cluster(), vec![closed]);
    let said = over_udp(server, &question("example.org", None).to_vec().unwrap()).await;
    assert_eq!(said.metadata.response_code, ResponseCode::ServFail);
    edge.tasks.stop();
}
