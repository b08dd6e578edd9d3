//! The targets, one a file.

mod apply;
mod cel;
mod certificates;
mod field_sets;
mod json;
mod json_patch;
mod merge_patch;
mod protobuf;
mod scalars;
mod schema;
mod selectors;
mod strategic_patch;
mod structural;
mod tokens;
mod yaml;

use api::facts;
use apimachinery::schema::{Strictness, TypeId, decode_json};
use apimachinery::{Value, json as text};

use crate::Target;

/// Every target.
pub const TARGETS: &[Target] = &[
    json::TARGET,
    schema::TARGET,
    yaml::TARGET,
    protobuf::TARGET,
    json_patch::TARGET,
    merge_patch::TARGET,
    strategic_patch::TARGET,
    apply::TARGET,
    field_sets::TARGET,
    selectors::TARGET,
    scalars::TARGET,
    cel::TARGET,
    structural::TARGET,
    tokens::TARGET,
    certificates::TARGET,
];

/// A pod with a bit of everything, as a client sends it.
const POD: &str = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"n","labels":{"a":"b"},
"finalizers":["x/y"],"ownerReferences":[{"apiVersion":"v1","kind":"A","name":"a","uid":"u"}],"creationTimestamp":null},
"spec":{"containers":[{"name":"a","image":"i:1","env":[{"name":"E","value":"v"}],"ports":[{"containerPort":80,
"protocol":"TCP"}],"resources":{"limits":{"cpu":"500m","memory":"1Gi"}},"livenessProbe":{"httpGet":{"port":"http"}}},
{"name":"b"}],"volumes":[{"name":"v","emptyDir":{"sizeLimit":"1Mi"}}],"tolerations":[{"key":"k","operator":"Exists"}],
"terminationGracePeriodSeconds":30,"hostNetwork":true},"status":{"phase":"Running","startTime":"2026-01-01T00:00:00Z",
"conditions":[{"type":"Ready","status":"True","lastProbeTime":null}]}}"#;

/// Bodies of kinds with odd types: bytes, durations, raw objects, numbers or texts.
const BODIES: &[&str] = &[
    POD,
    r#"{"apiVersion":"v1","kind":"Secret","data":{"a":"YQ==","b":null},"stringData":{"c":"d"},"immutable":true}"#,
    r#"{"apiVersion":"apps/v1","kind":"Deployment","spec":{"replicas":3,"selector":{"matchLabels":{"a":"b"},
"matchExpressions":[{"key":"k","operator":"In","values":["v"]}]},"strategy":{"rollingUpdate":{"maxSurge":"25%",
"maxUnavailable":1}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c"}]}}}}"#,
    r#"{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","spec":{"group":"g.ex","names":
{"kind":"K","plural":"ks"},"scope":"Namespaced","versions":[{"name":"v1","served":true,"storage":true,"schema":
{"openAPIV3Schema":{"type":"object","properties":{"a":{"type":"integer","default":1,"enum":[1,2]},"b":{"items":
{"type":"string"},"type":"array"}},"additionalProperties":false}}}]}}"#,
    r#"{"apiVersion":"apps/v1","kind":"ControllerRevision","data":{"x":[1,{"y":null}]},"revision":9007199254740993}"#,
    r#"{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","spec":{"leaseDurationSeconds":15,
"renewTime":"2026-01-01T00:00:00.000001Z"}}"#,
];

fn bodies() -> Vec<Vec<u8>> {
    BODIES.iter().map(|body| body.as_bytes().to_vec()).collect()
}

/// The type that a body says it is of, or that of a pod.
fn type_of(bytes: &[u8]) -> TypeId {
    let meta = text::type_meta(bytes).unwrap_or_default();
    let types = facts::types();
    let kind = types.kind_of(&meta.api_version, &meta.kind).or_else(|| types.kind("", "v1", "Pod"));
    kind.expect("the facts have pods")
}

/// A pod as it is stored.
fn pod() -> (TypeId, Value) {
    let id = type_of(POD.as_bytes());
    let decoded = decode_json(facts::types(), id, POD.as_bytes(), Strictness::Ignore);
    (id, decoded.expect("a pod").value)
}
