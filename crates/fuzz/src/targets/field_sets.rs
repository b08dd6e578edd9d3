//! Sets of fields (`fieldsV1`): what is read is written and read the same, and
//! the operations on them agree.

use apimachinery::json;
use apimachinery::managed_fields::Set;

use crate::Target;

pub const TARGET: Target = Target { name: "field_sets", seeds, check };

fn seeds() -> Vec<Vec<u8>> {
    [
        r#"{"f:metadata":{"f:labels":{".":{},"f:a":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"a\"}":{".":{},"f:image":{}}}}}"#,
        r#"{"f:a":{"v:\"x\"":{},"v:1":{},"v:true":{},"v:1.5":{},"v:null":{},"i:0":{}}}"#,
        r#"{"f:a":{"k:{\"b\":1,\"a\":\"x\"}":{}},"f:a.b":{},"f:":{}}"#,
        "{}",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}

fn check(input: &[u8]) -> String {
    let tree = match json::parse(input) {
        Ok(tree) => tree,
        Err(error) => return error.to_string(),
    };
    let Some(set) = Set::from_fields_v1(&tree) else { return "no set of fields".into() };
    let written = set.clone().into_fields_v1();
    let again = Set::from_fields_v1(&written).expect("what was written is read");
    let text = json::to_string(&written);
    assert_eq!(json::to_string(&again.into_fields_v1()), text, "reading and writing changes nothing more");
    let mut united = set.clone();
    united.unite(&set);
    assert_eq!(json::to_string(&united.into_fields_v1()), text, "a set and itself is itself");
    let mut less = set.clone();
    less.subtract(&set);
    assert!(less.is_empty(), "a set without itself is empty");
    assert_eq!(
        json::to_string(&set.intersection(&set).into_fields_v1()),
        text,
        "what a set and itself share is itself"
    );
    format!("read, {}", set.paths().len().min(4))
}
