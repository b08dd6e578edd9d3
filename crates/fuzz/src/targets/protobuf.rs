//! Protobuf of built-in kinds: what is decoded is encoded and decoded the same.

use api::facts::types;
use apimachinery::schema::{Strictness, decode_json, normalize_stored};
use apimachinery::{json, protobuf};

use super::{BODIES, type_of};
use crate::Target;

pub const TARGET: Target = Target { name: "protobuf", seeds, check };

fn seeds() -> Vec<Vec<u8>> {
    let encoded = BODIES.iter().map(|body| {
        let id = type_of(body.as_bytes());
        let decoded = decode_json(types(), id, body.as_bytes(), Strictness::Ignore).expect("a body");
        let mut message = Vec::new();
        protobuf::encode_object(types(), id, &decoded.value, &mut message);
        message
    });
    encoded.collect()
}

fn check(input: &[u8]) -> String {
    let envelope = match protobuf::open(input) {
        Ok(envelope) => envelope,
        Err(error) => return error.to_string(),
    };
    let kind = types().kind_of(&envelope.api_version, &envelope.kind);
    let Some(id) = kind.or_else(|| types().kind("", "v1", "Pod")) else { return "no kind".into() };
    let decoded = match protobuf::decode(types(), id, envelope.raw) {
        Ok(decoded) => decoded,
        Err(error) => return error.to_string(),
    };
    let text = json::to_string(&decoded);
    // What cannot be said in JSON (a year beyond the calendar) may differ once, and then no more.
    let mut stored = decoded;
    if let Err(error) = normalize_stored(types(), id, &mut stored) {
        return format!("not normal: {error}");
    }
    let text_stored = json::to_string(&stored);
    let mut message = Vec::new();
    protobuf::encode(types(), id, &stored, &mut message);
    let again = protobuf::decode(types(), id, &message).expect("what was encoded is decoded");
    assert_eq!(json::to_string(&again), text_stored, "decode(encode(x)) is x");
    if text == text_stored { "decoded".into() } else { "decoded, normalized".into() }
}
