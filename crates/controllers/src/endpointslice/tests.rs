//! Table tests of the plan, and a test of many endpoints.

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::value;
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use serde::Deserialize;

use super::plan::{Observed, plan};
use crate::cases::{Written, check};
use crate::nodes::NodeView;
use crate::pods::{Phase, PodView};
use crate::slices::Action;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    service: Written<Service>,
    nodes: Vec<Written<Node>>,
    pods: BTreeMap<String, Written<Pod>>,
    slices: Vec<Written<EndpointSlice>>,
}

/// As the server would keep what was there and what is done.
fn stored(before: &[EndpointSlice], actions: &[Action]) -> Vec<EndpointSlice> {
    let mut slices = before.to_vec();
    for (at, action) in actions.iter().enumerate() {
        match action {
            Action::Create(slice) => {
                let mut slice = (**slice).clone();
                slice.metadata.name = Some(format!("web-{at}"));
                slice.metadata.uid = Some(format!("slice-{at}"));
                slices.push(slice);
            }
            Action::Update(slice) => {
                slices.retain(|known| known.metadata.name != slice.metadata.name);
                slices.push((**slice).clone());
            }
            Action::Delete { name, .. } => {
                slices.retain(|known| known.metadata.name.as_ref() != Some(name));
            }
        }
    }
    slices
}

fn shown_endpoint(endpoint: &Endpoint) -> String {
    let mut text = format!("  {}", endpoint.addresses.join(" "));
    text.extend(endpoint.node_name.iter().map(|node| format!(" on {node}")));
    text.extend(endpoint.zone.iter().map(|zone| format!(" in {zone}")));
    text.extend(endpoint.hostname.iter().map(|name| format!(", called {name}")));
    text.push(':');
    let conditions = endpoint.conditions.as_ref().unwrap();
    let all = [
        (conditions.ready, " ready"),
        (conditions.serving, " serving"),
        (conditions.terminating, " terminating"),
    ];
    text.extend(all.into_iter().filter(|(truth, _)| truth.unwrap()).map(|(_, word)| word));
    text
}

fn shown(action: &Action) -> Vec<String> {
    let (verb, slice) = match action {
        Action::Create(slice) => ("create", slice),
        Action::Update(slice) => ("update", slice),
        Action::Delete { name, .. } => return vec![format!("delete {name}")],
    };
    let ports = slice.ports.iter().flatten().map(|port| {
        let name = port.name.as_deref().unwrap_or_default();
        format!(" for {name} {}/{}", port.port.unwrap(), port.protocol.as_deref().unwrap())
    });
    let mut line = format!("{verb} {}", slice.address_type);
    line.extend(ports);
    if slice.metadata.labels.as_ref().unwrap().contains_key("service.kubernetes.io/headless") {
        line += ", headless";
    }
    let mut lines = vec![line];
    lines.extend(slice.endpoints.iter().flatten().map(shown_endpoint));
    lines
}

#[test]
fn endpoints_of_a_service() {
    check(include_str!("cases.yaml"), "endpoints of a Service", |case: Case| {
        let nodes: Vec<NodeView> = case.nodes.iter().map(Written::seen).collect();
        let look = |slices: &[EndpointSlice]| {
            plan(&Observed {
                service: &case.service,
                pods: case.pods.values().map(|pod| Arc::new(pod.seen())).collect(),
                zones: nodes.iter().map(|node| (node.name.as_str(), node.zone())).collect(),
                slices: slices.iter().collect(),
            })
        };
        let before: Vec<EndpointSlice> = case.slices.iter().map(|slice| slice.0.clone()).collect();
        let actions = look(&before);
        assert_eq!(look(&stored(&before, &actions)), [], "nothing more to do");
        actions.iter().flat_map(shown).collect::<Vec<_>>()
    });
}

#[test]
fn a_hundred_to_a_slice_and_few_writes() {
    let service: Service = value!({
        "metadata": {"name": "web", "namespace": "default", "uid": "s"},
        "spec": {"clusterIP": "10.96.0.9", "selector": {"app": "web"}, "ports": [{"port": 80}]}
    })
    .decode()
    .unwrap();
    let pod = |number: usize| {
        Arc::new(PodView {
            namespace: "default".into(),
            name: format!("web-{number:03}"),
            uid: format!("uid-{number:03}"),
            node: "n1".into(),
            phase: Phase::Running,
            ready: true,
            ips: vec![format!("10.42.0.{number}")],
            ..PodView::default()
        })
    };
    let run = |pods: std::ops::Range<usize>, slices: &[EndpointSlice]| {
        let zones = [("n1", None)].into();
        plan(&Observed {
            service: &service,
            pods: pods.map(pod).collect(),
            zones,
            slices: slices.iter().collect(),
        })
    };
    let slices = stored(&[], &run(0..250, &[]));
    let sizes: Vec<_> = slices.iter().map(|slice| slice.endpoints.as_ref().unwrap().len()).collect();
    assert_eq!(sizes, [100, 100, 50]);
    // One goes, one comes: it takes the free place.
    let actions = run(1..251, &slices);
    let [Action::Update(updated)] = actions.as_slice() else { panic!("{actions:?}") };
    assert_eq!(updated.endpoints.as_ref().unwrap().len(), 100);
    // All of the last slice go: it is deleted.
    let actions = run(0..200, &slices);
    assert!(matches!(actions.as_slice(), [Action::Delete { name, .. }] if name == "web-2"), "{actions:?}");
}
