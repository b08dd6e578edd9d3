//! Built-in kinds: what is decoded is a fixed point, from text and from a
//! tree, and what was stored comes back.

use api::facts::types;
use apimachinery::json;
use apimachinery::schema::{Strictness, decode_json, normalize, normalize_stored};

use super::{bodies, type_of};
use crate::Target;

pub const TARGET: Target = Target { name: "schema", seeds: bodies, check };

fn check(input: &[u8]) -> String {
    let id = type_of(input);
    let decoded = match decode_json(types(), id, input, Strictness::Report) {
        Ok(decoded) => decoded,
        Err(error) => {
            if let Ok(mut tree) = json::parse_ordered(input) {
                // The tree holds the last of two members alone; its error may be another, or none.
                let _ = normalize(types(), id, &mut tree, Strictness::Ignore);
            }
            return error.to_string();
        }
    };
    let text = json::to_string(&decoded.value);
    let again = decode_json(types(), id, text.as_bytes(), Strictness::Report).expect("decodes again");
    assert_eq!(json::to_string(&again.value), text, "decoding is idempotent");
    assert!(again.problems.is_empty(), "what is decoded is canonical: {:?}", again.problems);
    let mut tree = decoded.value.clone();
    normalize(types(), id, &mut tree, Strictness::Report).expect("what is decoded is normal");
    assert_eq!(json::to_string(&tree), text, "normalizing leaves alone what was decoded");
    normalize_stored(types(), id, &mut tree).expect("what is decoded can be stored");
    let stored = json::to_string(&tree);
    let back = decode_json(types(), id, stored.as_bytes(), Strictness::Report).expect("comes back");
    assert_eq!(json::to_string(&back.value), stored, "what was stored comes back");
    decoded.problems.first().cloned().unwrap_or_else(|| "decoded".into())
}
