//! Table tests of the plan, and a test of many addresses.

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::value;
use k8s_openapi::api::core::v1::{EndpointAddress, EndpointSubset, Endpoints, Pod, Service};
use serde::Deserialize;

use super::plan::{Action, Observed, plan};
use crate::cases::{Written, check};
use crate::pods::{Phase, PodView};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    service: Option<Written<Service>>,
    pods: BTreeMap<String, Written<Pod>>,
    current: Option<Written<Endpoints>>,
}

/// `8080: 10.42.0.1 10.42.0.2, not ready 10.42.0.3`.
fn shown(subset: &EndpointSubset) -> String {
    let ips = |addresses: &Option<Vec<EndpointAddress>>| {
        let ips: Vec<_> = addresses.iter().flatten().map(|address| address.ip.as_str()).collect();
        ips.join(" ")
    };
    let ports: Vec<_> = subset.ports.iter().flatten().map(|port| port.port.to_string()).collect();
    let mut parts = vec![ips(&subset.addresses)];
    parts.extend(
        subset
            .not_ready_addresses
            .is_some()
            .then(|| format!("not ready {}", ips(&subset.not_ready_addresses))),
    );
    parts.retain(|part| !part.is_empty());
    format!("{}: {}", ports.join(" "), parts.join(", "))
}

#[test]
fn endpoints_of_a_service() {
    check(include_str!("cases.yaml"), "endpoints of a Service", |case: Case| {
        let look = |current: Option<&Endpoints>| {
            let pods = case.pods.values().map(|pod| Arc::new(pod.seen())).collect();
            plan(&Observed { service: case.service.as_deref(), pods, current })
        };
        let (verb, written) = match look(case.current.as_deref()) {
            None => return Vec::new(),
            Some(Action::Delete { .. }) => return vec!["delete".to_owned()],
            Some(Action::Create(endpoints)) => ("create", endpoints),
            Some(Action::Update(endpoints)) => ("update", endpoints),
        };
        assert_eq!(look(Some(&written)), None, "nothing more to do");
        let mut lines = vec![verb.to_owned()];
        lines.extend(written.subsets.iter().flatten().map(shown));
        lines
    });
}

#[test]
fn more_than_a_thousand_are_cut_off() {
    let service: Service = value!({
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "clusterIP": "10.96.0.9", "selector": {"app": "web"},
            "ports": [{"name": "http", "port": 80, "targetPort": 8080}]
        }
    })
    .decode()
    .unwrap();
    let pod = |n: usize| {
        Arc::new(PodView {
            name: format!("{n:04}"),
            uid: format!("{n:04}"),
            phase: Phase::Running,
            ready: n >= 300,
            ips: vec![format!("10.42.{}.{}", n / 250, n % 250)],
            ..PodView::default()
        })
    };
    let observed = Observed { service: Some(&service), pods: (0..1200).map(pod).collect(), current: None };
    let Some(Action::Create(endpoints)) = plan(&observed) else { panic!("nothing was created") };
    let subset = &endpoints.subsets.unwrap()[0];
    assert_eq!(subset.addresses.as_ref().unwrap().len(), 900);
    assert_eq!(subset.not_ready_addresses.as_ref().unwrap().len(), 100);
    let annotations = endpoints.metadata.annotations.unwrap();
    assert_eq!(annotations["endpoints.kubernetes.io/over-capacity"], "truncated");
}
