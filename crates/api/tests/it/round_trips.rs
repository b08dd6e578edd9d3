//! Properties that hold for every built-in type and any input.

use api::facts::types;
use apimachinery::schema::{Strictness, Type, TypeId, decode_json, normalize, normalize_stored};
use apimachinery::{Value, json, protobuf};
use proptest::prelude::*;

use crate::generate::{Choices, value};

fn text(value: &Value) -> String {
    json::to_string(value)
}

/// A kind by a number, with what a client could send for it.
fn sample(kind: usize, choices: &[u8]) -> (&'static str, TypeId, Value) {
    let kinds: Vec<_> = types().kinds().collect();
    let (_, _, name, id) = kinds[kind % kinds.len()];
    (name, id, value(types(), Type::Struct(id), &mut Choices(choices.iter()), 6))
}

fn check(kind: usize, choices: &[u8]) {
    let (name, id, sent) = sample(kind, choices);
    let bytes = text(&sent);
    let decoded = decode_json(types(), id, bytes.as_bytes(), Strictness::Report).unwrap_or_else(|error| {
        panic!("{name}: {error} in {bytes}");
    });
    assert_eq!(decoded.problems, Vec::<String>::new(), "{name}");
    let canonical = text(&decoded.value);

    let again = decode_json(types(), id, canonical.as_bytes(), Strictness::Report).unwrap().value;
    assert_eq!(text(&again), canonical, "{name}: decoding is idempotent");

    let mut tree = sent;
    normalize(types(), id, &mut tree, Strictness::Report).unwrap();
    assert_eq!(text(&tree), canonical, "{name}: trees and bytes agree");
    normalize(types(), id, &mut tree, Strictness::Report).unwrap();
    assert_eq!(text(&tree), canonical, "{name}: normalizing is idempotent");

    let mut message = Vec::new();
    protobuf::encode(types(), id, &decoded.value, &mut message);
    let back = protobuf::decode(types(), id, &message).unwrap();
    let carried = |field: &apimachinery::schema::Field| {
        field.in_protobuf || matches!(field.json, "kind" | "apiVersion")
    };
    if types().get(id).fields.iter().all(carried) {
        let mut stored = decoded.value;
        normalize_stored(types(), id, &mut stored).unwrap();
        assert_eq!(text(&back), text(&stored), "{name}: protobuf keeps all but empty lists");
    }
}

#[test]
fn every_kind_survives_every_codec() {
    for kind in 0..types().kinds().count() {
        for seed in 0..6u64 {
            // A small generator of choices: the same ones in every run.
            let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ kind as u64;
            let choices: Vec<u8> = (0..600)
                .map(|_| {
                    state =
                        state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (state >> 33) as u8
                })
                .collect();
            check(kind, &choices);
        }
        check(kind, &[]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_value_of_any_kind_survives(kind in 0usize..349, choices in proptest::collection::vec(any::<u8>(), 0..900)) {
        check(kind, &choices);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), kind in 0usize..349) {
        let (_, id, _) = sample(kind, &[]);
        let _ = decode_json(types(), id, &bytes, Strictness::Report);
        let _ = json::parse_reporting(&bytes);
        let _ = json::type_meta(&bytes);
        let _ = protobuf::decode(types(), id, &bytes);
        let _ = protobuf::decode_object(types(), &[&protobuf::MAGIC[..], &bytes].concat());
        let _ = apimachinery::yaml::to_json(&bytes);
    }

    #[test]
    fn no_damaged_body_panics(
        kind in 0usize..349,
        choices in proptest::collection::vec(any::<u8>(), 0..300),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let (_, id, sent) = sample(kind, &choices);
        let mut bytes = text(&sent).into_bytes();
        let decoded = decode_json(types(), id, &bytes, Strictness::Ignore).unwrap();
        let mut message = Vec::new();
        protobuf::encode(types(), id, &decoded.value, &mut message);
        for (at, byte) in damage {
            let place = at.index(bytes.len());
            bytes[place] = byte;
            if !message.is_empty() {
                let place = at.index(message.len());
                message[place] = byte;
            }
        }
        let _ = decode_json(types(), id, &bytes, Strictness::Report);
        let _ = protobuf::decode(types(), id, &message);
    }
}
