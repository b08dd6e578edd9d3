//! Plans and updates by tables; the whole rule set as a golden.

use std::collections::BTreeSet;
use std::net::IpAddr;

use informer::ObjectKey;
use network::Protocol;
use network::conntrack::Flows;

use crate::{Affinity, Endpoint, Node, Service, ServicePort, Slice, SlicePort, Table, Update, plan};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("default", name)
}

fn node() -> Node {
    Node {
        name: "here".into(),
        zone: Some("a".into()),
        cluster_ranges: vec!["10.42.0.0/16".parse().unwrap()],
        own_addresses: vec![ip("10.96.0.10")],
    }
}

fn service(name: &str) -> Service {
    Service {
        key: key(name),
        cluster_ips: vec![ip("10.96.0.7")],
        ports: vec![ServicePort { name: "http".into(), protocol: Protocol::Tcp, port: 80, node_port: 0 }],
        ..Service::default()
    }
}

/// `address`, or `address/WORD…` with words `there` (on another node),
/// `unready`, `ending` (terminating but serving), `node=NAME` and `zone=NAME`
/// (meant for those).
fn slice(service: &str, endpoints: &[&str]) -> Slice {
    let endpoint = |text: &&str| {
        let (address, words) = text.split_once('/').unwrap_or((text, ""));
        let meant = |what: &str| {
            let names = words.split(' ').filter_map(|word| word.strip_prefix(what));
            names.map(str::to_owned).collect()
        };
        Endpoint {
            address: ip(address),
            node: Some(if words.contains("there") { "there" } else { "here" }.into()),
            ready: !words.contains("unready") && !words.contains("ending"),
            serving_while_terminating: words.contains("ending"),
            for_nodes: meant("node="),
            for_zones: meant("zone="),
        }
    };
    Slice {
        key: key(&format!("{service}-x")),
        service: service.into(),
        ports: vec![SlicePort { name: "http".into(), protocol: Protocol::Tcp, port: 8080 }],
        endpoints: endpoints.iter().map(endpoint).collect(),
    }
}

/// The elements of a plan as text, without the skeleton.
fn elements(service: &Service, slices: &[&Slice]) -> String {
    let mut table = Table::new(node());
    table.set(&service.key, Some(service), slices, &mut Update::default());
    let text = table.rules().to_string();
    let lines: Vec<_> = text
        .lines()
        .take_while(|line| !line.starts_with("chain"))
        .filter_map(|line| line.strip_prefix("  "))
        .collect();
    lines.join("\n")
}

#[test]
fn a_cluster_address_leads_to_each_ready_endpoint() {
    let slice = slice("web", &["10.42.0.2", "10.42.0.3/there", "10.42.0.4/unready"]);
    assert_eq!(
        elements(&service("web"), &[&slice]),
        "10.96.0.7 . tcp . 80 . 0 : 10.42.0.2 . 8080\n\
         10.96.0.7 . tcp . 80 . 1 : 10.42.0.3 . 8080\n\
         10.96.0.7 . tcp . 80 : goto internal-2"
    );
}

#[test]
fn which_endpoints_take_traffic() {
    let cases: &[(&[&str], bool, &str)] = &[
        (&[], false, "10.96.0.7 . tcp . 80 : goto refuse"),
        (&["10.42.0.2/unready"], false, "10.96.0.7 . tcp . 80 : goto refuse"),
        // Those that end serve on as long as no other is ready.
        (
            &["10.42.0.2/ending", "10.42.0.3/unready"],
            false,
            "10.96.0.7 . tcp . 80 . 0 : 10.42.0.2 . 8080\n10.96.0.7 . tcp . 80 : goto internal-1",
        ),
        (
            &["10.42.0.2/ending", "10.42.0.3"],
            false,
            "10.96.0.7 . tcp . 80 . 0 : 10.42.0.3 . 8080\n10.96.0.7 . tcp . 80 : goto internal-1",
        ),
        // internalTrafficPolicy: Local
        (&["10.42.0.3/there"], true, "10.96.0.7 . tcp . 80 : drop"),
        (
            &["10.42.0.2", "10.42.0.3/there"],
            true,
            "10.96.0.7 . tcp . 80 . 0 : 10.42.0.2 . 8080\n10.96.0.7 . tcp . 80 : goto internal-1",
        ),
    ];
    for (endpoints, internal_local, expected) in cases {
        let service = Service { internal_local: *internal_local, ..service("web") };
        assert_eq!(elements(&service, &[&slice("web", endpoints)]), *expected, "{endpoints:?}");
    }
}

