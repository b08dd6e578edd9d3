//! Recorded and documented samples of the wire.

use api::facts::types;
use apimachinery::schema::{Strictness, decode_json};
use apimachinery::{json, protobuf, value};

#[test]
fn messages_are_those_of_upstreams_serializer() {
    // Namespace "a", as `kubectl create namespace a` sends it.
    let id = types().kind("", "v1", "Namespace").unwrap();
    let body = br#"{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"a"}}"#;
    let namespace = decode_json(types(), id, body, Strictness::Ignore).unwrap().value;
    let mut message = Vec::new();
    protobuf::encode_object(types(), id, &namespace, &mut message);
    let expected: &[u8] = &[
        b"k8s\0".as_slice(),
        b"\x0a\x0f\x0a\x02v1\x12\x09Namespace",
        // metadata: name, generateName, namespace, selfLink, uid, resourceVersion, generation, creationTimestamp
        b"\x12\x19\x0a\x11\x0a\x01a\x12\x00\x1a\x00\x22\x00\x2a\x00\x32\x00\x38\x00\x42\x00",
        // spec, status with an empty phase
        b"\x12\x00\x1a\x02\x0a\x00",
        // contentEncoding, contentType
        b"\x1a\x00\x22\x00",
    ]
    .concat();
    assert_eq!(message, expected);
    assert_eq!(
        json::to_string(&protobuf::decode_object(types(), &message).unwrap()),
        json::to_string(&namespace)
    );
}

#[test]
fn envelopes_and_frames() {
    assert_eq!(
        protobuf::decode_object(types(), b"nonsense").unwrap_err().to_string(),
        "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"
    );
    assert_eq!(protobuf::open(b"").unwrap_err().to_string(), "empty data");
    let mut frame = Vec::new();
    protobuf::write_watch_event("ADDED", b"k8s\0", &mut frame);
    assert_eq!(frame, b"\x00\x00\x00\x0f\x0a\x05ADDED\x12\x06\x0a\x04k8s\x00");
}

#[test]
fn pods_are_written_as_go_writes_them() {
    let id = types().kind("", "v1", "Pod").unwrap();
    let body = br#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","creationTimestamp":null},
        "spec":{"containers":[{"name":"c","image":"img:1","resources":{"requests":{"cpu":"1000m"}}}]}}"#;
    let pod = decode_json(types(), id, body, Strictness::Report).unwrap();
    assert_eq!(pod.problems, Vec::<String>::new());
    assert_eq!(
        json::to_string(&pod.value),
        r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"img:1","resources":{"requests":{"cpu":"1"}}}]},"status":{}}"#
    );
    let condition = value!({"type": "Ready", "status": "True"});
    let mut with_status = pod.value;
    with_status.set_at(&["status", "conditions"], apimachinery::Value::Array(vec![condition]));
    apimachinery::schema::normalize(types(), id, &mut with_status, Strictness::Ignore).unwrap();
    assert_eq!(
        json::to_string(&with_status["status"]),
        r#"{"conditions":[{"type":"Ready","status":"True","lastProbeTime":null,"lastTransitionTime":null}]}"#
    );
}

#[test]
fn typed_views_agree_with_trees() {
    let id = types().kind("apps", "v1", "Deployment").unwrap();
    let body = br#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d"},"spec":{"replicas":2,
        "selector":{"matchLabels":{"app":"d"}},"strategy":{"rollingUpdate":{"maxSurge":"25%","maxUnavailable":1}},
        "template":{"metadata":{"labels":{"app":"d"}},"spec":{"containers":[{"name":"c","image":"i",
        "ports":[{"containerPort":80}],"env":[{"name":"A","value":"b"}]}]}}}}"#;
    let tree = decode_json(types(), id, body, Strictness::Ignore).unwrap().value;
    let view: api::k8s::api::apps::v1::Deployment = tree.decode().unwrap();
    let mut back = apimachinery::Value::from_serialize(&view).unwrap();
    apimachinery::schema::normalize(types(), id, &mut back, Strictness::Report).unwrap();
    assert_eq!(json::to_string(&back), json::to_string(&tree));
}

#[test]
fn defaults_fill_a_pod() {
    let id = types().kind("", "v1", "Pod").unwrap();
    let body = br#"{"kind":"Pod","apiVersion":"v1","spec":{"containers":[{"name":"c","ports":[{"containerPort":1}]}],
        "volumes":[{"name":"v","configMap":{"name":"m"}}]}}"#;
    let mut pod = decode_json(types(), id, body, Strictness::Ignore).unwrap().value;
    api::facts::defaults(id).unwrap().apply(types(), &mut pod);
    let spec = &pod["spec"];
    assert_eq!(spec["restartPolicy"].text(), "Always");
    assert_eq!(spec["containers"][0]["ports"][0]["protocol"].text(), "TCP");
    assert_eq!(spec["volumes"][0]["configMap"]["defaultMode"].as_i64(), Some(420));
    assert!(spec["containers"][0]["livenessProbe"].is_null());
    let before = json::to_string(&pod);
    apimachinery::schema::normalize(types(), id, &mut pod, Strictness::Report).unwrap();
    assert_eq!(json::to_string(&pod), before, "defaults keep Go's order");
}
