//! Table tests of the plan.

use std::sync::Arc;

use apimachinery::{Value, value};
use k8s_openapi::api::core::v1::{Endpoints, Service};

use super::plan::{Action, Observed, plan};
use crate::pods::{Phase, PodView};

fn service(spec: Value) -> Service {
    value!({"metadata": {"name": "web", "namespace": "default"}, "spec": (spec)}).decode().unwrap()
}

fn plain() -> Service {
    service(value!({
        "clusterIP": "10.96.0.9", "selector": {"app": "web"},
        "ports": [{"name": "http", "port": 80, "targetPort": 8080}]
    }))
}

fn pod(name: &str, ip: &str, ready: bool) -> Arc<PodView> {
    Arc::new(PodView {
        namespace: "default".into(),
        name: name.into(),
        uid: name.into(),
        phase: Phase::Running,
        ready,
        ips: vec![ip.into()],
        ..PodView::default()
    })
}

fn created(service: &Service, pods: Vec<Arc<PodView>>) -> Endpoints {
    match plan(&Observed { service: Some(service), pods, current: None }) {
        Some(Action::Create(endpoints)) => *endpoints,
        other => panic!("{other:?}"),
    }
}

#[test]
fn ready_and_unready_addresses() {
    let pods = vec![pod("b", "10.42.0.2", true), pod("a", "10.42.0.1", true), pod("c", "10.42.0.3", false)];
    let endpoints = created(&plain(), pods.clone());
    let subset = &endpoints.subsets.as_ref().unwrap()[0];
    let ips = |list: &Option<Vec<k8s_openapi::api::core::v1::EndpointAddress>>| {
        list.iter().flatten().map(|address| address.ip.clone()).collect::<Vec<_>>()
    };
    assert_eq!(ips(&subset.addresses), ["10.42.0.1", "10.42.0.2"]);
    assert_eq!(ips(&subset.not_ready_addresses), ["10.42.0.3"]);
    assert_eq!(subset.ports.as_ref().unwrap()[0].port, 8080);
    let again = plan(&Observed { service: Some(&plain()), pods, current: Some(&endpoints) });
    assert_eq!(again, None);
}

#[test]
fn whom_it_leaves_alone() {
    let manual = service(value!({"clusterIP": "10.96.0.9", "ports": [{"port": 80}]}));
    assert_eq!(plan(&Observed { service: Some(&manual), pods: vec![], current: None }), None);
    let mut ours = created(&plain(), vec![]);
    let gone =
        |endpoints: &Endpoints| plan(&Observed { service: None, pods: vec![], current: Some(endpoints) });
    assert!(matches!(gone(&ours), Some(Action::Delete { .. })));
    let leader = "control-plane.alpha.kubernetes.io/leader".to_owned();
    ours.metadata.annotations.get_or_insert_default().insert(leader, "{}".into());
    assert_eq!(gone(&ours), None);
    assert_eq!(gone(&Endpoints::default()), None);
}

#[test]
fn more_than_a_thousand_are_cut_off() {
    let pods =
        (0..1200).map(|n| pod(&format!("{n:04}"), &format!("10.42.{}.{}", n / 250, n % 250), n >= 300));
    let endpoints = created(&plain(), pods.collect());
    let subset = &endpoints.subsets.unwrap()[0];
    assert_eq!(subset.addresses.as_ref().unwrap().len(), 900);
    assert_eq!(subset.not_ready_addresses.as_ref().unwrap().len(), 100);
    let annotations = endpoints.metadata.annotations.unwrap();
    assert_eq!(annotations["endpoints.kubernetes.io/over-capacity"], "truncated");
}