/// Where a client inside ends, by the last parts of the endpoints' addresses.
fn reached(service: &Service, slice: &Slice, node: Node) -> String {
    let mut table = Table::new(node);
    table.set(&service.key, Some(service), &[slice], &mut Update::default());
    let text = table.rules().to_string();
    let ends = text.lines().filter(|line| line.starts_with("  10.96.0.7 . tcp . 80 . "));
    let ends = ends.filter_map(|line| line.split(" : 10.42.0.").nth(1)?.split(' ').next());
    ends.collect::<Vec<_>>().join(" ")
}

#[test]
fn hints_choose_the_nearest() {
    let cases: &[(&[&str], &str, &str)] = &[
        // Zones: only if all that are ready have hints, and one is for this zone.
        (&["10.42.0.2/zone=a", "10.42.0.3/there zone=b"], "a", "2"),
        (&["10.42.0.2/zone=a", "10.42.0.3/there zone=b zone=a"], "a", "2 3"),
        (&["10.42.0.2/zone=a", "10.42.0.3/there zone=b"], "b", "3"),
        (&["10.42.0.2/zone=a", "10.42.0.3/there zone=b"], "c", "2 3"),
        (&["10.42.0.2/zone=a", "10.42.0.3/there zone=b"], "", "2 3"),
        (&["10.42.0.2/zone=a", "10.42.0.3/there"], "a", "2 3"),
        (&["10.42.0.2/zone=a", "10.42.0.3/unready", "10.42.0.4/zone=b"], "a", "2"),
        (&["10.42.0.2/zone=a unready", "10.42.0.3/there zone=b"], "a", "3"),
        // Nodes come first, and zones where no endpoint is for this node.
        (&["10.42.0.2/zone=a node=here", "10.42.0.3/zone=a node=there"], "a", "2"),
        (&["10.42.0.2/zone=a node=here", "10.42.0.3/zone=a"], "a", "2 3"),
        (&["10.42.0.2/zone=b node=other", "10.42.0.3/zone=a node=there"], "a", "3"),
        (&["10.42.0.2/node=here", "10.42.0.3/node=there"], "a", "2"),
        (&["10.42.0.2/node=other", "10.42.0.3/node=there"], "a", "2 3"),
        // Those that end are taken wherever they are.
        (&["10.42.0.2/ending zone=a", "10.42.0.3/ending zone=b"], "a", "2 3"),
        (&["10.42.0.2/ending zone=a", "10.42.0.3/zone=b"], "a", "3"),
    ];
    for (endpoints, zone, expected) in cases {
        let zone = Some((*zone).to_owned()).filter(|zone| !zone.is_empty());
        let node = Node { zone, ..node() };
        assert_eq!(reached(&service("web"), &slice("web", endpoints), node), *expected, "{endpoints:?}");
    }
    // The policy Local does not ask for hints.
    let local = Service { internal_local: true, ..service("web") };
    let slice = slice("web", &["10.42.0.2/zone=b", "10.42.0.3/there zone=a"]);
    assert_eq!(reached(&local, &slice, node()), "2");
}

#[test]
fn the_zone_of_the_node_may_change() {
    let mut table = Table::new(node());
    assert!(!table.set_zone(Some("a".into())));
    assert!(table.set_zone(Some("b".into())));
    let (service, slice) = (service("web"), slice("web", &["10.42.0.2/zone=a", "10.42.0.3/zone=b"]));
    table.set(&service.key, Some(&service), &[&slice], &mut Update::default());
    assert!(table.rules().to_string().contains("10.96.0.7 . tcp . 80 . 0 : 10.42.0.3 . 8080"));
}

#[test]
fn outside_addresses_hide_the_source_unless_the_policy_is_local() {
    let mut service = Service { external_ips: vec![ip("192.0.2.10")], ..service("web") };
    service.ports[0].node_port = 30080;
    let slice = slice("web", &["10.42.0.2", "10.42.0.3/there"]);
    assert_eq!(
        elements(&service, &[&slice]),
        "0.0.0.0 . tcp . 30080 . 0 : 10.42.0.2 . 8080\n\
         0.0.0.0 . tcp . 30080 . 1 : 10.42.0.3 . 8080\n\
         10.96.0.7 . tcp . 80 . 0 : 10.42.0.2 . 8080\n\
         10.96.0.7 . tcp . 80 . 1 : 10.42.0.3 . 8080\n\
         192.0.2.10 . tcp . 80 . 0 : 10.42.0.2 . 8080\n\
         192.0.2.10 . tcp . 80 . 1 : 10.42.0.3 . 8080\n\
         tcp . 30080 : goto node-external-2\n\
         10.96.0.7 . tcp . 80 : goto internal-2\n\
         192.0.2.10 . tcp . 80 : goto external-2"
    );
    service.external_local = true;
    service.external_ips.clear();
    assert_eq!(
        elements(&service, &[&slice]),
        "0.0.0.0 . tcp . 30080 . 0 : 10.42.0.2 . 8080\n\
         0.0.0.0 . tcp . 30080 . 65536 : 10.42.0.2 . 8080\n\
         0.0.0.0 . tcp . 30080 . 65537 : 10.42.0.3 . 8080\n\
         10.96.0.7 . tcp . 80 . 0 : 10.42.0.2 . 8080\n\
         10.96.0.7 . tcp . 80 . 1 : 10.42.0.3 . 8080\n\
         tcp . 30080 : goto node-external-local-1-of-2\n\
         10.96.0.7 . tcp . 80 : goto internal-2"
    );
}

