//! Table tests of mirrored slices, and a test of many addresses.

use apimachinery::{Value, value};
use k8s_openapi::api::core::v1::{Endpoints, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde::Deserialize;

use super::plan::{Observed, Plan, plan};
use crate::cases::{Written, check};
use crate::slices::Action;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    service: Option<Written<Service>>,
    endpoints: Option<Written<Endpoints>>,
    before: Option<Written<Endpoints>>,
}

fn service() -> Service {
    value!({"metadata": {"name": "db", "namespace": "default"}, "spec": {}}).decode().unwrap()
}

fn run(service: Option<&Service>, endpoints: Option<&Endpoints>, slices: &[EndpointSlice]) -> Plan {
    plan(&Observed { service, endpoints, slices: slices.iter().collect() })
}

/// The slices as they were written for these Endpoints.
fn written(endpoints: &Endpoints) -> Vec<EndpointSlice> {
    let mut slices = Vec::new();
    for (at, action) in run(Some(&service()), Some(endpoints), &[]).actions.into_iter().enumerate() {
        let Action::Create(mut slice) = action else { panic!("{action:?}") };
        let metadata = &mut slice.metadata;
        let labels = metadata.labels.as_ref().unwrap();
        assert_eq!((labels["a"].as_str(), labels["kubernetes.io/service-name"].as_str()), ("b", "db"));
        assert_eq!(metadata.owner_references.as_ref().unwrap()[0].kind, "Endpoints");
        metadata.name = Some(format!("db-{at}"));
        slices.push(*slice);
    }
    slices
}

fn shown(action: &Action) -> String {
    let (verb, slice) = match action {
        Action::Create(slice) => ("create", slice),
        Action::Update(slice) => ("update", slice),
        Action::Delete { name, .. } => return format!("delete {name}"),
    };
    let ports: Vec<_> =
        slice.ports.iter().flatten().filter_map(|port| port.port).map(|port| port.to_string()).collect();
    let addresses = |ready: bool| {
        let all = slice.endpoints.iter().flatten();
        let of = all.filter(|one| one.conditions.as_ref().and_then(|told| told.ready) == Some(ready));
        of.map(|one| one.addresses.join("+")).collect::<Vec<_>>().join(" ")
    };
    let (ready, unready) = (addresses(true), addresses(false));
    let unready = if unready.is_empty() { unready } else { format!(", not ready {unready}") };
    format!("{verb} {} {}: {ready}{unready}", slice.address_type, ports.join(" "))
}

#[test]
fn endpoints_of_others_are_mirrored() {
    check(include_str!("cases.yaml"), "endpoints of others are mirrored", |case: Case| {
        let slices = case.before.map(|before| written(&before)).unwrap_or_default();
        let plan = run(case.service.as_deref(), case.endpoints.as_deref(), &slices);
        let mut lines: Vec<String> = plan.actions.iter().map(shown).collect();
        lines.extend(plan.warnings.iter().map(|(reason, message)| format!("warn {reason}: {message}")));
        lines
    });
}

#[test]
fn too_many_are_cut() {
    let addresses: Vec<Value> =
        (0..1010).map(|at| value!({"ip": (format!("10.0.{}.{}", at / 250, at % 250))})).collect();
    let endpoints = value!({
        "metadata": {"name": "db", "namespace": "default", "uid": "e", "labels": {"a": "b"}},
        "subsets": [{"addresses": (Value::from(addresses)), "ports": [{"port": 80}]}]
    });
    let plan = run(Some(&service()), Some(&endpoints.decode().unwrap()), &[]);
    let Action::Create(slice) = &plan.actions[0] else { panic!("{plan:?}") };
    assert_eq!(slice.endpoints.as_ref().unwrap().len(), 1000);
    assert_eq!(plan.warnings[0].0, "TooManyAddressesToMirror");
}
