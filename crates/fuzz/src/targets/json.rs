//! Untyped JSON: what is read is written and read again the same.

use apimachinery::json;

use super::bodies;
use crate::Target;

pub const TARGET: Target = Target { name: "json", seeds, check };

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = bodies();
    for text in [
        "null",
        "[1,-1,1.5,1e3,true,false,null,\"\\u00e9\\ud83d\\ude00\"]",
        "{\"a\":{\"a\":1,\"a\":2},\"b\":[[[[]]]]}",
        " {\"\":\"\"} ",
    ] {
        seeds.push(text.as_bytes().to_vec());
    }
    seeds
}

fn check(input: &[u8]) -> String {
    let _ = json::type_meta(input);
    let parsed = match json::parse(input) {
        Ok(parsed) => parsed,
        Err(error) => {
            assert!(json::parse_ordered(input).is_err(), "one reader takes what the other refuses");
            return error.to_string();
        }
    };
    let written = json::to_string(&parsed);
    let again = json::parse(written.as_bytes()).expect("what was written is read");
    assert_eq!(json::to_string(&again), written, "reading and writing changes nothing more");
    let reported = json::parse_reporting(input).expect("what is read is read and reported");
    assert_eq!(json::to_string(&reported.value), written, "reporting reads the same");
    let mut ordered = json::parse_ordered(input).expect("what is sorted is read in order");
    json::sort_deep(&mut ordered);
    assert_eq!(json::to_string(&ordered), written, "order is all that differs");
    format!("read, {}", reported.problems.len().min(3))
}