#[test]
fn local_policy_without_a_local_endpoint_drops_outsiders() {
    let mut service = Service { external_local: true, ..service("web") };
    service.ports[0].node_port = 30080;
    let slice = slice("web", &["10.42.0.3/there"]);
    let text = elements(&service, &[&slice]);
    assert!(text.contains("tcp . 30080 : goto node-external-local-0-of-1"), "{text}");
    assert!(text.contains("tcp . 30080 : drop"), "{text}");
}

#[test]
fn ports_are_found_by_name_and_families_kept_apart() {
    let mut service = Service { cluster_ips: vec![ip("10.96.0.7"), ip("fd96::7")], ..service("web") };
    service.ports.push(ServicePort {
        name: "metrics".into(),
        protocol: Protocol::Tcp,
        port: 9090,
        node_port: 0,
    });
    let four = slice("web", &["10.42.0.2"]);
    let mut six = slice("web", &["fd42::2"]);
    six.ports[0] = SlicePort { name: "metrics".into(), protocol: Protocol::Tcp, port: 9000 };
    assert_eq!(
        elements(&service, &[&four, &six]),
        "10.96.0.7 . tcp . 80 . 0 : 10.42.0.2 . 8080\n\
         fd96::7 . tcp . 9090 . 0 : fd42::2 . 9000\n\
         10.96.0.7 . tcp . 9090 : goto refuse\n\
         fd96::7 . tcp . 80 : goto refuse\n\
         10.96.0.7 . tcp . 80 : goto internal-1\n\
         fd96::7 . tcp . 9090 : goto internal-1"
    );
}

#[test]
fn headless_services_put_nothing_in_the_kernel() {
    let service = Service { cluster_ips: Vec::new(), ..service("web") };
    assert_eq!(elements(&service, &[&slice("web", &["10.42.0.2"])]), "");
}

#[test]
fn what_the_node_answers_itself_gets_no_rule() {
    let service = Service { cluster_ips: vec![ip("10.96.0.10")], ..service("kube-dns") };
    assert_eq!(elements(&service, &[]), "");
    assert_eq!(elements(&service, &[&slice("kube-dns", &["10.42.0.1"])]), "");
}

#[test]
fn one_endpoint_in_two_slices_counts_once() {
    let (one, two) = (slice("web", &["10.42.0.2/unready"]), slice("web", &["10.42.0.2"]));
    let service = service("web");
    for slices in [[&one, &two], [&two, &one]] {
        assert!(elements(&service, &slices).ends_with("goto internal-1"));
    }
}

#[test]
fn a_change_touches_only_its_own_elements() {
    let mut table = Table::new(node());
    for (number, name) in ["a", "b", "c"].into_iter().enumerate() {
        let service = Service { cluster_ips: vec![ip(&format!("10.96.1.{number}"))], ..service(name) };
        table.set(&key(name), Some(&service), &[&slice(name, &["10.42.0.2"])], &mut Update::default());
    }
    let before = table.rules();
    let mut update = Update::default();
    let changed = Service { cluster_ips: vec![ip("10.96.1.1")], ..service("b") };
    table.set(&key("b"), Some(&changed), &[&slice("b", &["10.42.0.2", "10.42.0.9"])], &mut update);
    let elements = &update.changes.elements;
    let touched: usize = elements.values().map(|set| set.remove.len() + set.add.len()).sum();
    assert_eq!(touched, 3, "one endpoint more, and another chain: {elements:?}");
    assert_eq!(update.changes.chains.keys().collect::<Vec<_>>(), ["internal-2"]);
    let mut applied = before.clone();
    update.changes.apply_to(&mut applied);
    assert_eq!(applied, table.rules());

    let mut gone = Update::default();
    table.set(&key("b"), None, &[], &mut gone);
    assert_eq!(gone.changes.elements.values().map(|set| set.add.len()).sum::<usize>(), 0);
    assert!(!table.rules().to_string().contains("10.96.1.1"));
}

