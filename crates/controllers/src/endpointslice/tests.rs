//! Table tests of the plan.

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::{Value, value};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;

use super::plan::{Observed, plan};
use crate::pods::{Phase, PodView};
use crate::slices::Action;

fn service(more: Value) -> Service {
    let mut spec = value!({
        "clusterIP": "10.96.0.9", "ipFamilies": ["IPv4"], "selector": {"app": "web"},
        "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}]
    });
    for (key, value) in more.members() {
        spec.set(key.to_owned(), value.clone());
    }
    value!({"metadata": {"name": "web", "namespace": "default", "uid": "s"}, "spec": (spec)})
        .decode()
        .unwrap()
}

fn pod(number: usize) -> PodView {
    PodView {
        namespace: "default".into(),
        name: format!("web-{number:03}"),
        uid: format!("uid-{number:03}"),
        node: "n1".into(),
        phase: Phase::Running,
        ready: true,
        ips: vec![format!("10.42.0.{number}"), format!("fd00::{number}")],
        ports: vec![("http".into(), 8080, "TCP".into())],
        ..PodView::default()
    }
}

fn run(service: &Service, pods: Vec<PodView>, slices: &[EndpointSlice]) -> Vec<Action> {
    let zones: BTreeMap<_, _> = [("n1", Some("zone-a"))].into();
    let pods = pods.into_iter().map(Arc::new).collect();
    plan(&Observed { service, pods, zones, slices: slices.iter().collect() })
}

/// As the server would keep what is created.
fn stored(actions: &[Action]) -> Vec<EndpointSlice> {
    let slices = actions.iter().enumerate().filter_map(|(at, action)| match action {
        Action::Create(slice) => {
            let mut slice = (**slice).clone();
            slice.metadata.name = Some(format!("web-{at}"));
            slice.metadata.uid = Some(format!("slice-{at}"));
            Some(slice)
        }
        _ => None,
    });
    slices.collect()
}

#[test]
fn a_pod_is_an_endpoint() {
    let service = service(value!({}));
    let actions = run(&service, vec![pod(1)], &[]);
    let slices = stored(&actions);
    let endpoint = &slices[0].endpoints.as_ref().unwrap()[0];
    assert_eq!(endpoint.addresses, ["10.42.0.1"]);
    assert_eq!(endpoint.zone.as_deref(), Some("zone-a"));
    assert_eq!(endpoint.node_name.as_deref(), Some("n1"));
    assert_eq!(slices[0].ports.as_ref().unwrap()[0].port, Some(8080));
    assert_eq!(slices[0].address_type, "IPv4");
    assert_eq!(run(&service, vec![pod(1)], &slices), [], "nothing more to do");
}

#[test]
fn conditions_follow_readiness_and_removal() {
    for (ready, terminating, unready_too, expected) in [
        (true, false, false, (true, true, false)),
        (false, false, false, (false, false, false)),
        (true, true, false, (false, true, true)),
        (false, false, true, (true, false, false)),
        (true, true, true, (true, true, true)),
    ] {
        let service = service(value!({"publishNotReadyAddresses": unready_too}));
        let slices = stored(&run(&service, vec![PodView { ready, terminating, ..pod(1) }], &[]));
        let conditions = slices[0].endpoints.as_ref().unwrap()[0].conditions.clone().unwrap();
        let got = (conditions.ready.unwrap(), conditions.serving.unwrap(), conditions.terminating.unwrap());
        assert_eq!(got, expected, "{ready} {terminating} {unready_too}");
    }
}

#[test]
fn who_is_left_out() {
    let service = service(value!({}));
    let ended = PodView { phase: Phase::Succeeded, ..pod(1) };
    let homeless = PodView { ips: Vec::new(), ..pod(2) };
    let lost = PodView { node: "gone".into(), ..pod(3) };
    let slices = stored(&run(&service, vec![ended, homeless, lost], &[]));
    assert_eq!(slices.len(), 1, "an empty slice stands for the Service");
    assert!(slices[0].endpoints.as_ref().unwrap().is_empty());
    assert_eq!(run(&service, vec![], &slices), []);
}

#[test]
fn a_hundred_to_a_slice_and_few_writes() {
    let service = service(value!({}));
    let actions = run(&service, (0..250).map(pod).collect(), &[]);
    let slices = stored(&actions);
    let sizes: Vec<_> = slices.iter().map(|slice| slice.endpoints.as_ref().unwrap().len()).collect();
    assert_eq!(sizes, [100, 100, 50]);
    // One goes, one comes: it takes the free place.
    let pods: Vec<_> = (1..=250).map(pod).collect();
    let actions = run(&service, pods, &slices);
    let [Action::Update(updated)] = actions.as_slice() else { panic!("{actions:?}") };
    assert_eq!(updated.endpoints.as_ref().unwrap().len(), 100);
    // All of the last slice go: it is deleted.
    let actions = run(&service, (0..200).map(pod).collect(), &slices);
    assert!(matches!(actions.as_slice(), [Action::Delete { name, .. }] if name == "web-2"), "{actions:?}");
}

#[test]
fn two_families_and_two_sets_of_ports() {
    let dual = service(value!({"ipFamilies": ["IPv6", "IPv4"]}));
    let slices = stored(&run(&dual, vec![pod(1)], &[]));
    let mut families: Vec<_> = slices.iter().map(|slice| slice.address_type.as_str()).collect();
    families.sort_unstable();
    assert_eq!(families, ["IPv4", "IPv6"]);
    // A family that is given up.
    let single = service(value!({}));
    let actions = run(&single, vec![pod(1)], &slices);
    assert!(matches!(actions.as_slice(), [Action::Delete { .. }]), "{actions:?}");

    let other = PodView { ports: vec![("http".into(), 9090, "TCP".into())], ..pod(2) };
    assert_eq!(stored(&run(&single, vec![pod(1), other], &[])).len(), 2);
}

#[test]
fn headless_services_name_their_pods() {
    let headless = service(value!({"clusterIP": "None", "ports": []}));
    let named = PodView { hostname: "db-0".into(), subdomain: "web".into(), ..pod(1) };
    let slices = stored(&run(&headless, vec![named], &[]));
    assert_eq!(slices[0].endpoints.as_ref().unwrap()[0].hostname.as_deref(), Some("db-0"));
    assert!(slices[0].metadata.labels.as_ref().unwrap().contains_key("service.kubernetes.io/headless"));
    assert!(slices[0].ports.as_ref().unwrap().is_empty());
}
