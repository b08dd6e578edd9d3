//! For whom an endpoint is meant (`endpoints[].hints`). Pure.

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointHints, ForNode, ForZone};

/// The older name has precedence.
const MODES: [&str; 2] =
    ["service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode"];

/// The Service asks by annotation for a share of its endpoints to each zone.
pub fn by_share(service: &Service) -> bool {
    let annotations = service.metadata.annotations.as_ref();
    let mode = annotations.and_then(|all| MODES.iter().find_map(|name| all.get(*name)));
    mode.is_some_and(|mode| mode == "Auto" || mode == "auto")
}

/// `spec.trafficDistribution`, unless the annotation overrules it.
pub fn distribution(service: &Service) -> Option<&str> {
    let spec = service.spec.as_ref().filter(|_| !by_share(service))?;
    spec.traffic_distribution.as_deref()
}

/// The hints of an endpoint of the Service: its own zone, and its own node
/// where nodes are preferred. Only who is ready is recommended to anyone.
pub fn hints(service: &Service, endpoint: &Endpoint) -> Option<EndpointHints> {
    let nodes = match distribution(service)? {
        "PreferClose" | "PreferSameZone" => false,
        "PreferSameNode" => true,
        _ => return None,
    };
    if endpoint.conditions.as_ref().is_none_or(|conditions| conditions.ready != Some(true)) {
        return None;
    }
    let node = endpoint.node_name.clone().filter(|_| nodes);
    let hints = EndpointHints {
        for_nodes: node.map(|name| vec![ForNode { name }]),
        for_zones: endpoint.zone.clone().map(|name| vec![ForZone { name }]),
    };
    Some(hints).filter(|hints| *hints != EndpointHints::default())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use apimachinery::value;
    use k8s_openapi::api::discovery::v1::EndpointSlice;

    use super::super::plan::{Observed, plan};
    use super::*;
    use crate::pods::{Phase, PodView};
    use crate::slices::Action;

    fn service(distribution: &str) -> Service {
        let mut service: Service = value!({
            "metadata": {"name": "web", "namespace": "default", "uid": "s"},
            "spec": {
                "clusterIP": "10.96.0.9", "ipFamilies": ["IPv4"], "selector": {"app": "web"},
                "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]
            }
        })
        .decode()
        .unwrap();
        let distribution = Some(distribution.to_owned()).filter(|text| !text.is_empty());
        service.spec.as_mut().unwrap().traffic_distribution = distribution;
        service
    }

    fn pod(node: &str, ready: bool) -> PodView {
        PodView {
            namespace: "default".into(),
            name: "web-0".into(),
            uid: "uid-0".into(),
            node: node.into(),
            phase: Phase::Running,
            ready,
            ips: vec!["10.42.0.2".into()],
            ..PodView::default()
        }
    }

    /// Node `n1` is in zone `a`; `bare` and `empty` are in none.
    fn run(service: &Service, pod: PodView, slices: &[EndpointSlice]) -> Vec<Action> {
        let zones = [("n1", Some("a")), ("bare", None), ("empty", Some(""))].into();
        plan(&Observed { service, pods: vec![Arc::new(pod)], zones, slices: slices.iter().collect() })
    }

    /// The hints of the one endpoint, in words.
    fn hinted(actions: &[Action]) -> String {
        let [Action::Create(slice) | Action::Update(slice)] = actions else { panic!("{actions:?}") };
        let Some(hints) = &slice.endpoints.as_ref().unwrap()[0].hints else { return "nobody".into() };
        let zones = hints.for_zones.iter().flatten().map(|zone| format!("zone {}", zone.name));
        let nodes = hints.for_nodes.iter().flatten().map(|node| format!("node {}", node.name));
        zones.chain(nodes).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn an_endpoint_is_meant_for_its_zone_and_node() {
        for (distribution, node, ready, expected) in [
            ("", "n1", true, "nobody"),
            ("PreferClose", "n1", true, "zone a"),
            ("PreferSameZone", "n1", true, "zone a"),
            ("PreferSameNode", "n1", true, "zone a, node n1"),
            ("PreferSameNode", "n1", false, "nobody"),
            ("PreferSameZone", "n1", false, "nobody"),
            ("PreferSameZone", "bare", true, "nobody"),
            ("PreferSameZone", "empty", true, "nobody"),
            ("PreferSameNode", "bare", true, "node bare"),
            ("PreferSameNode", "empty", true, "node empty"),
        ] {
            let actions = run(&service(distribution), pod(node, ready), &[]);
            assert_eq!(hinted(&actions), expected, "{distribution} on {node}, ready: {ready}");
        }
    }

    #[test]
    fn hints_follow_the_field() {
        let near = service("PreferSameNode");
        let actions = run(&near, pod("n1", true), &[]);
        let [Action::Create(slice)] = actions.as_slice() else { panic!("{actions:?}") };
        let mut slice = (**slice).clone();
        slice.metadata.name = Some("web-x".into());
        let slices = [slice];
        assert_eq!(run(&near, pod("n1", true), &slices), [], "they are there");
        for (distribution, expected) in [("PreferSameZone", "zone a"), ("", "nobody")] {
            let actions = run(&service(distribution), pod("n1", true), &slices);
            assert_eq!(hinted(&actions), expected, "{distribution}");
        }
        assert_eq!(hinted(&run(&near, pod("n1", false), &slices)), "nobody", "it is no longer ready");
    }

    #[test]
    fn the_annotation_overrules_the_field() {
        let [older, newer] = MODES;
        let cases: &[(&[(&str, &str)], bool)] = &[
            (&[], false),
            (&[(newer, "Auto")], true),
            (&[(newer, "auto")], true),
            (&[(newer, "Disabled")], false),
            (&[(older, "Auto")], true),
            (&[(older, "Disabled"), (newer, "Auto")], false),
        ];
        for (annotations, overruled) in cases {
            let all = annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            let mut service = service("PreferSameZone");
            service.metadata.annotations = Some(all.collect());
            assert_eq!(distribution(&service).is_none(), *overruled, "{annotations:?}");
        }
    }
}