#[test]
fn udp_flows_to_endpoints_that_went_are_forgotten() {
    let udp = |service: Service| {
        let ports = vec![ServicePort { protocol: Protocol::Udp, port: 53, ..service.ports[0].clone() }];
        Service { ports, ..service }
    };
    let slice = |endpoints: &[&str]| {
        let mut slice = slice("dns", endpoints);
        slice.ports[0].protocol = Protocol::Udp;
        slice
    };
    let service = udp(service("dns"));
    let mut table = Table::new(node());
    let mut update = Update::default();
    let flows = |backend: Option<&str>| Flows {
        protocol: Protocol::Udp,
        destination: Some(ip("10.96.0.7")),
        destination_port: Some(53),
        backend: backend.map(ip),
        backend_port: backend.map(|_| 8080),
    };
    table.set(&service.key, Some(&service), &[&slice(&["10.42.0.2", "10.42.0.3"])], &mut update);
    assert_eq!(update.stale, BTreeSet::from([flows(None)]), "what clients sent before there was anyone");
    let mut update = Update::default();
    table.set(&service.key, Some(&service), &[&slice(&["10.42.0.3"])], &mut update);
    assert_eq!(update.stale, BTreeSet::from([flows(Some("10.42.0.2"))]));
    let mut update = Update::default();
    table.set(&service.key, None, &[], &mut update);
    assert_eq!(update.stale, BTreeSet::from([flows(Some("10.42.0.3"))]));
}

#[test]
fn an_outside_address_has_one_owner() {
    let mut table = Table::new(node());
    let shared = |name, cluster| Service {
        external_ips: vec![ip("192.0.2.10")],
        cluster_ips: vec![ip(cluster)],
        ..service(name)
    };
    let (b, a) = (shared("b", "10.96.0.2"), shared("a", "10.96.0.1"));
    let (b_slice, a_slice) = (slice("b", &["10.42.0.2"]), slice("a", &["10.42.0.1"]));
    let owner = |table: &Table| {
        let text = table.rules().to_string();
        let line = text.lines().find(|line| line.starts_with("  192.0.2.10 . tcp . 80 . 0"));
        line.map(|line| line.rsplit(" : ").next().unwrap().to_owned())
    };
    table.set(&b.key, Some(&b), &[&b_slice], &mut Update::default());
    assert_eq!(owner(&table).unwrap(), "10.42.0.2 . 8080");
    let mut update = Update::default();
    table.set(&a.key, Some(&a), &[&a_slice], &mut update);
    assert_eq!(update.again, BTreeSet::from([b.key.clone()]));
    table.set(&b.key, Some(&b), &[&b_slice], &mut update);
    assert_eq!(owner(&table).unwrap(), "10.42.0.1 . 8080");
    let mut update = Update::default();
    table.set(&a.key, None, &[], &mut update);
    assert_eq!(update.again, BTreeSet::from([b.key.clone()]));
    table.set(&b.key, Some(&b), &[&b_slice], &mut update);
    assert_eq!(owner(&table).unwrap(), "10.42.0.2 . 8080");
}

#[test]
fn five_thousand_services_are_planned_quickly() {
    let start = tokio::time::Instant::now();
    let mut table = Table::new(node());
    for number in 0..5000u32 {
        let address = IpAddr::from((0x0a60_1000 + number).to_be_bytes());
        let service = Service { cluster_ips: vec![address], ..service(&format!("s{number}")) };
        let slice = slice(&service.key.name, &["10.42.0.2", "10.42.0.3"]);
        table.set(&service.key, Some(&service), &[&slice], &mut Update::default());
    }
    let rules = table.rules();
    println!("5,000 services planned and merged in {:?}", start.elapsed());
    assert_eq!(rules.sets["endpoints4"].elements.len(), 10_000);
    assert!(start.elapsed().as_secs() < 5);
}

#[test]
fn the_skeleton_and_the_chains() {
    let mut service = Service { affinity: Some(Affinity { timeout_seconds: 60 }), ..service("web") };
    service.ports[0].node_port = 30080;
    service.external_local = true;
    let mut table = Table::new(node());
    let slices = slice("web", &["10.42.0.2", "10.42.0.3/there"]);
    assert_eq!(plan(&service, [&slices], &node()).local_endpoints, 1);
    table.set(&service.key, Some(&service), &[&slices], &mut Update::default());
    let golden = include_str!("golden.txt");
    let text = table.rules().to_string();
    if std::env::var_os("CORTEN_BLESS").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/golden.txt"), &text).unwrap();
        return;
    }
    assert_eq!(text, golden);
}
