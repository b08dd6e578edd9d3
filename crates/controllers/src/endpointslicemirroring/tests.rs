//! Table tests of mirrored slices.

use apimachinery::{Value, value};
use k8s_openapi::api::core::v1::{Endpoints, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;

use super::plan::{Observed, Plan, plan};
use crate::slices::Action;

fn service(selector: Value) -> Service {
    value!({"metadata": {"name": "db", "namespace": "default"}, "spec": {"selector": selector}})
        .decode()
        .unwrap()
}

fn endpoints(metadata: Value, subsets: Value) -> Endpoints {
    let mut tree = value!({
        "metadata": {"name": "db", "namespace": "default", "uid": "e", "labels": {"a": "b"}},
        "subsets": subsets
    });
    for (key, value) in metadata.members() {
        tree.get_mut("metadata").unwrap().set(key.to_owned(), value.clone());
    }
    tree.decode().unwrap()
}

fn run(service: Option<&Service>, endpoints: Option<&Endpoints>, slices: &[EndpointSlice]) -> Plan {
    plan(&Observed { service, endpoints, slices: slices.iter().collect() })
}

/// `+IPv4[80]:10.0.0.1,!10.0.0.2` creates a slice; `~` updates, `-` deletes.
fn shown(plan: &Plan) -> String {
    let slice = |slice: &EndpointSlice| {
        let ports: Vec<_> =
            slice.ports.iter().flatten().filter_map(|port| port.port).map(|port| port.to_string()).collect();
        let addresses: Vec<_> = slice
            .endpoints
            .iter()
            .flatten()
            .map(|one| {
                let ready = one.conditions.as_ref().and_then(|conditions| conditions.ready);
                format!("{}{}", if ready == Some(true) { "" } else { "!" }, one.addresses[0])
            })
            .collect();
        format!("{}[{}]:{}", slice.address_type, ports.join(","), addresses.join(","))
    };
    let action = |action: &Action| match action {
        Action::Create(created) => format!("+{}", slice(created)),
        Action::Update(updated) => format!("~{}", slice(updated)),
        Action::Delete { name, .. } => format!("-{name}"),
    };
    plan.actions.iter().map(action).collect::<Vec<_>>().join(" ")
}

#[test]
fn endpoints_of_others_are_mirrored() {
    let own = service(value!(null));
    let subsets = value!([{
        "addresses": [{"ip": "10.0.0.2"}, {"ip": "10.0.0.1"}, {"ip": "fd00::1"}],
        "notReadyAddresses": [{"ip": "10.0.0.3"}, {"ip": "nowhere"}],
        "ports": [{"port": 80}]
    }, {"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 81}]}]);
    let of = endpoints(value!({}), subsets);
    let first = run(Some(&own), Some(&of), &[]);
    assert_eq!(shown(&first), "+IPv4[80]:10.0.0.1,10.0.0.2,!10.0.0.3 +IPv4[81]:10.0.0.1 +IPv6[80]:fd00::1");
    assert_eq!(
        first.warnings,
        [("InvalidIPAddress", "Skipped 1 invalid IP addresses when mirroring to EndpointSlices".to_owned())]
    );
    let Action::Create(slice) = &first.actions[0] else { panic!("{first:?}") };
    let labels = slice.metadata.labels.as_ref().unwrap();
    assert_eq!((labels["a"].as_str(), labels["kubernetes.io/service-name"].as_str()), ("b", "db"));
    assert_eq!(slice.metadata.owner_references.as_ref().unwrap()[0].kind, "Endpoints");

    let mut written: Vec<EndpointSlice> = Vec::new();
    for (at, action) in first.actions.iter().enumerate() {
        let Action::Create(slice) = action else { continue };
        let mut slice = slice.as_ref().clone();
        slice.metadata.name = Some(format!("db-{at}"));
        written.push(slice);
    }
    assert_eq!(shown(&run(Some(&own), Some(&of), &written)), "");
    let fewer = endpoints(value!({}), value!([{"addresses": [{"ip": "10.0.0.2"}], "ports": [{"port": 80}]}]));
    assert_eq!(shown(&run(Some(&own), Some(&fewer), &written)), "~IPv4[80]:10.0.0.2 -db-1 -db-2");
    let selecting = service(value!({"app": "db"}));
    let labels = value!({"labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}});
    let unwanted = endpoints(labels, value!([]));
    let annotations = value!({"annotations": {"control-plane.alpha.kubernetes.io/leader": "x"}});
    let election = endpoints(annotations, value!([]));
    for (what, service, endpoints) in [
        ("the Service is gone", None, Some(&of)),
        ("the Endpoints are gone", Some(&own), None),
        ("a selector makes its own slices", Some(&selecting), Some(&of)),
        ("it is not wanted", Some(&own), Some(&unwanted)),
        ("it is an election", Some(&own), Some(&election)),
    ] {
        assert_eq!(shown(&run(service, endpoints, &written)), "-db-0 -db-1 -db-2", "{what}");
    }
}

#[test]
fn too_many_are_cut() {
    let own = service(value!(null));
    let addresses: Vec<Value> =
        (0..1010).map(|at| value!({"ip": (format!("10.0.{}.{}", at / 250, at % 250))})).collect();
    let of =
        endpoints(value!({}), value!([{"addresses": (Value::from(addresses)), "ports": [{"port": 80}]}]));
    let plan = run(Some(&own), Some(&of), &[]);
    let Action::Create(slice) = &plan.actions[0] else { panic!("{plan:?}") };
    assert_eq!(slice.endpoints.as_ref().unwrap().len(), 1000);
    assert_eq!(plan.warnings[0].0, "TooManyAddressesToMirror");
}
