//! Hostile bodies: deep, large, damaged. Bounded, and never a panic.

use api::facts::types;
use apimachinery::json::DecodeError;
use apimachinery::schema::{Strictness, decode_json};

#[test]
fn deep_schemas_do_not_exhaust_a_small_stack() {
    let id = types().kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition").unwrap();
    let body = |levels: usize| {
        let open = r#"{"properties":{"a":"#.repeat(levels);
        let close = "}}".repeat(levels);
        format!(
            r#"{{"spec":{{"versions":[{{"name":"v1","schema":{{"openAPIV3Schema":{open}{{"type":"string"}}{close}}}}}]}}}}"#
        )
    };
    let run = move |levels: usize| {
        std::thread::Builder::new()
            .stack_size(2 << 20)
            .spawn(move || {
                let decoded = decode_json(types(), id, body(levels).as_bytes(), Strictness::Report)?;
                let mut message = Vec::new();
                apimachinery::protobuf::encode(types(), id, &decoded.value, &mut message);
                let back = apimachinery::protobuf::decode(types(), id, &message);
                Ok::<bool, DecodeError>(back.is_ok_and(|back| back == decoded.value))
            })
            .unwrap()
            .join()
            .unwrap()
    };
    assert_eq!(run(200), Ok(true));
    assert_eq!(run(5_000), Err(DecodeError::Syntax("exceeded max depth".into())));
}

#[test]
fn large_and_wide_bodies_take_linear_time() {
    let id = types().kind("", "v1", "ConfigMap").unwrap();
    let members: Vec<String> = (0..60_000).map(|at| format!("\"k{}\":\"v\"", (at * 7919) % 60_000)).collect();
    let body = format!("{{\"data\":{{{}}}}}", members.join(","));
    let decoded = decode_json(types(), id, body.as_bytes(), Strictness::Report).unwrap();
    assert_eq!(decoded.value["data"].as_object().unwrap().len(), 60_000);
    let unknown: Vec<String> = (0..60_000).map(|at| format!("\"u{at}\":1")).collect();
    let body = format!("{{{}}}", unknown.join(","));
    let decoded = decode_json(types(), id, body.as_bytes(), Strictness::Report).unwrap();
    assert_eq!(decoded.problems.len(), 100);
}
